import type { VehicleEvent } from '../../api/types';

const KIND_WORDS: Record<string, string> = {
  dtc_set: 'Trouble code set',
  dtc_cleared: 'Trouble code cleared',
  vin_read: 'Vehicle number read',
  obd_connected: 'Connected to the engine computer',
  obd_lost: 'Lost the engine computer',
  gps_time_refused: 'Satellite time not believed',
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
  return JSON.stringify(value) ?? '';
}

/** An event's data as "name value" pairs: "code P0301, status stored". */
export const dataWords = ({ data }: VehicleEvent): string =>
  Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${plain(value)}`)
    .join(', ');
