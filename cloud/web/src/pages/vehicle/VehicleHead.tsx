import { Link } from '@tanstack/react-router';
import type { VehicleSummary } from '../../api/types';
import { useNow } from '../../lib/clock';
import { formatDuration, formatValue, plural } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { Age, toMs } from '../../ui/Age';
import { Status } from '../../ui/StatusMark';
import type { FleetRow } from '../fleet/rows';

function Since({ ms }: { ms: number | null }) {
  const now = useNow();
  return ms === null ? null : <span className="muted">for {formatDuration((now - ms) / 1000)}</span>;
}

export function VehicleHead({ vehicle, row }: { vehicle: VehicleSummary; row: FleetRow }) {
  const units = useUnits();
  // The time a state began is known for the state that the server told it of, not for a newer one.
  const since = row.status === vehicle.state.status ? toMs(vehicle.state.since) : null;
  return (
    <header className="head">
      <div>
        <h1>{vehicle.name}</h1>
        <p className="muted">
          {[vehicle.plate, row.makeModel, vehicle.vin === null ? null : `VIN ${vehicle.vin}`]
            .filter((part) => part !== null && part !== '')
            .join(' · ') || 'No plate, make or VIN known'}
        </p>
      </div>
      <dl className="head-facts">
        <div>
          <dt>State</dt>
          <dd>
            <Status status={row.status} headingDeg={row.heading} /> <Since ms={since} />
          </dd>
        </div>
        <div>
          <dt>Speed</dt>
          <dd>{formatValue(row.speed, 'km/h', units)}</dd>
        </div>
        <div>
          <dt>Newest sample</dt>
          <dd>
            <Age ms={row.lastMs} />
          </dd>
        </div>
        <div>
          <dt>Trouble codes</dt>
          <dd>{row.faults === 0 ? 'none' : plural(row.faults, 'code')}</dd>
        </div>
        <div>
          <dt>Device</dt>
          <dd>
            {vehicle.device_id === null ? (
              'none'
            ) : (
              <Link to="/devices/$id" params={{ id: vehicle.device_id }}>
                {vehicle.device_id}, delivery ledger
              </Link>
            )}
          </dd>
        </div>
      </dl>
    </header>
  );
}
