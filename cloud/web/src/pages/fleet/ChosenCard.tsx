import { Link } from '@tanstack/react-router';
import { Button } from 'react-aria-components';
import { formatPosition, formatValue } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { Age } from '../../ui/Age';
import { Status } from '../../ui/StatusMark';
import type { FleetRow } from './rows';
import './chosen.css';

/** The chosen vehicle, over the map. */
export function ChosenCard({ row, onClose }: { row: FleetRow; onClose: () => void }) {
  const units = useUnits();
  return (
    <section className="chosen" aria-label={`Chosen vehicle: ${row.name}`}>
      <div className="chosen-head">
        <h2>{row.name}</h2>
        <Button className="button quiet icon" aria-label="Close" onPress={onClose}>
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="m5 5 10 10M15 5 5 15" />
          </svg>
        </Button>
      </div>
      <p className="chosen-line">
        <Status status={row.status} headingDeg={row.heading} />
        <span>
          seen <Age ms={row.lastMs} />
        </span>
      </p>
      <dl className="facts">
        <div>
          <dt>Speed</dt>
          <dd>{formatValue(row.speed, 'km/h', units)}</dd>
        </div>
        <div>
          <dt>Fuel</dt>
          <dd>{formatValue(row.fuel, 'percent', units)}</dd>
        </div>
        <div>
          <dt>Trouble codes</dt>
          <dd>{row.faults}</dd>
        </div>
        <div className="is-wide">
          <dt>Position</dt>
          <dd>{row.lat === null || row.lon === null ? 'not known' : formatPosition(row.lat, row.lon)}</dd>
        </div>
      </dl>
      <Link to="/vehicles/$id" params={{ id: String(row.id) }} className="button primary">
        Open {row.name}
      </Link>
    </section>
  );
}
