import { queryOptions } from '@tanstack/react-query';
import { get } from './client';

/** Shown this once. `payload` is what the QR code holds, and what `milepost enroll` takes whole. */
export type NewClaim = { id: number; code: string; payload: string; vehicle_id: number | null; expires: string };

export type Claim = {
  id: number;
  begins: string;
  vehicle_id: number | null;
  made_by: string;
  created: string;
  expires: string;
  used: string | null;
  device_id: string | null;
};

export type DeviceKey = {
  public_key: string;
  enrolled: string;
  issued: string;
  expires: string;
  revoked: string | null;
  cloned: string | null;
  connections: number;
};

export type DeviceIdentity = {
  device_id: string;
  vehicle_id: number | null;
  is_connected: boolean;
  is_cloned: boolean;
  keys: DeviceKey[];
};

export const devicePath = (id: string) => `/devices/${encodeURIComponent(id)}`;

export const claimsQuery = queryOptions({
  queryKey: ['claim-codes'],
  queryFn: ({ signal }) => get<{ items: Claim[] }>('/claim-codes', {}, signal),
  refetchInterval: 10_000,
});

export const identityQuery = (id: string) =>
  queryOptions({
    queryKey: ['devices', id, 'identity'],
    queryFn: ({ signal }) => get<DeviceIdentity>(`${devicePath(id)}/identity`, {}, signal),
    refetchInterval: 10_000,
  });
