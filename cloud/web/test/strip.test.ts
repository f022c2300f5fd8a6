import { describe, expect, test } from 'vitest';
import type { LedgerStream } from '../src/api/types';
import { barsOf } from '../src/pages/ledger/silenceBars';
import { cellsOf, countRuns, lastSeq, runsOf } from '../src/pages/ledger/strip';
import { verdict } from '../src/pages/ledger/words';

const stream = (change: Partial<LedgerStream>): LedgerStream => ({
  stream_id: 'ab'.repeat(16),
  is_active: true,
  first_seen: null,
  last_seen: null,
  last_seq: 0,
  boots: 1,
  stored: [],
  pending: [],
  lost: [],
  quarantined: [],
  forked: [],
  ...change,
});

describe('runs', () => {
  test('cover every number once, in order, and say what became of it', () => {
    const runs = runsOf(
      stream({
        last_seq: 20,
        stored: [
          [1, 9],
          [13, 15],
        ],
        lost: [{ first: 10, last: 11, reason: 'power' }],
        quarantined: [[12, 12]],
        pending: [[17, 20]],
      }),
    );
    expect(runs).toEqual([
      { kind: 'stored', first: 1, last: 9 },
      { kind: 'lost', first: 10, last: 11, reason: 'power' },
      { kind: 'quarantined', first: 12, last: 12 },
      { kind: 'stored', first: 13, last: 15 },
      { kind: 'unheard', first: 16, last: 16 },
      { kind: 'pending', first: 17, last: 20 },
    ]);
    expect(countRuns(runs)).toEqual({ stored: 12, pending: 4, lost: 2, quarantined: 1, forked: 0, unheard: 1 });
  });

  test('a fork is drawn over what was stored', () => {
    expect(runsOf(stream({ last_seq: 5, stored: [[1, 5]], forked: [3] })).map(({ kind }) => kind)).toEqual([
      'stored',
      'forked',
      'stored',
    ]);
  });

  test('neighbouring ranges of one kind are one run; different reasons stay apart', () => {
    const runs = runsOf(
      stream({
        last_seq: 6,
        stored: [
          [1, 2],
          [3, 4],
        ],
        lost: [
          { first: 5, last: 5, reason: 'power' },
          { first: 6, last: 6, reason: 'killed' },
        ],
      }),
    );
    expect(runs.map(({ first, last }) => [first, last])).toEqual([
      [1, 4],
      [5, 5],
      [6, 6],
    ]);
  });

  test('a list may know more than last_seq says', () => {
    expect(lastSeq(stream({ last_seq: 3, pending: [[4, 9]] }))).toBe(9);
    expect(runsOf(stream({}))).toEqual([]);
  });

  test('ten thousand ranges are done quickly', () => {
    const stored = Array.from({ length: 10_000 }, (_, i): [number, number] => [i * 10 + 1, i * 10 + 9]);
    const runs = runsOf(stream({ last_seq: 100_000, stored }));
    expect(runs).toHaveLength(20_000);
    expect(countRuns(runs)).toMatchObject({ stored: 90_000, unheard: 10_000 });
  });
});

describe('cells', () => {
  test('one lost frame among a million is still seen', () => {
    const runs = runsOf(
      stream({
        last_seq: 1_000_000,
        stored: [
          [1, 499_999],
          [500_001, 1_000_000],
        ],
        lost: [{ first: 500_000, last: 500_000, reason: 'power' }],
      }),
    );
    const cells = cellsOf(runs, 240);
    expect(cells.map(({ kind }) => kind)).toEqual(['stored', 'lost', 'stored']);
    expect(cells.reduce((sum, cell) => sum + cell.cells, 0)).toBe(240);
    expect(cells[0]?.first).toBe(1);
    expect(cells.at(-1)?.last).toBe(1_000_000);
  });

  test('few frames give a cell each', () => {
    const cells = cellsOf(runsOf(stream({ last_seq: 3, stored: [[1, 2]], pending: [[3, 3]] })), 240);
    expect(cells).toEqual([
      { kind: 'stored', first: 1, last: 2, cells: 2 },
      { kind: 'pending', first: 3, last: 3, cells: 1 },
    ]);
  });

  test('nothing gives no cells', () => expect(cellsOf([], 240)).toEqual([]));
});

describe('silences', () => {
  const hour = (h: number) => new Date(h * 3_600_000).toISOString();
  test('are cut at the window, an open one lasts to its end', () => {
    const bars = barsOf(
      [
        { from: hour(0), to: hour(12), reason: 'power' },
        { from: hour(18), to: null, reason: 'no_network' },
        { from: hour(1), to: hour(2), reason: 'killed' },
      ],
      10 * 3_600_000,
      20 * 3_600_000,
    );
    expect(bars).toEqual([
      { from: hour(0), reason: 'power', left: 0, width: 0.2 },
      { from: hour(18), reason: 'no_network', left: 0.8, width: 0.2 },
    ]);
  });
});

describe('verdict', () => {
  const totals = { stored: 10, pending: 0, lost: 0, quarantined: 0 };
  test('says the worst first', () => {
    expect(verdict(totals, []).title).toBe('Complete: every frame is here, once');
    expect(verdict({ ...totals, pending: 2 }, []).title).toContain('on its way');
    expect(verdict({ ...totals, lost: 1 }, [])).toMatchObject({ title: '1 frame lost, and we know why', isBad: true });
    expect(verdict(totals, [stream({ forked: [4] })]).isBad).toBe(true);
    expect(verdict(totals, [stream({ last_seq: 12, stored: [[1, 10]] })]).title).toContain(
      '2 numbers not heard of yet',
    );
    expect(verdict({ stored: 0, pending: 0, lost: 0, quarantined: 0 }, []).title).toContain(
      'Nothing has been recorded',
    );
  });
  test('counts in plain words', () => {
    expect(verdict({ ...totals, stored: 2300, pending: 1 }, []).text).toBe(
      'This device has made 2,301 frames: 2,300 stored here, 1 on the way, none lost. Nothing is counted twice.',
    );
  });
});
