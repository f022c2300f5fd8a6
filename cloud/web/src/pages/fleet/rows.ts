import type { LiveVehicle, VehicleStatus, VehicleSummary } from '../../api/types';
import { STATUSES } from '../../lib/status';
import type { MapVehicle } from '../../map/fleetOverlay';
import type { Sort } from '../../ui/SortHeader';

/** What the address of the fleet page carries: the search, one state, the chosen vehicle. */
export type FleetSearch = { q?: string; status?: VehicleStatus; v?: number };

export type FleetRow = {
  id: number;
  name: string;
  plate: string | null;
  makeModel: string;
  deviceId: string | null;
  status: VehicleStatus;
  lastMs: number | null;
  lat: number | null;
  lon: number | null;
  heading: number | null;
  speed: number | null;
  fuel: number | null;
  faults: number;
};

/** A vehicle of the list with the newest that is known of it, from the live link or from the list itself. */
export function toRow(vehicle: VehicleSummary, live: LiveVehicle | undefined): FleetRow {
  const listMs = vehicle.last_seen === null ? null : Date.parse(vehicle.last_seen);
  const isLiveNewer = live !== undefined && live.ts_ms !== null && (listMs === null || live.ts_ms >= listMs);
  const hasLivePlace = isLiveNewer && live.lat_deg !== null && live.lon_deg !== null;
  const { position } = vehicle;
  const values = isLiveNewer ? { ...vehicle.values, ...live.values } : vehicle.values;
  const status = live?.status ?? vehicle.state.status;
  // A speed is of now or it is none: the last one of a vehicle that has been parked since says nothing.
  const isOn = status === 'driving' || status === 'idling';
  const lastSpeed =
    isLiveNewer && live.speed_kmh !== null ? live.speed_kmh : (values.speed_kmh ?? position?.speed_kmh ?? null);
  return {
    id: vehicle.id,
    name: vehicle.name,
    plate: vehicle.plate,
    makeModel: [vehicle.make, vehicle.model, vehicle.year].filter((part) => part !== null).join(' '),
    deviceId: vehicle.device_id,
    status,
    lastMs: isLiveNewer ? live.ts_ms : listMs,
    lat: hasLivePlace ? live.lat_deg : (position?.lat_deg ?? null),
    lon: hasLivePlace ? live.lon_deg : (position?.lon_deg ?? null),
    heading: hasLivePlace ? live.heading_deg : (position?.heading_deg ?? null),
    speed: isOn ? lastSpeed : null,
    fuel: values.fuel_level_pct ?? null,
    faults: vehicle.fault_count,
  };
}

/** What a row is found by: its name, plate, make, model or device. */
export function isMatch(row: FleetRow, query: string, status: VehicleStatus | undefined): boolean {
  if (status !== undefined && row.status !== status) return false;
  const hay = `${row.name} ${row.plate ?? ''} ${row.makeModel} ${row.deviceId ?? ''}`.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

export type SortKey = 'name' | 'status' | 'speed' | 'seen';

const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
const byName = (a: FleetRow, b: FleetRow) => names.compare(a.name, b.name);

const COMPARE: Record<SortKey, (a: FleetRow, b: FleetRow) => number> = {
  name: byName,
  status: (a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status),
  speed: (a, b) => (b.speed ?? -1) - (a.speed ?? -1),
  seen: (a, b) => (b.lastMs ?? 0) - (a.lastMs ?? 0),
};

/** Sorted by one column, then by name, so that equal rows keep their places while numbers move. */
export function sortRows(rows: readonly FleetRow[], { key, isDown }: Sort<SortKey>): FleetRow[] {
  const compare = COMPARE[key];
  return [...rows].sort((a, b) => (isDown ? compare(b, a) : compare(a, b)) || byName(a, b));
}

export const toMapVehicles = (rows: readonly FleetRow[]): MapVehicle[] =>
  rows.flatMap(({ id, name, status, lat, lon, heading }) =>
    lat === null || lon === null ? [] : [{ id, name, status, lat_deg: lat, lon_deg: lon, heading_deg: heading }],
  );

export function countByStatus(rows: readonly FleetRow[]): Record<VehicleStatus, number> {
  const counts = { driving: 0, idling: 0, parked: 0, silent: 0, unknown: 0 };
  for (const { status } of rows) counts[status] += 1;
  return counts;
}
