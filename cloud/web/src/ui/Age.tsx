import { useNow } from '../lib/clock';
import { formatAge, formatDateTime, formatDay, formatShortDuration } from '../lib/format';

/** How old something is, ticking; the exact time on hover and for machines. */
export function Age({ ms, none = 'never' }: { ms: number | null; none?: string }) {
  const now = useNow();
  if (ms === null) return <span className="age">{none}</span>;
  return (
    <time className="age" dateTime={new Date(ms).toISOString()} title={formatDateTime(ms)}>
      {formatAge(ms, now)}
    </time>
  );
}

/** The same for a narrow column: one unit, and no "ago" where there is no room for it. */
export function ShortAge({ ms }: { ms: number | null }) {
  const now = useNow();
  if (ms === null) return <span className="age">never</span>;
  return (
    <time className="age" dateTime={new Date(ms).toISOString()} title={formatDateTime(ms)}>
      {formatShortDuration((now - ms) / 1000)}
      <span className="ago"> ago</span>
    </time>
  );
}

/** A day, for what lasts; the exact time on hover and for machines. */
export function Day({ iso }: { iso: string }) {
  const ms = Date.parse(iso);
  return (
    <time className="tabular" dateTime={iso} title={formatDateTime(ms)}>
      {formatDay(ms)}
    </time>
  );
}

/** Epoch ms of an API time, null for null. */
export const toMs = (iso: string | null): number | null => (iso === null ? null : Date.parse(iso));
