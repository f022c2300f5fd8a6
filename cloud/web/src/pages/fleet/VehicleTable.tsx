import { Link } from '@tanstack/react-router';
import { type KeyboardEvent, memo, useState } from 'react';
import { Button, ToggleButton } from 'react-aria-components';
import { formatValue, plural } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { ShortAge } from '../../ui/Age';
import { type Sort, SortHeader } from '../../ui/SortHeader';
import { Status } from '../../ui/StatusMark';
import type { FleetRow, SortKey } from './rows';

/** More rows than this are drawn only when asked for. */
const STEP = 200;

type RowProps = { row: FleetRow; isChosen: boolean; onChoose: (id: number | null) => void };

const isSameRow = (a: RowProps, b: RowProps) =>
  a.isChosen === b.isChosen &&
  a.onChoose === b.onChoose &&
  (Object.keys(a.row) as (keyof FleetRow)[]).every((key) => a.row[key] === b.row[key]);

const Row = memo(function Row({ row, isChosen, onChoose }: RowProps) {
  const units = useUnits();
  return (
    <tr className={isChosen ? 'is-chosen' : undefined}>
      <th scope="row">
        <Link to="/vehicles/$id" params={{ id: String(row.id) }} className="row-link">
          {row.name}
        </Link>
        <span className="row-sub">
          {row.plate ?? (row.makeModel === '' ? 'no plate' : row.makeModel)}
          {row.faults > 0 && (
            <>
              <span className="fault-dot"> · </span>
              <span className="fault-count">{plural(row.faults, 'code')}</span>
            </>
          )}
        </span>
      </th>
      <td>
        <Status status={row.status} headingDeg={row.heading} />
      </td>
      <td className="number">{row.speed === null ? '–' : formatValue(row.speed, 'km/h', units)}</td>
      <td className="number">
        <ShortAge ms={row.lastMs} />
      </td>
      <td className="row-pick">
        <ToggleButton
          className="button quiet icon"
          isSelected={isChosen}
          onChange={(isOn) => onChoose(isOn ? row.id : null)}
          aria-label={`Show ${row.name} on the map`}
        >
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <circle cx="10" cy="10" r="5" />
            <path d="M10 2v4M10 14v4M2 10h4M14 10h4" />
          </svg>
        </ToggleButton>
      </td>
    </tr>
  );
}, isSameRow);

type Props = {
  rows: readonly FleetRow[];
  sort: Sort<SortKey>;
  onSort: (sort: Sort<SortKey>) => void;
  chosenId: number | null;
  onChoose: (id: number | null) => void;
};

/** Arrow keys go from row to row within a column of links or buttons. */
function onArrow(event: KeyboardEvent<HTMLTableSectionElement>): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const target = event.target instanceof HTMLElement ? event.target : null;
  const row = target?.closest('tr');
  const next = event.key === 'ArrowDown' ? row?.nextElementSibling : row?.previousElementSibling;
  const kind = target?.tagName.toLowerCase() === 'a' ? 'a' : 'button';
  const goal = next?.querySelector<HTMLElement>(kind);
  if (goal === null || goal === undefined) return;
  event.preventDefault();
  goal.focus();
}

export function VehicleTable({ rows, sort, onSort, chosenId, onChoose }: Props) {
  const [limit, setLimit] = useState(STEP);
  return (
    <div className="vehicle-table">
      <table>
        <caption className="visually-hidden">Vehicles: state, speed and when they were last seen</caption>
        <thead>
          <tr>
            <SortHeader name="name" sort={sort} onSort={onSort}>
              Vehicle
            </SortHeader>
            <SortHeader name="status" sort={sort} onSort={onSort}>
              State
            </SortHeader>
            <SortHeader name="speed" sort={sort} onSort={onSort} className="number">
              Speed
            </SortHeader>
            <SortHeader name="seen" sort={sort} onSort={onSort} className="number">
              Seen
            </SortHeader>
            <th scope="col">
              <span className="visually-hidden">Map</span>
            </th>
          </tr>
        </thead>
        <tbody onKeyDown={onArrow}>
          {rows.slice(0, limit).map((row) => (
            <Row key={row.id} row={row} isChosen={row.id === chosenId} onChoose={onChoose} />
          ))}
        </tbody>
      </table>
      {rows.length > limit && (
        <Button className="button" onPress={() => setLimit(limit + STEP)}>
          Show more of {plural(rows.length, 'vehicle')}
        </Button>
      )}
    </div>
  );
}
