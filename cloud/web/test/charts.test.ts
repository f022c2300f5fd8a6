import { describe, expect, test } from 'vitest';
import type { HistorySeries } from '../src/api/types';
import { fixed, rangeFromSearch, rangeToSearch, SHORTEST_MS, shift, spanOf, zoom } from '../src/charts/range';
import { findGaps, indexAt, describe as inWords, readout, shapeSeries, statsOf, tableRows } from '../src/charts/shape';
import { trackLengthKm, trackLines } from '../src/map/track';

const speed: HistorySeries = {
  signal: 'speed_kmh',
  unit: 'km/h',
  ts_ms: [0, 1000, 2000, 3000, 4000],
  value: [10, 20, null, null, 40],
  min: [8, 18, null, null, 35],
  max: [12, 25, null, null, 50],
};

describe('shape', () => {
  test('converts the units and the time', () => {
    const data = shapeSeries(speed, 'imperial');
    expect(data.x).toEqual([0, 1, 2, 3, 4]);
    expect(data.value[0]).toBeCloseTo(6.2137, 4);
    expect(data.value[2]).toBeNull();
    expect(data.max?.[4]).toBeCloseTo(31.0686, 4);
  });

  test('a gap reaches from the value before it to the one after', () => {
    expect(findGaps(speed.ts_ms, speed.value)).toEqual([{ fromMs: 1000, toMs: 4000 }]);
    expect(findGaps([0, 1, 2], [null, 1, null])).toEqual([]);
    expect(findGaps([], [])).toEqual([]);
  });

  test('lowest and highest are those of the samples, not of the means', () => {
    expect(statsOf(shapeSeries(speed, 'metric'))).toEqual({
      count: 3,
      low: 8,
      high: 50,
      mean: 70 / 3,
      last: 40,
      lastMs: 4000,
    });
    expect(statsOf({ x: [1], value: [null], min: null, max: null, gaps: [] })).toBeNull();
  });

  test('the cursor reads the newest value at or before it, and a gap as a gap', () => {
    const data = shapeSeries(speed, 'metric');
    expect(indexAt(data.x, 1500)).toBe(1);
    expect(indexAt(data.x, -1)).toBe(-1);
    expect(indexAt(data.x, 99_000)).toBe(4);
    expect(readout(data, 1500, 'km/h', 'metric')).toMatch(/^20 km\/h at /);
    expect(readout(data, 2500, 'km/h', 'metric')).toBe('no value');
    expect(readout(data, null, 'km/h', 'metric')).toMatch(/^40 km\/h at /);
  });

  test('a pane in words', () => {
    const words = inWords('Vehicle speed', shapeSeries(speed, 'metric'), 'km/h', 'metric', 'values');
    expect(words).toContain('Lowest 8, mean 23, highest 50, last 40 kilometres per hour. 1 gap, the longest 3 s.');
    const none = { x: [], value: [], min: null, max: null, gaps: [] };
    expect(inWords('Vehicle speed', none, 'km/h', 'metric', 'values')).toBe(
      'Vehicle speed: nothing was measured in this range.',
    );
  });

  test('the table joins the panes by instant, newest first', () => {
    const other = { x: [4, 5], value: [1, 2], min: null, max: null, gaps: [] };
    expect(tableRows([shapeSeries(speed, 'metric'), other], 3)).toEqual([
      { atMs: 5000, cells: [null, 2] },
      { atMs: 4000, cells: [40, 1] },
      { atMs: 1000, cells: [20, null] },
    ]);
  });
});

describe('range', () => {
  const hour = { fromMs: 0, toMs: 3_600_000 };
  test('zooms about the cursor, and not below what was sampled', () => {
    expect(zoom(hour, 0.5, 0)).toEqual({ kind: 'fixed', fromMs: 0, toMs: 1_800_000 });
    expect(zoom(hour, 2)).toEqual({ kind: 'fixed', fromMs: -1_800_000, toMs: 5_400_000 });
    const closest = spanOf(zoom({ fromMs: 0, toMs: SHORTEST_MS }, 0.1), 0);
    expect(closest.toMs - closest.fromMs).toBe(SHORTEST_MS);
  });

  test('moves, but not into the future', () => {
    expect(shift(hour, -0.5, 3_600_000)).toEqual({ kind: 'fixed', fromMs: -1_800_000, toMs: 1_800_000 });
    expect(shift(hour, 0.5, 3_700_000)).toEqual({ kind: 'fixed', fromMs: 100_000, toMs: 3_700_000 });
  });

  test('stands in the address and comes back from it', () => {
    for (const range of [fixed(1_000_000, 2_000_000), { kind: 'last', name: '7d' } as const]) {
      expect(rangeFromSearch(rangeToSearch(range))).toEqual(range);
    }
    expect(rangeFromSearch({ from: 9, to: 3 })).toEqual({ kind: 'last', name: '15m' });
    expect(spanOf({ kind: 'last', name: '1h' }, 7_200_000)).toEqual({ fromMs: 3_600_000, toMs: 7_200_000 });
  });
});

describe('track', () => {
  test('is broken where the vehicle was silent', () => {
    const track = {
      ts_ms: [0, 1000, 500_000, 501_000, 900_000],
      lat_deg: [47, 47.01, 47.2, 47.21, 48],
      lon_deg: [9, 9, 9, 9, 9],
      speed_kmh: [1, 1, 1, 1, 1],
    };
    const lines = trackLines(track);
    expect(lines).toEqual([
      [
        [9, 47],
        [9, 47.01],
      ],
      [
        [9, 47.2],
        [9, 47.21],
      ],
    ]);
    expect(trackLengthKm(lines)).toBeCloseTo(2.224, 2);
  });
});
