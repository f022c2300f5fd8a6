import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { signalsQuery, vehicleStateQuery } from '../../api/queries';
import type { CurrentValue } from '../../api/types';
import { useNow } from '../../lib/clock';
import { formatAge, formatDateTime, formatShortDuration, formatValue, shortText } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { Skeleton } from '../../ui/Skeleton';

/** What one looks for first stands first; the rest follows in the catalogue's order. */
const FIRST = [
  'speed_kmh',
  'engine_rpm',
  'fuel_level_pct',
  'coolant_c',
  'battery_v',
  'fuel_rate_est_lh',
  'odometer_km',
];

const inOrder = (values: readonly CurrentValue[]): CurrentValue[] => {
  const rank = ({ signal }: CurrentValue) => (FIRST.indexOf(signal) + FIRST.length + 1) % (FIRST.length + 1);
  return [...values].sort((a, b) => rank(a) - rank(b));
};

function Value({ item, staleS, now }: { item: CurrentValue; staleS: number | undefined; now: number }) {
  const units = useUnits();
  const ms = Date.parse(item.ts);
  // The answer ages while it is on the screen: the catalogue says from when on a value no longer speaks for now.
  const isStale = item.is_stale || (staleS !== undefined && now - ms > staleS * 1000);
  const isOff = typeof item.value !== 'boolean' && item.value === null;
  return (
    <li className={isStale || isOff ? 'value is-stale' : 'value'}>
      <span className="value-text">{shortText(item.text)}</span>
      <span className="value-number">{formatValue(item.value, item.unit, units)}</span>
      <time className="value-age" dateTime={item.ts} title={formatDateTime(ms)}>
        {isStale ? `stale ${formatShortDuration((now - ms) / 1000)}` : formatAge(ms, now)}
      </time>
    </li>
  );
}

export function ValuesPanel({ id }: { id: number }) {
  const state = useQuery(vehicleStateQuery(id));
  const catalogue = useQuery(signalsQuery);
  const now = useNow();
  const staleS = useMemo(
    () => new Map(catalogue.data?.items.map((signal) => [signal.name, signal.stale_s])),
    [catalogue.data],
  );
  return (
    <Panel title="Current values" className="values-panel">
      {state.isError && (
        <ErrorNotice error={state.error} what="The values could not be read." onRetry={() => void state.refetch()} />
      )}
      {state.isPending && <Skeleton lines={8} label="Reading the values" />}
      {state.data?.values.length === 0 && <p className="empty">No signal has been read from this vehicle yet.</p>}
      {state.data !== undefined && state.data.values.length > 0 && (
        <ul className="values" tabIndex={0} aria-label="Current values, scrolls">
          {inOrder(state.data.values).map((item) => (
            <Value key={item.signal} item={item} staleS={staleS.get(item.signal)} now={now} />
          ))}
        </ul>
      )}
    </Panel>
  );
}
