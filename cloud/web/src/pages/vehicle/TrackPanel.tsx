import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useMemo, useState } from 'react';
import { ToggleButton, ToggleButtonGroup } from 'react-aria-components';
import { trackQuery } from '../../api/queries';
import { serverNow } from '../../lib/clock';
import { formatMinute, formatValue, plural } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { trackLengthKm, trackLines } from '../../map/track';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { type FleetRow, toMapVehicles } from '../fleet/rows';

const TrackMap = lazy(() => import('../../map/TrackMap').then(({ TrackMap }) => ({ default: TrackMap })));

const HOURS = [1, 6, 24] as const;

export function TrackPanel({ row }: { row: FleetRow }) {
  const [hours, setHours] = useState<number>(6);
  const units = useUnits();
  const track = useQuery(
    trackQuery(row.id, hours, () => ({ fromMs: serverNow() - hours * 3_600_000, toMs: serverNow() })),
  );
  const { id, name, status, lat, lon, heading } = row;
  const vehicle = useMemo(
    () => toMapVehicles([{ id, name, status, lat, lon, heading }] as FleetRow[])[0] ?? null,
    [id, name, status, lat, lon, heading],
  );
  const words = useMemo(() => {
    const points = track.data?.ts_ms.length ?? 0;
    if (track.data === undefined) return 'Reading the track…';
    if (points === 0) return `No position in the last ${plural(hours, 'hour')}.`;
    const lengthKm = trackLengthKm(trackLines(track.data));
    const first = track.data.ts_ms[0] ?? 0;
    const last = track.data.ts_ms[points - 1] ?? 0;
    return `${formatValue(lengthKm, 'km', units)} driven between ${formatMinute(first)} and ${formatMinute(last)}.`;
  }, [track.data, hours, units]);

  return (
    <Panel
      title="Track"
      className="track"
      aside={
        <ToggleButtonGroup
          className="segments"
          aria-label="Hours of the track"
          selectionMode="single"
          disallowEmptySelection
          selectedKeys={[hours]}
          onSelectionChange={(keys) => setHours(Number([...keys][0]))}
        >
          {HOURS.map((each) => (
            <ToggleButton key={each} id={each} className="segment" aria-label={`Last ${plural(each, 'hour')}`}>
              {each} h
            </ToggleButton>
          ))}
        </ToggleButtonGroup>
      }
    >
      {track.isError && (
        <ErrorNotice error={track.error} what="The track could not be read." onRetry={() => void track.refetch()} />
      )}
      <Suspense
        fallback={
          <div className="map-frame is-waiting" role="status">
            Opening the map…
          </div>
        }
      >
        <TrackMap track={track.data} vehicle={vehicle} />
      </Suspense>
      <p className="note">{words}</p>
    </Panel>
  );
}
