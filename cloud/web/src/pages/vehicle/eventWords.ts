import type { VehicleEvent } from '../../api/types';

const KIND_WORDS: Record<string, string> = {
  agent_started: 'Device started',
  agent_stopping: 'Device stopping',
  stream_changed: 'New stream of frames',
  dtc_set: 'Trouble code set',
  dtc_cleared: 'Trouble code cleared',
  dtc_clear_requested: 'Clearing of trouble codes asked for',
  dtc_clear_refused: 'Clearing of trouble codes refused',
  dtcs_cleared: 'Trouble codes cleared by a technician',
  readiness_changed: 'Self-tests of the engine changed',
  calibration_read: 'Engine software read',
  calibration_changed: 'Engine software is another than before',
  vin_read: 'Vehicle number read',
  obd_connected: 'Connected to the engine computer',
  obd_lost: 'Lost the engine computer',
  gps_time_refused: 'Satellite time not believed',
  position_jumped: 'Position leapt further than a vehicle can',
};

/** An event's kind in words: ours, or the kind's own name made readable. */
export function kindWords(kind: string): string {
  const own = KIND_WORDS[kind];
  if (own !== undefined) return own;
  const text = kind.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function plain(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.length > 0 ? value.map(plain).join(' + ') : 'none';
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, inner]) => `${name.replaceAll('_', ' ')} ${plain(inner)}`)
      .join(' + ');
  return JSON.stringify(value) ?? '';
}

/** What of an event's data is worth reading here; the API has the rest. Kinds that are not listed show all of it. */
const WORTH: Record<string, readonly string[]> = { agent_started: ['version', 'boot', 'previous_end'] };

/** An event's data as "name value" pairs: "code P0301, status stored". */
export const dataWords = ({ kind, data }: VehicleEvent): string =>
  Object.entries(data)
    .filter(([name, value]) => value !== null && (WORTH[kind]?.includes(name) ?? true))
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${plain(value).replaceAll('_', ' ')}`)
    .join(', ');
