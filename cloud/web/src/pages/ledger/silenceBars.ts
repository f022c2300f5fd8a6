import type { Silence, SilenceReason } from '../../api/types';

/** A silence on a line from 0 (the start of the window) to 1 (its end). */
export type Bar = { from: string; reason: SilenceReason; left: number; width: number };

/** The silences within a window of time, cut at its ends; an open one lasts until the end. */
export function barsOf(silences: readonly Silence[], fromMs: number, toMs: number): Bar[] {
  const length = toMs - fromMs;
  return silences.flatMap(({ from, to, reason }) => {
    const start = Math.max(fromMs, Date.parse(from));
    const end = Math.min(toMs, to === null ? toMs : Date.parse(to));
    return end <= start ? [] : [{ from, reason, left: (start - fromMs) / length, width: (end - start) / length }];
  });
}
