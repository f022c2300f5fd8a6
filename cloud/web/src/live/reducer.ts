import type { LiveMessage, LiveVehicle } from '../api/types';

/** What the live link has told so far: the newest state of each vehicle, and the server's time of the last message. */
export type LiveState = { atMs: number | null; vehicles: ReadonlyMap<number, LiveVehicle> };

export const EMPTY: LiveState = { atMs: null, vehicles: new Map() };

function merge(old: LiveVehicle | undefined, next: LiveVehicle): LiveVehicle {
  if (old === undefined) return next;
  // A message that was overtaken on its way must not put a vehicle back; a status may change without a new sample.
  if (old.ts_ms !== null && (next.ts_ms === null || next.ts_ms < old.ts_ms)) return { ...old, status: next.status };
  const hasPosition = next.lat_deg !== null && next.lon_deg !== null;
  return {
    ...next,
    lat_deg: hasPosition ? next.lat_deg : old.lat_deg,
    lon_deg: hasPosition ? next.lon_deg : old.lon_deg,
    heading_deg: hasPosition ? (next.heading_deg ?? old.heading_deg) : old.heading_deg,
    values: { ...old.values, ...next.values },
  };
}

/** A snapshot replaces everything (it is what counts after a reconnect); changes carry only what is new. */
export function apply(state: LiveState, message: LiveMessage): LiveState {
  if (message.type === 'ping') return state;
  const at = Date.parse(message.at);
  const atMs = Number.isFinite(at) ? at : state.atMs;
  if (message.type === 'snapshot') {
    return { atMs, vehicles: new Map(message.vehicles.map((vehicle) => [vehicle.id, vehicle])) };
  }
  if (message.vehicles.length === 0) return { ...state, atMs };
  const vehicles = new Map(state.vehicles);
  for (const next of message.vehicles) vehicles.set(next.id, merge(vehicles.get(next.id), next));
  return { atMs, vehicles };
}

/** Anything that is not a message of the live link gives null: a proxy may send its own words. */
export function parse(text: string): LiveMessage | null {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof data !== 'object' || data === null || !('type' in data)) return null;
  if (data.type === 'ping') return { type: 'ping' };
  const isKnown = data.type === 'snapshot' || data.type === 'changes';
  return isKnown && 'vehicles' in data && Array.isArray(data.vehicles) ? (data as LiveMessage) : null;
}
