import { useSyncExternalStore } from 'react';
import { accessToken, forget } from '../api/session';
import type { LiveMessage, LiveVehicle } from '../api/types';
import { learnServerTime } from '../lib/clock';
import { type LinkState, LiveLink } from './link';
import { apply, EMPTY, type LiveState } from './reducer';

/** Screens are drawn at most this often, however many messages come in. */
const FLUSH_MS = 250;

let state: LiveState = EMPTY;
let shown: LiveState = EMPTY;
let linkState: LinkState = { phase: 'connecting' };
let flushTimer: ReturnType<typeof setTimeout> | undefined;
let link: LiveLink | undefined;
const listeners = new Set<() => void>();

const tell = () => {
  for (const listener of listeners) listener();
};

function flush(): void {
  flushTimer = undefined;
  shown = state;
  tell();
}

function receive(message: LiveMessage): void {
  if (message.type === 'ping') return;
  learnServerTime(message.at);
  state = apply(state, message);
  if (message.type === 'snapshot') {
    clearTimeout(flushTimer);
    flush();
  } else flushTimer ??= setTimeout(flush, FLUSH_MS);
}

/** Open the live link for as long as the app runs. `onBack` is called on each connection after the first. */
export function startLive(onBack: () => void): () => void {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  let connections = 0;
  link = new LiveLink(`${scheme}://${location.host}/api/v1/live`, { token: accessToken, forget }, receive, (next) => {
    linkState = next;
    if (next.phase === 'live') {
      connections += 1;
      if (connections > 1) onBack();
    }
    tell();
  });
  link.start();
  return () => {
    link?.stop();
    link = undefined;
    // Whoever logs in next may be somebody else.
    state = shown = EMPTY;
  };
}

export const retryNow = (): void => link?.retryNow();

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

/** Every vehicle's newest state; the map is a new one after each change. */
export const useLiveVehicles = (): ReadonlyMap<number, LiveVehicle> =>
  useSyncExternalStore(subscribe, () => shown.vehicles);

/** One vehicle; re-renders only when that vehicle changed. */
export const useLiveVehicle = (id: number): LiveVehicle | undefined =>
  useSyncExternalStore(subscribe, () => shown.vehicles.get(id));

export const useLink = (): LinkState => useSyncExternalStore(subscribe, () => linkState);

/** Server time of the last message in epoch ms, null before the first. */
export const useLiveAt = (): number | null => useSyncExternalStore(subscribe, () => shown.atMs);
