import type { StateInterval, VehicleStatus } from '../../api/types';
import { formatDuration } from '../../lib/format';
import { STATUS_WORDS, STATUSES } from '../../lib/status';

/** A stretch of one state on a line from 0 (the start of the window) to 1 (its end). */
export type Stretch = { status: VehicleStatus; fromMs: number; toMs: number; left: number; width: number };

/** The intervals within a window, cut at its ends; an open one lasts until the end. */
export function stretchesOf(items: readonly StateInterval[], fromMs: number, toMs: number): Stretch[] {
  const length = toMs - fromMs;
  return items.flatMap(({ status, from, to }) => {
    const start = Math.max(fromMs, Date.parse(from));
    const end = Math.min(toMs, to === null ? toMs : Date.parse(to));
    if (end <= start) return [];
    return [{ status, fromMs: start, toMs: end, left: (start - fromMs) / length, width: (end - start) / length }];
  });
}

/** "Driving 2 h 5 min, parked 20 h": what the line shows, as a sentence. */
export function stretchWords(stretches: readonly Stretch[]): string {
  const parts = STATUSES.flatMap((status) => {
    const ms = stretches.reduce((sum, each) => sum + (each.status === status ? each.toMs - each.fromMs : 0), 0);
    return ms === 0 ? [] : [`${STATUS_WORDS[status].toLowerCase()} ${formatDuration(ms / 1000)}`];
  });
  const text = parts.join(', ');
  return text === '' ? 'Nothing is known of this time.' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
