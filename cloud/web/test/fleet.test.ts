import { describe, expect, test } from 'vitest';
import type { VehicleSummary } from '../src/api/types';
import { countByStatus, isMatch, sortRows, toMapVehicles, toRow } from '../src/pages/fleet/rows';
import { dataWords, kindWords } from '../src/pages/vehicle/eventWords';
import { stretchesOf, stretchWords } from '../src/pages/vehicle/states';

const summary = (id: number, change: Partial<VehicleSummary> = {}): VehicleSummary => ({
  id,
  name: `Van ${id}`,
  plate: null,
  vin: null,
  make: 'Ford',
  model: 'Transit',
  year: 2021,
  device_id: 'mp-1',
  state: { status: 'parked', since: null },
  last_seen: '1970-01-01T00:00:10Z',
  position: { lat_deg: 47, lon_deg: 9, heading_deg: 10, speed_kmh: 0, ts: '1970-01-01T00:00:10Z' },
  values: { fuel_level_pct: 50 },
  fault_count: 0,
  ...change,
});

describe('rows', () => {
  test('take the newer of list and live link', () => {
    const live = {
      id: 1,
      status: 'driving' as const,
      ts_ms: 20_000,
      lat_deg: 48,
      lon_deg: 10,
      heading_deg: 90,
      speed_kmh: 60,
      values: { fuel_level_pct: 49 },
    };
    expect(toRow(summary(1), live)).toMatchObject({ status: 'driving', lastMs: 20_000, lat: 48, speed: 60, fuel: 49 });
    expect(toRow(summary(1), { ...live, ts_ms: 5_000 })).toMatchObject({ lastMs: 10_000, lat: 47, fuel: 50 });
    expect(toRow(summary(1), undefined)).toMatchObject({ status: 'parked', lastMs: 10_000 });
  });

  test('a vehicle that is parked or silent has no speed, whatever the last one was', () => {
    const parked = summary(1, { values: { speed_kmh: 42 } });
    expect(toRow(parked, undefined).speed).toBeNull();
    expect(toRow({ ...parked, state: { status: 'idling', since: null } }, undefined).speed).toBe(42);
  });

  test('a vehicle never heard of has no place on the map', () => {
    const row = toRow(summary(1, { last_seen: null, position: null, values: {} }), undefined);
    expect(row).toMatchObject({ lastMs: null, lat: null, speed: null });
    expect(toMapVehicles([row])).toEqual([]);
  });

  test('are found by words in any order', () => {
    const row = toRow(summary(7, { plate: 'FL 123' }), undefined);
    expect(isMatch(row, '', undefined)).toBe(true);
    expect(isMatch(row, 'transit fl', undefined)).toBe(true);
    expect(isMatch(row, 'mp-1 VAN', 'parked')).toBe(true);
    expect(isMatch(row, 'van', 'driving')).toBe(false);
    expect(isMatch(row, 'bus', undefined)).toBe(false);
  });

  test('are sorted by number within names, and stay in place when equal', () => {
    const rows = [10, 2, 1].map((id) => toRow(summary(id), undefined));
    const ids = (isDown: boolean, key: 'name' | 'speed') => sortRows(rows, { key, isDown }).map(({ id }) => id);
    expect(ids(false, 'name')).toEqual([1, 2, 10]);
    expect(ids(true, 'name')).toEqual([10, 2, 1]);
    expect(ids(true, 'speed')).toEqual([1, 2, 10]);
    expect(countByStatus(rows)).toMatchObject({ parked: 3, driving: 0 });
  });
});

describe('the last day of a vehicle', () => {
  const at = (hour: number) => new Date(hour * 3_600_000).toISOString();
  test('is cut at the window and said in a sentence', () => {
    const stretches = stretchesOf(
      [
        { status: 'parked', from: at(0), to: at(12) },
        { status: 'driving', from: at(12), to: at(13.5) },
        { status: 'idling', from: at(13.5), to: null },
        { status: 'silent', from: at(1), to: at(2) },
      ],
      10 * 3_600_000,
      14 * 3_600_000,
    );
    expect(stretches.map(({ left, width }) => [left, width])).toEqual([
      [0, 0.5],
      [0.5, 0.375],
      [0.875, 0.125],
    ]);
    expect(stretchWords(stretches)).toBe('Driving 1 h 30 min, idling 30 min, parked 2 h.');
    expect(stretchWords([])).toBe('Nothing is known of this time.');
  });
});

describe('events', () => {
  test('are said in words, also those that the app does not know', () => {
    expect(kindWords('dtc_set')).toBe('Trouble code set');
    expect(kindWords('harsh_brake')).toBe('Harsh brake');
    const event = { ts: '', kind: 'dtc_set', device_id: 'mp-1', seq: 1 };
    expect(
      dataWords({ ...event, data: { code: 'P0301', last_boot: 4, set_aside: null, list: [1, 2], cvns: [] } }),
    ).toBe('code P0301, last boot 4, list 1 + 2, cvns none');
    expect(dataWords({ ...event, data: { code: 'P0301', freeze: { engine_rpm: 1726, coolant_c: 83 } } })).toBe(
      'code P0301, freeze engine rpm 1726 + coolant c 83',
    );
  });
});
