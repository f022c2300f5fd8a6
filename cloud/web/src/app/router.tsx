import {
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  lazyRouteComponent,
} from '@tanstack/react-router';
import type { AuditSearch } from '../api/people';
import { RANGE_NAMES, type RangeName, type RangeSearch } from '../charts/range';
import { STATUSES } from '../lib/status';
import { HomePage } from '../pages/fleet/HomePage';
import type { FleetSearch } from '../pages/fleet/rows';
import { NotFoundPage } from '../pages/NotFoundPage';
import { ErrorNotice } from '../ui/ErrorNotice';
import { Skeleton } from '../ui/Skeleton';
import { Gate } from './Gate';

const root = createRootRoute({ component: Gate, notFoundComponent: () => <NotFoundPage /> });

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value);

const fleet = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: HomePage,
  validateSearch: ({ q, status, v }: Record<string, unknown>): FleetSearch => ({
    ...((isText(q) || typeof q === 'number') && { q: String(q) }),
    ...(STATUSES.includes(status as never) && { status: status as NonNullable<FleetSearch['status']> }),
    ...(isWhole(v) && { v }),
  }),
});

export type VehicleSearch = RangeSearch & { s?: string };

/** Drawn by the gate, without the app around them. */
const invitation = createRoute({ getParentRoute: () => root, path: '/invitation' });
const reset = createRoute({ getParentRoute: () => root, path: '/reset' });

const vehicle = createRoute({
  getParentRoute: () => root,
  path: '/vehicles/$id',
  component: lazyRouteComponent(() => import('../pages/vehicle/VehiclePage'), 'VehiclePage'),
  validateSearch: ({ range, from, to, s }: Record<string, unknown>): VehicleSearch => ({
    ...(RANGE_NAMES.includes(range as RangeName) && { range: range as RangeName }),
    ...(isWhole(from) && isWhole(to) && { from, to }),
    ...(typeof s === 'string' && { s }),
  }),
});

const devices = createRoute({
  getParentRoute: () => root,
  path: '/devices',
  component: lazyRouteComponent(() => import('../pages/devices/DevicesPage'), 'DevicesPage'),
});

const ledger = createRoute({
  getParentRoute: () => root,
  path: '/devices/$id',
  component: lazyRouteComponent(() => import('../pages/ledger/LedgerPage'), 'LedgerPage'),
});

const check = createRoute({
  getParentRoute: () => root,
  path: '/check',
  component: lazyRouteComponent(() => import('../pages/ledger/CheckPage'), 'CheckPage'),
});

const signals = createRoute({
  getParentRoute: () => root,
  path: '/signals',
  component: lazyRouteComponent(() => import('../pages/signals/SignalsPage'), 'SignalsPage'),
});

const account = createRoute({
  getParentRoute: () => root,
  path: '/account',
  component: lazyRouteComponent(() => import('../pages/account/AccountPage'), 'AccountPage'),
});

const admin = createRoute({
  getParentRoute: () => root,
  path: '/admin',
  component: lazyRouteComponent(() => import('../pages/admin/AdminPage'), 'AdminPage'),
});

const people = createRoute({
  getParentRoute: () => admin,
  path: '/people',
  component: lazyRouteComponent(() => import('../pages/admin/PeoplePage'), 'PeoplePage'),
});

const claims = createRoute({
  getParentRoute: () => admin,
  path: '/claims',
  component: lazyRouteComponent(() => import('../pages/admin/ClaimsPage'), 'ClaimsPage'),
  validateSearch: ({ vehicle }: Record<string, unknown>): { vehicle?: number } => (isWhole(vehicle) ? { vehicle } : {}),
});

const keys = createRoute({
  getParentRoute: () => admin,
  path: '/keys',
  component: lazyRouteComponent(() => import('../pages/admin/KeysPage'), 'KeysPage'),
});

const audit = createRoute({
  getParentRoute: () => admin,
  path: '/audit',
  component: lazyRouteComponent(() => import('../pages/admin/AuditPage'), 'AuditPage'),
  validateSearch: (search: Record<string, unknown>): AuditSearch =>
    Object.fromEntries(
      ['actor', 'operation', 'object', 'from', 'to']
        .filter((key) => isText(search[key]))
        .map((key) => [key, search[key]]),
    ),
});

function Broken({ error, reset }: ErrorComponentProps) {
  return (
    <div className="page">
      <h1>This page broke</h1>
      <ErrorNotice
        error={error instanceof Error ? error : new Error(String(error))}
        what="Something in the app went wrong."
        onRetry={reset}
      />
    </div>
  );
}

const adminTree = admin.addChildren([people, claims, keys, audit]);

export const makeRouter = () =>
  createRouter({
    routeTree: root.addChildren([
      fleet,
      invitation,
      reset,
      vehicle,
      devices,
      ledger,
      check,
      signals,
      account,
      adminTree,
    ]),
    defaultPreload: 'intent',
    defaultErrorComponent: Broken,
    defaultPendingComponent: () => (
      <div className="page">
        <Skeleton lines={8} label="Opening the page" />
      </div>
    ),
  });

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
