import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react';
import { vehiclesQuery } from '../../api/queries';
import type { VehicleStatus } from '../../api/types';
import { useTitle } from '../../app/title';
import { useLiveVehicles } from '../../live/store';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { SearchBox } from '../../ui/SearchBox';
import { Skeleton } from '../../ui/Skeleton';
import type { Sort } from '../../ui/SortHeader';
import { ChosenCard } from './ChosenCard';
import { DeliveryFigures } from './DeliveryFigures';
import { countByStatus, type FleetSearch, isMatch, type SortKey, sortRows, toMapVehicles, toRow } from './rows';
import { StateFilter } from './StateFilter';
import { VehicleTable } from './VehicleTable';
import './fleet.css';

const FleetMap = lazy(() => import('../../map/FleetMap').then(({ FleetMap }) => ({ default: FleetMap })));

export function FleetPage() {
  useTitle('Fleet');
  const { q = '', status, v = null } = useSearch({ from: '/' });
  const navigate = useNavigate({ from: '/' });
  const vehicles = useQuery(vehiclesQuery);
  const live = useLiveVehicles();
  const [sort, setSort] = useState<Sort<SortKey>>({ key: 'name', isDown: false });
  const [isFollowing, setFollowing] = useState(false);

  // A device may register while this page is open: its vehicle is live before the list knows it.
  const { data: known, refetch } = vehicles;
  const hasNew = useMemo(() => {
    const ids = new Set(known?.map(({ id }) => id));
    return known !== undefined && [...live.keys()].some((id) => !ids.has(id));
  }, [known, live]);
  useEffect(() => {
    if (hasNew) void refetch();
  }, [hasNew, refetch]);

  const rows = useMemo(
    () => (vehicles.data ?? []).map((vehicle) => toRow(vehicle, live.get(vehicle.id))),
    [vehicles.data, live],
  );
  const shown = useMemo(
    () =>
      sortRows(
        rows.filter((row) => isMatch(row, q, status)),
        sort,
      ),
    [rows, q, status, sort],
  );
  const onMap = useMemo(() => toMapVehicles(shown), [shown]);
  const chosen = rows.find((row) => row.id === v);

  const change = useCallback(
    (next: (old: FleetSearch) => FleetSearch) =>
      void navigate({ search: (old) => next(old as FleetSearch), replace: true, resetScroll: false }),
    [navigate],
  );
  const choose = useCallback(
    (id: number | null) => {
      if (id === null) setFollowing(false);
      change(({ v: _, ...rest }) => (id === null ? rest : { ...rest, v: id }));
    },
    [change],
  );
  const search = (text: string) => change(({ q: _, ...rest }) => (text === '' ? rest : { ...rest, q: text }));
  const filter = (next: VehicleStatus | undefined) =>
    change(({ status: _, ...rest }) => (next === undefined ? rest : { ...rest, status: next }));
  const open = (id: number) => void navigate({ to: '/vehicles/$id', params: { id: String(id) } });

  return (
    <div className="fleet">
      <h1 className="visually-hidden">Fleet</h1>
      <div className="strip">
        <StateFilter counts={countByStatus(rows)} total={rows.length} status={status} onStatus={filter} />
        <DeliveryFigures />
      </div>
      <div className="fleet-map">
        <Suspense
          fallback={
            <div className="map-frame is-waiting" role="status">
              Opening the map…
            </div>
          }
        >
          <FleetMap
            vehicles={onMap}
            selectedId={v}
            onSelect={choose}
            isFollowing={isFollowing}
            onFollowing={setFollowing}
            onOpen={open}
          />
        </Suspense>
        {chosen !== undefined && <ChosenCard row={chosen} onClose={() => choose(null)} />}
      </div>
      <section className="fleet-list" aria-label="Vehicle list">
        <SearchBox label="Search vehicles" placeholder="Name, plate, model or device" value={q} onChange={search} />
        {vehicles.isError && (
          <ErrorNotice
            error={vehicles.error}
            what="The vehicles could not be read."
            onRetry={() => void vehicles.refetch()}
          />
        )}
        {vehicles.isPending && <Skeleton lines={9} label="Reading the vehicles" />}
        {vehicles.data?.length === 0 && (
          <p className="empty">
            No vehicle yet. A device appears here by itself with its first frame: start one with{' '}
            <code>milepost run</code>.
          </p>
        )}
        {rows.length > 0 && shown.length === 0 && <p className="empty">No vehicle fits this search.</p>}
        {shown.length > 0 && <VehicleTable rows={shown} sort={sort} onSort={setSort} chosenId={v} onChoose={choose} />}
        <p className="visually-hidden" role="status">
          {vehicles.data === undefined ? '' : `${shown.length} of ${rows.length} vehicles listed`}
        </p>
      </section>
    </div>
  );
}
