import type { Silence } from '../../api/types';
import { useNow } from '../../lib/clock';
import { formatDuration, formatMinute } from '../../lib/format';
import { Panel } from '../../ui/Panel';
import { ScrollTable } from '../../ui/ScrollTable';
import { type Bar, barsOf } from './silenceBars';
import { SILENCE_MEANING, SILENCE_WORDS } from './words';

const DAYS = 7;
const MOST_ROWS = 40;

const place = ({ left, width }: Bar) => ({ left: `${left * 100}%`, width: `${Math.max(width * 100, 0.4)}%` });

/** When the device was silent and why, in its own words: the last week as a line, and as a table. */
export function Silences({ silences }: { silences: readonly Silence[] }) {
  const now = useNow();
  const minute = Math.floor(now / 60_000) * 60_000;
  const bars = barsOf(silences, minute - DAYS * 86_400_000, minute);
  const newest = [...silences].sort((a, b) => Date.parse(b.from) - Date.parse(a.from)).slice(0, MOST_ROWS);
  return (
    <Panel title="Silences, in the device’s own words">
      {silences.length === 0 ? (
        <p className="empty">The device has never been silent.</p>
      ) : (
        <>
          <div className="silence-line" aria-hidden="true">
            {bars.map((bar) => (
              <span
                key={bar.from}
                className={`why-${bar.reason}`}
                style={place(bar)}
                title={SILENCE_WORDS[bar.reason]}
              />
            ))}
          </div>
          <div className="seq-scale" aria-hidden="true">
            <span>{formatMinute(minute - DAYS * 86_400_000)}</span>
            <span>Solid green: heard</span>
            <span>now</span>
          </div>
          <ScrollTable label="Silences, newest first">
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">Why</th>
                <th scope="col" className="number">
                  For
                </th>
                <th scope="col">Until</th>
              </tr>
            </thead>
            <tbody>
              {newest.map(({ from, to, reason }) => (
                <tr key={`${from} ${reason}`}>
                  <th scope="row" className="tabular">
                    {formatMinute(Date.parse(from))}
                  </th>
                  <td className="silence-why">
                    <span className={`swatch why-${reason}`} /> <strong>{SILENCE_WORDS[reason]}.</strong>{' '}
                    <span className="muted">{SILENCE_MEANING[reason]}</span>
                  </td>
                  <td className="number">
                    {formatDuration(((to === null ? now : Date.parse(to)) - Date.parse(from)) / 1000)}
                  </td>
                  <td className="tabular">{to === null ? 'still silent' : formatMinute(Date.parse(to))}</td>
                </tr>
              ))}
            </tbody>
          </ScrollTable>
        </>
      )}
    </Panel>
  );
}
