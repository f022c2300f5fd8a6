import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { get } from './client';
import { waysIn } from './session';
import type { Page } from './types';

export type AccessToken = { access_token: string; expires_in: number };

/** How one logs in to this service. */
export type Ways = { is_demo: boolean; has_mail: boolean };

export type Role = 'owner' | 'manager' | 'dispatcher' | 'technician' | 'driver' | 'auditor';

/** What the link of an invitation leads to. `is_known`: the address has a password here already. */
export type Invited = { tenant: string; email: string; role: Role; is_known: boolean };

export type Me = {
  id: number;
  email: string;
  name: string;
  tenant: string;
  role: Role;
  actions: string[];
  is_demo: boolean;
  has_second_factor: boolean;
  session_id: string;
};

export type PersonSession = {
  id: string;
  tenant: string;
  created: string;
  last_used: string;
  expires: string;
  agent: string;
  address: string;
  is_current: boolean;
};

export type Member = { id: number; name: string; email: string; role: Role; is_disabled: boolean };

export type Invitation = { id: number; email: string; role: Role; expires: string };

/** `link` is told this once. */
export type NewInvitation = Invitation & { link: string; is_sent: boolean };

export type ApiKey = {
  id: number;
  name: string;
  actions: string[];
  created: string;
  expires: string;
  last_used: string | null;
};

/** `token` is told this once. */
export type NewApiKey = ApiKey & { token: string };

export type NewSecondFactor = { secret: string; uri: string };

export type AuditItem = {
  number: number;
  ts: string;
  actor: { kind: string; number: number | null; name: string | null };
  operation: string;
  change: string;
  object_kind: string;
  object_id: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  address: string;
  agent: string;
  request_id: string;
  hash: string;
};

export type AuditSearch = { actor?: string; operation?: string; object?: string; from?: string; to?: string };

export type Verification = {
  is_whole: boolean;
  entries: number;
  head: string;
  fault: { number: number; reason: string } | null;
};

export const waysQuery = queryOptions({
  queryKey: ['ways'],
  queryFn: waysIn,
  staleTime: Number.POSITIVE_INFINITY,
});

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => get<Me>('/me', {}, signal),
  staleTime: 300_000,
});

export const sessionsQuery = queryOptions({
  queryKey: ['me', 'sessions'],
  queryFn: ({ signal }) => get<{ items: PersonSession[] }>('/auth/sessions', {}, signal),
});

export const membersQuery = queryOptions({
  queryKey: ['members'],
  queryFn: ({ signal }) => get<{ items: Member[] }>('/members', {}, signal),
});

export const invitationsQuery = queryOptions({
  queryKey: ['invitations'],
  queryFn: ({ signal }) => get<{ items: Invitation[] }>('/invitations', {}, signal),
});

export const keysQuery = queryOptions({
  queryKey: ['api-keys'],
  queryFn: ({ signal }) => get<{ items: ApiKey[] }>('/api-keys', {}, signal),
});

/** Looking is itself written down, so it happens when somebody asks, not when a window comes to the front. */
export const auditQuery = (search: AuditSearch) =>
  infiniteQueryOptions({
    queryKey: ['audit', search],
    queryFn: ({ signal, pageParam }) =>
      get<Page<AuditItem>>('/audit', { ...search, limit: 50, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    refetchOnWindowFocus: false,
  });
