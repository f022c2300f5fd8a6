import type { HistorySeries } from '../api/types';
import { formatClock, formatCount, formatDuration, formatMinute, formatNumber, plural } from '../lib/format';
import { convert, type UnitSystem, unitDigits, unitLabel, unitSpoken } from '../lib/units';

export type Gap = { fromMs: number; toMs: number };

/** One pane's data in the units of the eye. Columns are of equal length, x in epoch seconds as uPlot wants it. */
export type PaneData = {
  x: number[];
  value: (number | null)[];
  min: (number | null)[] | null;
  max: (number | null)[] | null;
  gaps: Gap[];
};

export type Stats = { count: number; low: number; high: number; mean: number; last: number; lastMs: number };

const convertAll = (column: readonly (number | null)[], unit: string, system: UnitSystem) =>
  column.map((value) => (value === null ? null : convert(value, unit, system)));

/** Where nothing was measured: each run of nulls with the values on both its sides. */
export function findGaps(tsMs: readonly number[], value: readonly (number | null)[]): Gap[] {
  const gaps: Gap[] = [];
  let lastMs: number | null = null;
  let isOpen = false;
  for (const [index, at] of tsMs.entries()) {
    if (value[index] === null || value[index] === undefined) {
      isOpen = lastMs !== null;
      continue;
    }
    if (isOpen && lastMs !== null) gaps.push({ fromMs: lastMs, toMs: at });
    isOpen = false;
    lastMs = at;
  }
  return gaps;
}

export const shapeSeries = (series: HistorySeries, system: UnitSystem): PaneData => ({
  x: series.ts_ms.map((ms) => ms / 1000),
  value: convertAll(series.value, series.unit, system),
  min: series.min === null ? null : convertAll(series.min, series.unit, system),
  max: series.max === null ? null : convertAll(series.max, series.unit, system),
  gaps: findGaps(series.ts_ms, series.value),
});

/** Lowest and highest are those of the raw samples where the tier kept them. Null when nothing was measured. */
export function statsOf(data: PaneData): Stats | null {
  let count = 0;
  let sum = 0;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  let last = 0;
  let lastMs = 0;
  for (const [index, value] of data.value.entries()) {
    if (value === null) continue;
    count += 1;
    sum += value;
    low = Math.min(low, data.min?.[index] ?? value);
    high = Math.max(high, data.max?.[index] ?? value);
    last = value;
    lastMs = (data.x[index] ?? 0) * 1000;
  }
  return count === 0 ? null : { count, low, high, mean: sum / count, last, lastMs };
}

/** Index of the newest value at or before `ms`, -1 when there is none. Nulls are not skipped: a gap reads as a gap. */
export function indexAt(x: readonly number[], ms: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) * 1000 <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A pane in words, for those who do not see it. */
export function describe(title: string, data: PaneData, unit: string, system: UnitSystem, tierWords: string): string {
  const stats = statsOf(data);
  if (stats === null) return `${title}: nothing was measured in this range.`;
  const digits = unitDigits(unit, system);
  const n = (value: number) => formatNumber(value, digits);
  const longest = data.gaps.reduce((most, gap) => Math.max(most, gap.toMs - gap.fromMs), 0);
  const gaps =
    data.gaps.length === 0
      ? 'No gaps.'
      : `${plural(data.gaps.length, 'gap')}, the longest ${formatDuration(longest / 1000)}.`;
  const spoken = unitSpoken(unit, system);
  const first = formatMinute((data.x[0] ?? 0) * 1000);
  return (
    `${title}: ${formatCount(stats.count)} ${tierWords} from ${first} to ${formatMinute(stats.lastMs)}. ` +
    `Lowest ${n(stats.low)}, mean ${n(stats.mean)}, highest ${n(stats.high)}, last ${n(stats.last)}` +
    `${spoken === '' ? '' : ` ${spoken}`}. ${gaps}`
  );
}

/** What the cursor stands on, as text: "46 km/h", or that there is nothing. */
export function readout(data: PaneData, atMs: number | null, unit: string, system: UnitSystem): string {
  const index = atMs === null ? data.x.length - 1 : indexAt(data.x, atMs);
  const value = data.value[index] ?? null;
  if (value === null) return 'no value';
  const label = unitLabel(unit, system);
  const text = formatNumber(value, unitDigits(unit, system));
  const at = (data.x[index] ?? 0) * 1000;
  return `${text}${label === '' ? '' : ` ${label}`} at ${formatClock(at)}`;
}

/** Rows of the data table: every instant of any pane, newest first, at most `limit` of them. */
export function tableRows(panes: readonly PaneData[], limit: number): { atMs: number; cells: (number | null)[] }[] {
  const rows = new Map<number, (number | null)[]>();
  for (const [column, pane] of panes.entries()) {
    for (const [index, seconds] of pane.x.entries()) {
      const value = pane.value[index] ?? null;
      if (value === null) continue;
      const atMs = Math.round(seconds * 1000);
      const cells = rows.get(atMs) ?? new Array<number | null>(panes.length).fill(null);
      cells[column] = value;
      rows.set(atMs, cells);
    }
  }
  return [...rows.entries()]
    .sort(([a], [b]) => b - a)
    .slice(0, limit)
    .map(([atMs, cells]) => ({ atMs, cells }));
}
