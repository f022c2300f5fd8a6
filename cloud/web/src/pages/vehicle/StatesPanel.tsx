import { useQuery } from '@tanstack/react-query';
import { statesQuery } from '../../api/queries';
import { serverNow, useNow } from '../../lib/clock';
import { formatClock, formatMinute } from '../../lib/format';
import { STATUS_WORDS } from '../../lib/status';
import { stretchesOf, stretchWords } from './states';

const HOURS = 24;
const SPAN_MS = HOURS * 3_600_000;

/** What the vehicle did in the last day, as a line and as a sentence. */
export function StatesPanel({ id }: { id: number }) {
  const now = useNow();
  const states = useQuery(statesQuery(id, HOURS, () => ({ fromMs: serverNow() - SPAN_MS, toMs: serverNow() })));
  if (states.data === undefined) return null;
  const stretches = stretchesOf(states.data.items, now - SPAN_MS, now);
  const words = stretchWords(stretches);
  return (
    <section className="states-line" aria-label={`Last ${HOURS} hours`}>
      <p>
        <strong>Last {HOURS} hours</strong> <span className="muted">{words}</span>
      </p>
      <div className="day" aria-hidden="true">
        {stretches.map(({ status, fromMs, toMs, left, width }) => (
          <span
            key={`${status} ${fromMs}`}
            className={`is-${status}`}
            style={{ left: `${left * 100}%`, width: `max(2px, ${width * 100}%)` }}
            title={`${STATUS_WORDS[status]}, ${formatMinute(fromMs)} to ${formatClock(toMs)}`}
          />
        ))}
      </div>
    </section>
  );
}
