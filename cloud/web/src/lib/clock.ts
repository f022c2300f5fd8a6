import { useSyncExternalStore } from 'react';

/**
 * The server's clock as seen from here. Ages are measured against it, so that a browser with a wrong clock does not show
 * data as older or newer than it is.
 */
let offsetMs = 0;
let tickMs = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

/** Learn the server's time from a message that says when it was sent. */
export function learnServerTime(iso: string): void {
  const serverMs = Date.parse(iso);
  if (Number.isFinite(serverMs)) offsetMs = serverMs - Date.now();
}

export const serverNow = (): number => Date.now() + offsetMs;

/** The last tick; while nobody listens there are none, and whole seconds of the clock keep renders equal. */
function currentTick(): number {
  if (timer === undefined) tickMs = Math.max(tickMs, Math.floor(serverNow() / 1000) * 1000);
  return tickMs;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    tickMs = serverNow();
    for (const each of listeners) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The server's time in epoch ms, renewed each second: for ages that tick. */
export const useNow = (): number => useSyncExternalStore(subscribe, currentTick);
