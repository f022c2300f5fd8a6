/** The shapes of the HTTP API, /api/v1. Times are ISO 8601 in UTC unless the name ends in _ms (epoch milliseconds). */

export type VehicleStatus = 'driving' | 'idling' | 'parked' | 'silent' | 'unknown';

export type Page<T> = { items: T[]; next_cursor: string | null };

export type Position = {
  lat_deg: number;
  lon_deg: number;
  heading_deg: number | null;
  speed_kmh: number | null;
  ts: string;
};

export type VehicleSummary = {
  id: number;
  name: string;
  plate: string | null;
  vin: string | null;
  make: string | null;
  model: string | null;
  year: number | null;
  device_id: string | null;
  state: { status: VehicleStatus; since: string | null };
  last_seen: string | null;
  position: Position | null;
  values: Record<string, number>;
  fault_count: number;
};

export type CurrentValue = {
  signal: string;
  value: number | boolean | null;
  unit: string;
  ts: string;
  age_s: number;
  is_stale: boolean;
  text: string;
};

export type VehicleState = { vehicle_id: number; values: CurrentValue[] };

export type Tier = 'raw' | '1m' | '1h';

export type HistorySeries = {
  signal: string;
  unit: string;
  ts_ms: number[];
  value: (number | null)[];
  min: (number | null)[] | null;
  max: (number | null)[] | null;
};

export type History = { from: string; to: string; tier: Tier; series: HistorySeries[] };

export type Track = { ts_ms: number[]; lat_deg: number[]; lon_deg: number[]; speed_kmh: (number | null)[] };

export type StateInterval = { status: VehicleStatus; from: string; to: string | null };

export type Fault = {
  code: string;
  status: 'stored' | 'pending' | 'permanent';
  text: string | null;
  first_seen: string;
  last_seen: string;
  cleared_at: string | null;
  /** What the engine computer measured when it set the code. */
  freeze: FrozenValue[];
};

export type FrozenValue = { signal: string; value: number | boolean; unit: string; text: string };

export type VehicleEvent = {
  ts: string;
  kind: string;
  data: Record<string, unknown>;
  device_id: string | number;
  seq: number;
};

export type FrameTotals = { stored: number; pending: number; lost: number; quarantined: number };

export type DeviceSummary = {
  id: string;
  vehicle_id: number | null;
  vehicle_name: string | null;
  agent_version: string | null;
  last_seen: string | null;
  totals: FrameTotals;
  is_forked: boolean;
};

export type SeqRange = [first: number, last: number];

export type LostRange = { first: number; last: number; reason: string };

export type LedgerStream = {
  stream_id: string;
  is_active: boolean;
  first_seen: string | null;
  last_seen: string | null;
  last_seq: number;
  boots: number;
  stored: SeqRange[];
  pending: SeqRange[];
  lost: LostRange[];
  quarantined: SeqRange[];
  forked: number[];
};

export type SilenceReason =
  | 'ignition_off'
  | 'power'
  | 'killed'
  | 'no_network'
  | 'private'
  | 'disk_full'
  | 'updating'
  | 'shutdown'
  | 'unknown';

export type Silence = { from: string; to: string | null; reason: SilenceReason };

export type Ledger = {
  device_id: string;
  as_of: string;
  totals: FrameTotals;
  streams: LedgerStream[];
  silences: Silence[];
};

export type CatalogueSignal = {
  id: number;
  name: string;
  unit: string;
  type: string;
  resolution: string;
  min: number;
  max: number;
  period_s: number;
  stale_s: number;
  vss: string;
  pid: string | null;
  text: string;
};

export type Catalogue = { version: number; items: CatalogueSignal[] };

export type Summary = {
  vehicles: Record<VehicleStatus | 'total', number>;
  frames: FrameTotals;
  samples: number;
  doubled: number;
};

export type LiveVehicle = {
  id: number;
  status: VehicleStatus;
  ts_ms: number | null;
  lat_deg: number | null;
  lon_deg: number | null;
  heading_deg: number | null;
  speed_kmh: number | null;
  values: Record<string, number>;
};

export type LiveMessage =
  | { type: 'snapshot'; at: string; vehicles: LiveVehicle[] }
  | { type: 'changes'; at: string; vehicles: LiveVehicle[] }
  | { type: 'ping' };

/** RFC 9457 problem details. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  errors?: { path: string; expected: string }[];
};
