import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { devicesQuery } from '../../api/queries';
import type { DeviceSummary } from '../../api/types';
import { useMay } from '../../app/access';
import { useTitle } from '../../app/title';
import { formatCount } from '../../lib/format';
import { Age, toMs } from '../../ui/Age';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { ScrollTable } from '../../ui/ScrollTable';
import { SearchBox } from '../../ui/SearchBox';
import { Skeleton } from '../../ui/Skeleton';
import { type Sort, SortHeader } from '../../ui/SortHeader';

type Key = 'id' | 'vehicle' | 'seen' | 'stored' | 'pending' | 'lost';

const names = new Intl.Collator('en', { numeric: true });
const COMPARE: Record<Key, (a: DeviceSummary, b: DeviceSummary) => number> = {
  id: (a, b) => names.compare(a.id, b.id),
  vehicle: (a, b) => names.compare(a.vehicle_name ?? '', b.vehicle_name ?? ''),
  seen: (a, b) => (toMs(b.last_seen) ?? 0) - (toMs(a.last_seen) ?? 0),
  stored: (a, b) => b.totals.stored - a.totals.stored,
  pending: (a, b) => b.totals.pending - a.totals.pending,
  lost: (a, b) => b.totals.lost - a.totals.lost,
};

const HEADS: readonly [key: Key, word: string, isNumber: boolean][] = [
  ['id', 'Device', false],
  ['vehicle', 'Vehicle', false],
  ['seen', 'Last heard', false],
  ['stored', 'Stored', true],
  ['pending', 'On the way', true],
  ['lost', 'Lost', true],
];

function Row({ device }: { device: DeviceSummary }) {
  const { totals } = device;
  return (
    <tr>
      <th scope="row">
        <Link to="/devices/$id" params={{ id: device.id }} className="row-link">
          {device.id}
        </Link>
        {device.is_forked && <span className="tag is-bad">forked</span>}
      </th>
      <td>
        {device.vehicle_id === null ? (
          <span className="muted">none</span>
        ) : (
          <Link to="/vehicles/$id" params={{ id: String(device.vehicle_id) }} className="row-link">
            {device.vehicle_name ?? device.vehicle_id}
          </Link>
        )}
      </td>
      <td>
        <Age ms={toMs(device.last_seen)} />
      </td>
      <td className="number">{formatCount(totals.stored)}</td>
      <td className="number">{formatCount(totals.pending)}</td>
      <td className="number">
        {totals.lost === 0 ? '0' : <strong className="is-bad">{formatCount(totals.lost)}</strong>}
      </td>
      <td className="number">
        {totals.quarantined === 0 ? '0' : <strong className="is-bad">{formatCount(totals.quarantined)}</strong>}
      </td>
      <td>{device.agent_version ?? '–'}</td>
    </tr>
  );
}

export function DevicesPage() {
  useTitle('Devices');
  const devices = useQuery(devicesQuery);
  const mayManage = useMay()('devices.manage') === true;
  const [query, setQuery] = useState('');
  const [sort, setSort] = useState<Sort<Key>>({ key: 'id', isDown: false });
  const shown = useMemo(() => {
    const word = query.trim().toLowerCase();
    const compare = COMPARE[sort.key];
    return (devices.data?.items ?? [])
      .filter(({ id, vehicle_name }) => `${id} ${vehicle_name ?? ''}`.toLowerCase().includes(word))
      .sort((a, b) => (sort.isDown ? compare(b, a) : compare(a, b)) || COMPARE.id(a, b));
  }, [devices.data, query, sort]);

  return (
    <div className="page">
      <header className="head">
        <div>
          <h1>Devices</h1>
          <p className="muted">The boxes in the vehicles, and what became of every frame they made.</p>
        </div>
        <div className="head-tools">
          {mayManage && (
            <Link to="/admin/claims" className="button">
              Let devices in
            </Link>
          )}
          <SearchBox label="Search devices" placeholder="Device or vehicle" value={query} onChange={setQuery} />
        </div>
      </header>
      {devices.isError && (
        <ErrorNotice
          error={devices.error}
          what="The devices could not be read."
          onRetry={() => void devices.refetch()}
        />
      )}
      {devices.isPending && <Skeleton lines={8} label="Reading the devices" />}
      {devices.data?.items.length === 0 && (
        <p className="empty">No device has said hello yet. It will be here by itself after its first frame.</p>
      )}
      {devices.data !== undefined && devices.data.items.length > 0 && shown.length === 0 && (
        <p className="empty">No device fits this search.</p>
      )}
      {shown.length > 0 && (
        <ScrollTable label="Devices">
          <thead>
            <tr>
              {HEADS.map(([key, word, isNumber]) => (
                <SortHeader key={key} name={key} sort={sort} onSort={setSort} className={isNumber ? 'number' : ''}>
                  {word}
                </SortHeader>
              ))}
              <th scope="col" className="number">
                Quarantined
              </th>
              <th scope="col">Version</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((device) => (
              <Row key={device.id} device={device} />
            ))}
          </tbody>
        </ScrollTable>
      )}
    </div>
  );
}
