import { useMemo } from 'react';
import type { LedgerStream } from '../../api/types';
import { formatCount, formatMinute, plural } from '../../lib/format';
import { toMs } from '../../ui/Age';
import { ScrollTable } from '../../ui/ScrollTable';
import { cellsOf, countRuns, type FrameKind, type Run, runsOf } from './strip';
import { KIND_WORDS, lostWords } from './words';

const CELLS = 240;
/** A stream with more runs than this shows the newest in its table, and says so. */
const MOST_RUNS = 50;

const rangeWords = ({ first, last }: { first: number; last: number }) =>
  first === last ? formatCount(first) : `${formatCount(first)} – ${formatCount(last)}`;

function Runs({ runs, streamId }: { runs: readonly Run[]; streamId: string }) {
  const shown = [...runs].reverse().slice(0, MOST_RUNS);
  return (
    <ScrollTable label={`Sequence ranges of stream ${streamId.slice(0, 8)}`}>
      <thead>
        <tr>
          <th scope="col">Sequence numbers</th>
          <th scope="col" className="number">
            Frames
          </th>
          <th scope="col">What became of them</th>
        </tr>
      </thead>
      <tbody>
        {shown.map((run) => (
          <tr key={run.first}>
            <th scope="row" className="tabular">
              {rangeWords(run)}
            </th>
            <td className="number">{formatCount(run.last - run.first + 1)}</td>
            <td>
              <span className={`swatch kind-${run.kind}`} /> {KIND_WORDS[run.kind]}
              {run.reason === undefined ? '' : `: ${lostWords(run.reason)}`}
            </td>
          </tr>
        ))}
      </tbody>
    </ScrollTable>
  );
}

/** One stream: its numbers from the first to the last as a strip, and the same as a table. */
export function SeqStrip({ stream }: { stream: LedgerStream }) {
  const runs = useMemo(() => runsOf(stream), [stream]);
  const cells = useMemo(() => cellsOf(runs, CELLS), [runs]);
  const counts = countRuns(runs);
  const kinds = (Object.keys(counts) as FrameKind[]).filter((kind) => counts[kind] > 0);
  const last = runs.at(-1)?.last ?? 0;
  const words = kinds.map((kind) => `${formatCount(counts[kind])} ${KIND_WORDS[kind].toLowerCase()}`).join(', ');
  const firstSeen = toMs(stream.first_seen);
  return (
    <article className="stream">
      <h3>
        Stream <code>{stream.stream_id.slice(0, 8)}</code>
        <span className={stream.is_active ? 'tag is-on' : 'tag'}>{stream.is_active ? 'being written' : 'closed'}</span>
      </h3>
      <p className="muted">
        {plural(last, 'frame')} over {plural(stream.boots, 'start')} of the device
        {firstSeen === null ? '' : `, since ${formatMinute(firstSeen)}`}
      </p>
      {cells.length > 0 && (
        <>
          <div className="seq" role="img" aria-label={`Numbers 1 to ${formatCount(last)}: ${words}`}>
            {cells.map((cell) => (
              <span
                key={cell.first}
                className={`kind-${cell.kind}`}
                style={{ flexGrow: cell.cells }}
                title={`${rangeWords(cell)}: ${KIND_WORDS[cell.kind]}`}
              />
            ))}
          </div>
          <div className="seq-scale" aria-hidden="true">
            <span>1</span>
            <span>{formatCount(last)}</span>
          </div>
        </>
      )}
      <details>
        <summary>
          {runs.length > MOST_RUNS
            ? `The newest ${MOST_RUNS} of ${plural(runs.length, 'range')}`
            : plural(runs.length, 'range')}
        </summary>
        <Runs runs={runs} streamId={stream.stream_id} />
      </details>
    </article>
  );
}
