import { infiniteQueryOptions, keepPreviousData, QueryClient, queryOptions } from '@tanstack/react-query';
import { ApiError, get } from './client';
import type * as T from './types';

/** An answer that will not change by asking again is not asked again. */
const isWorthRetrying = (failures: number, error: Error) =>
  failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500);

export const makeQueryClient = (): QueryClient =>
  new QueryClient({
    defaultOptions: {
      // `always`: the live link says whether the server is there; the browser's own idea of "online" is wrong too often.
      queries: { networkMode: 'always', staleTime: 5_000, retry: isWorthRetrying, refetchOnWindowFocus: true },
    },
  });

const PAGE_SIZE = 500;

/** All vehicles, page after page: the fleet list filters and sorts them here. */
async function allPages<V>(path: string, signal: AbortSignal): Promise<V[]> {
  const items: V[] = [];
  let cursor: string | undefined;
  do {
    const page: T.Page<V> = await get(path, { limit: PAGE_SIZE, cursor }, signal);
    items.push(...page.items);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return items;
}

export const vehiclesQuery = queryOptions({
  queryKey: ['vehicles'],
  queryFn: ({ signal }) => allPages<T.VehicleSummary>('/vehicles', signal),
  refetchInterval: 30_000,
});

export const vehicleQuery = (id: number) =>
  queryOptions({
    queryKey: ['vehicles', id],
    queryFn: ({ signal }) => get<T.VehicleSummary>(`/vehicles/${id}`, {}, signal),
    refetchInterval: 15_000,
  });

export const vehicleStateQuery = (id: number) =>
  queryOptions({
    queryKey: ['vehicles', id, 'state'],
    queryFn: ({ signal }) => get<T.VehicleState>(`/vehicles/${id}/state`, {}, signal),
    refetchInterval: 5_000,
  });

export type Span = { fromMs: number; toMs: number };

const iso = (ms: number) => new Date(ms).toISOString();

/** `refreshMs` 0 asks once: a fixed range of the past changes only when late frames arrive. */
export const historyQuery = (
  id: number,
  signals: readonly string[],
  rangeKey: string,
  span: () => Span,
  refreshMs: number,
) =>
  queryOptions({
    queryKey: ['vehicles', id, 'history', rangeKey, [...signals].sort().join(',')],
    queryFn: ({ signal }) => {
      const { fromMs, toMs } = span();
      const query = { signals: signals.join(','), from: iso(fromMs), to: iso(toMs), points: 800 };
      return get<T.History>(`/vehicles/${id}/history`, query, signal);
    },
    enabled: signals.length > 0,
    refetchInterval: refreshMs > 0 ? refreshMs : false,
    placeholderData: keepPreviousData,
  });

export const trackQuery = (id: number, hours: number, span: () => Span) =>
  queryOptions({
    queryKey: ['vehicles', id, 'track', hours],
    queryFn: ({ signal }) => {
      const { fromMs, toMs } = span();
      return get<T.Track>(`/vehicles/${id}/track`, { from: iso(fromMs), to: iso(toMs), points: 2000 }, signal);
    },
    refetchInterval: 30_000,
    placeholderData: keepPreviousData,
  });

export const statesQuery = (id: number, hours: number, span: () => Span) =>
  queryOptions({
    queryKey: ['vehicles', id, 'states', hours],
    queryFn: ({ signal }) => {
      const { fromMs, toMs } = span();
      return get<{ items: T.StateInterval[] }>(`/vehicles/${id}/states`, { from: iso(fromMs), to: iso(toMs) }, signal);
    },
    refetchInterval: 30_000,
    placeholderData: keepPreviousData,
  });

export const faultsQuery = (id: number) =>
  queryOptions({
    queryKey: ['vehicles', id, 'faults'],
    queryFn: ({ signal }) => get<{ items: T.Fault[] }>(`/vehicles/${id}/faults`, {}, signal),
    refetchInterval: 30_000,
  });

export const eventsQuery = (id: number) =>
  infiniteQueryOptions({
    queryKey: ['vehicles', id, 'events'],
    queryFn: ({ signal, pageParam }) =>
      get<T.Page<T.VehicleEvent>>(`/vehicles/${id}/events`, { limit: 25, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    refetchInterval: 30_000,
  });

export const devicesQuery = queryOptions({
  queryKey: ['devices'],
  queryFn: ({ signal }) => get<{ items: T.DeviceSummary[] }>('/devices', {}, signal),
  refetchInterval: 10_000,
});

export const deviceQuery = (id: string) =>
  queryOptions({
    queryKey: ['devices', id],
    queryFn: ({ signal }) => get<T.DeviceSummary>(`/devices/${encodeURIComponent(id)}`, {}, signal),
    refetchInterval: 10_000,
  });

export const ledgerQuery = (id: string) =>
  queryOptions({
    queryKey: ['devices', id, 'ledger'],
    queryFn: ({ signal }) => get<T.Ledger>(`/devices/${encodeURIComponent(id)}/ledger`, {}, signal),
    refetchInterval: 5_000,
  });

export const signalsQuery = queryOptions({
  queryKey: ['signals'],
  queryFn: ({ signal }) => get<T.Catalogue>('/signals', {}, signal),
  staleTime: Number.POSITIVE_INFINITY,
});

export const summaryQuery = queryOptions({
  queryKey: ['summary'],
  queryFn: ({ signal }) => get<T.Summary>('/summary', {}, signal),
  refetchInterval: 3_000,
});
