import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import { ApiError } from '../../api/client';
import { vehicleQuery } from '../../api/queries';
import { useTitle } from '../../app/title';
import { Charts } from '../../charts/Charts';
import { type Range, rangeFromSearch, rangeToSearch } from '../../charts/range';
import { useWatchLease } from '../../live/lease';
import { useLiveVehicle } from '../../live/store';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { Skeleton } from '../../ui/Skeleton';
import { toRow } from '../fleet/rows';
import { NotFoundPage } from '../NotFoundPage';
import { Events } from './Events';
import { Faults } from './Faults';
import { StatesPanel } from './StatesPanel';
import { TrackPanel } from './TrackPanel';
import { ValuesPanel } from './ValuesPanel';
import { VehicleHead } from './VehicleHead';
import './vehicle.css';

const FIRST_SIGNALS = ['speed_kmh', 'engine_rpm', 'coolant_c'];

export function VehiclePage() {
  const { id: text } = useParams({ from: '/vehicles/$id' });
  const id = Number(text);
  return Number.isSafeInteger(id) && id > 0 ? <Vehicle key={id} id={id} /> : <NotFoundPage what="This vehicle" />;
}

function Vehicle({ id }: { id: number }) {
  const search = useSearch({ from: '/vehicles/$id' });
  const navigate = useNavigate({ from: '/vehicles/$id' });
  const vehicle = useQuery(vehicleQuery(id));
  const live = useLiveVehicle(id);
  useWatchLease(id);
  useTitle(vehicle.data?.name ?? 'Vehicle');

  const { s, range: name, from, to } = search;
  const names = useMemo(() => (s === undefined ? FIRST_SIGNALS : s.split(',').filter((part) => part !== '')), [s]);
  const range = useMemo(
    () =>
      rangeFromSearch({
        ...(name !== undefined && { range: name }),
        ...(from !== undefined && to !== undefined && { from, to }),
      }),
    [name, from, to],
  );
  const onNames = useCallback(
    (next: string[]) =>
      void navigate({ search: (old) => ({ ...old, s: next.join(',') }), replace: true, resetScroll: false }),
    [navigate],
  );
  const onRange = useCallback(
    (next: Range) =>
      void navigate({
        search: (old) => ({ ...(old.s !== undefined && { s: old.s }), ...rangeToSearch(next) }),
        resetScroll: false,
      }),
    [navigate],
  );

  if (vehicle.error instanceof ApiError && vehicle.error.status === 404) return <NotFoundPage what="This vehicle" />;
  const row = vehicle.data === undefined ? null : toRow(vehicle.data, live);
  return (
    <div className="page">
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to="/">Fleet</Link>
      </nav>
      {vehicle.isError && vehicle.data === undefined && (
        <ErrorNotice
          error={vehicle.error}
          what="This vehicle could not be read."
          onRetry={() => void vehicle.refetch()}
        />
      )}
      {vehicle.isPending && (
        <>
          <h1 className="visually-hidden">Vehicle</h1>
          <Skeleton lines={10} label="Reading the vehicle" />
        </>
      )}
      {vehicle.data !== undefined && row !== null && (
        <>
          <VehicleHead vehicle={vehicle.data} row={row} />
          <StatesPanel id={id} />
          <div className="vehicle-top">
            <TrackPanel row={row} />
            <ValuesPanel id={id} />
          </div>
          <Panel title="Charts">
            <Charts vehicleId={id} names={names} range={range} onNames={onNames} onRange={onRange} />
          </Panel>
          <div className="vehicle-bottom">
            <Faults id={id} />
            <Events id={id} />
          </div>
        </>
      )}
    </div>
  );
}
