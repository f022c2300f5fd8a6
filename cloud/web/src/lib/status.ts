import type { VehicleStatus } from '../api/types';

export const STATUSES: readonly VehicleStatus[] = ['driving', 'idling', 'parked', 'silent', 'unknown'];

export const STATUS_WORDS: Record<VehicleStatus, string> = {
  driving: 'Driving',
  idling: 'Idling',
  parked: 'Parked',
  silent: 'Silent',
  unknown: 'Unknown',
};

export const STATUS_MEANING: Record<VehicleStatus, string> = {
  driving: 'moving with the engine on',
  idling: 'standing with the engine on',
  parked: 'engine off',
  silent: 'nothing heard, and no reason given yet',
  unknown: 'no data so far',
};

/** Colours for canvases, which cannot read style sheets; the same as --status-* in tokens.css. */
export const STATUS_COLOURS: Record<'light' | 'dark', Record<VehicleStatus, string>> = {
  light: { driving: '#0b6b4f', idling: '#a35200', parked: '#3b4a63', silent: '#a3193b', unknown: '#5c625f' },
  dark: { driving: '#5fdcae', idling: '#ffb95c', parked: '#a9bbdb', silent: '#ff9fb0', unknown: '#b3bab6' },
};
