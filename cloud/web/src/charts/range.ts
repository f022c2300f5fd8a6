import type { Span } from '../api/queries';

export type RangeName = '15m' | '1h' | '24h' | '7d';
export type Range = { kind: 'last'; name: RangeName } | { kind: 'fixed'; fromMs: number; toMs: number };

export const RANGES: Record<RangeName, { label: string; spoken: string; spanMs: number; refreshMs: number }> = {
  '15m': { label: '15 min', spoken: 'Last 15 minutes', spanMs: 900_000, refreshMs: 5_000 },
  '1h': { label: '1 h', spoken: 'Last hour', spanMs: 3_600_000, refreshMs: 15_000 },
  '24h': { label: '24 h', spoken: 'Last 24 hours', spanMs: 86_400_000, refreshMs: 60_000 },
  '7d': { label: '7 d', spoken: 'Last 7 days', spanMs: 604_800_000, refreshMs: 300_000 },
};

export const RANGE_NAMES = Object.keys(RANGES) as RangeName[];

/** Closer than this there is nothing more to see: a sample comes each second. */
export const SHORTEST_MS = 10_000;
export const LONGEST_MS = 366 * 86_400_000;

export const spanOf = (range: Range, nowMs: number): Span =>
  range.kind === 'fixed'
    ? { fromMs: range.fromMs, toMs: range.toMs }
    : { fromMs: nowMs - RANGES[range.name].spanMs, toMs: nowMs };

export const rangeKey = (range: Range): string =>
  range.kind === 'fixed' ? `${range.fromMs}-${range.toMs}` : range.name;

/** A fixed range, whole milliseconds, never shorter or longer than makes sense. */
export function fixed(fromMs: number, toMs: number): Range {
  const length = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, toMs - fromMs));
  const middle = (fromMs + toMs) / 2;
  return { kind: 'fixed', fromMs: Math.round(middle - length / 2), toMs: Math.round(middle + length / 2) };
}

/** Zoom by `factor` (below 1 is closer), keeping `aboutMs` where it stands. */
export function zoom({ fromMs, toMs }: Span, factor: number, aboutMs = (fromMs + toMs) / 2): Range {
  return fixed(aboutMs - (aboutMs - fromMs) * factor, aboutMs + (toMs - aboutMs) * factor);
}

/** Move by a share of the range's length, never beyond now. */
export function shift({ fromMs, toMs }: Span, share: number, nowMs: number): Range {
  const by = Math.min((toMs - fromMs) * share, nowMs - toMs);
  return fixed(fromMs + by, toMs + by);
}

/** The search parameters of the vehicle page. */
export type RangeSearch = { range?: RangeName; from?: number; to?: number };

export function rangeFromSearch(search: RangeSearch): Range {
  const { from, to } = search;
  if (from !== undefined && to !== undefined && to > from) return fixed(from, to);
  return { kind: 'last', name: search.range ?? '15m' };
}

export const rangeToSearch = (range: Range): RangeSearch =>
  range.kind === 'fixed' ? { from: range.fromMs, to: range.toMs } : { range: range.name };
