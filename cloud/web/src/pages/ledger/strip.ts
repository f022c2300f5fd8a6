import type { LedgerStream } from '../../api/types';

export type FrameKind = 'stored' | 'pending' | 'lost' | 'quarantined' | 'forked' | 'unheard';

/** From calm to loud: where several kinds share one cell of the strip, the loudest is drawn. */
const LOUDNESS: readonly FrameKind[] = ['stored', 'pending', 'unheard', 'quarantined', 'lost', 'forked'];

export type Run = { kind: FrameKind; first: number; last: number; reason?: string };
export type Cell = { kind: FrameKind; first: number; last: number; cells: number };

/**
 * Every number from 1 to the last one, as runs in order. A number that is in no list is `unheard`: the device has given
 * it away, and nothing has said yet what became of it. A later list wins where two overlap, forks over all.
 */
export function runsOf(stream: LedgerStream): Run[] {
  const end = lastSeq(stream);
  const marks: Run[] = [
    ...stream.pending.map(([first, last]): Run => ({ kind: 'pending', first, last })),
    ...stream.stored.map(([first, last]): Run => ({ kind: 'stored', first, last })),
    ...stream.quarantined.map(([first, last]): Run => ({ kind: 'quarantined', first, last })),
    ...stream.lost.map(({ first, last, reason }): Run => ({ kind: 'lost', first, last, reason })),
    ...stream.forked.map((seq): Run => ({ kind: 'forked', first: seq, last: seq })),
  ];
  const edges = new Set<number>([1, end + 1]);
  for (const { first, last } of marks) edges.add(first).add(last + 1);
  const sorted = [...edges].filter((edge) => edge >= 1 && edge <= end + 1).sort((a, b) => a - b);
  const starting = [...marks].sort((a, b) => a.first - b.first);
  const order = new Map(marks.map((mark, index) => [mark, index]));
  const open = new Set<Run>();
  const runs: Run[] = [];
  let next = 0;
  for (let i = 0; i + 1 < sorted.length; i++) {
    const first = sorted[i] ?? 0;
    const last = (sorted[i + 1] ?? 0) - 1;
    for (const mark of open) if (mark.last < first) open.delete(mark);
    for (let mark = starting[next]; mark !== undefined && mark.first <= first; mark = starting[++next]) {
      if (mark.last >= first) open.add(mark);
    }
    let top: Run | undefined;
    for (const mark of open) if (top === undefined || (order.get(mark) ?? 0) > (order.get(top) ?? 0)) top = mark;
    const before = runs.at(-1);
    const kind = top?.kind ?? 'unheard';
    if (before !== undefined && before.kind === kind && before.reason === top?.reason) before.last = last;
    else runs.push({ kind, first, last, ...(top?.reason !== undefined && { reason: top.reason }) });
  }
  return runs;
}

/** The highest number that anything speaks of. */
export function lastSeq(stream: LedgerStream): number {
  let last = stream.last_seq;
  for (const [, end] of [...stream.stored, ...stream.pending, ...stream.quarantined]) last = Math.max(last, end);
  for (const lost of stream.lost) last = Math.max(last, lost.last);
  for (const seq of stream.forked) last = Math.max(last, seq);
  return last;
}

/**
 * The runs on a strip of at most `cells` equal cells, neighbours of one kind joined. Each cell takes the loudest kind in
 * it, so that one lost frame among a million is still seen.
 */
export function cellsOf(runs: readonly Run[], cells: number): Cell[] {
  const end = runs.at(-1)?.last ?? 0;
  if (end === 0) return [];
  const count = Math.min(cells, end);
  const out: Cell[] = [];
  let at = 0;
  for (let cell = 0; cell < count; cell++) {
    const first = Math.floor((cell * end) / count) + 1;
    const last = Math.floor(((cell + 1) * end) / count);
    while ((runs[at]?.last ?? Number.POSITIVE_INFINITY) < first) at += 1;
    let kind: FrameKind = 'stored';
    for (let i = at; i < runs.length && (runs[i]?.first ?? 0) <= last; i++) {
      const next = runs[i]?.kind ?? 'stored';
      if (LOUDNESS.indexOf(next) > LOUDNESS.indexOf(kind)) kind = next;
    }
    const before = out.at(-1);
    if (before?.kind === kind) {
      before.last = last;
      before.cells += 1;
    } else out.push({ kind, first, last, cells: 1 });
  }
  return out;
}

/** How many numbers of each kind there are. */
export function countRuns(runs: readonly Run[]): Record<FrameKind, number> {
  const counts = { stored: 0, pending: 0, lost: 0, quarantined: 0, forked: 0, unheard: 0 };
  for (const { kind, first, last } of runs) counts[kind] += last - first + 1;
  return counts;
}
