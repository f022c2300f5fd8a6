import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LiveMessage, LiveVehicle } from '../src/api/types';
import { backoffMs } from '../src/live/backoff';
import { type LinkState, LiveLink } from '../src/live/link';
import { apply, EMPTY, parse } from '../src/live/reducer';

const AT = '2026-11-24T05:00:00.000Z';
const vehicle = (id: number, change: Partial<LiveVehicle> = {}): LiveVehicle => ({
  id,
  status: 'driving',
  ts_ms: 1000,
  lat_deg: 47,
  lon_deg: 9,
  heading_deg: 90,
  speed_kmh: 50,
  values: { engine_rpm: 2000, coolant_c: 80 },
  ...change,
});
const snapshot = (...vehicles: LiveVehicle[]): LiveMessage => ({ type: 'snapshot', at: AT, vehicles });
const changes = (...vehicles: LiveVehicle[]): LiveMessage => ({ type: 'changes', at: AT, vehicles });

describe('reducer', () => {
  test('a snapshot replaces what was known: after a reconnect a vehicle may be gone', () => {
    const before = apply(EMPTY, snapshot(vehicle(1), vehicle(2)));
    const after = apply(before, snapshot(vehicle(2, { ts_ms: 9000 })));
    expect([...after.vehicles.keys()]).toEqual([2]);
    expect(after.atMs).toBe(Date.parse(AT));
  });

  test('changes keep the values that they do not carry', () => {
    const before = apply(EMPTY, snapshot(vehicle(1)));
    const after = apply(before, changes(vehicle(1, { ts_ms: 2000, values: { engine_rpm: 2500 } })));
    expect(after.vehicles.get(1)?.values).toEqual({ engine_rpm: 2500, coolant_c: 80 });
    expect(before.vehicles.get(1)?.values.engine_rpm).toBe(2000);
  });

  test('a vehicle without a fix stays where it was last seen', () => {
    const before = apply(EMPTY, snapshot(vehicle(1)));
    const after = apply(before, changes(vehicle(1, { ts_ms: 2000, lat_deg: null, lon_deg: null, heading_deg: null })));
    expect(after.vehicles.get(1)).toMatchObject({ lat_deg: 47, lon_deg: 9, heading_deg: 90, ts_ms: 2000 });
  });

  test('an older message does not put a vehicle back, but its state is news', () => {
    const before = apply(EMPTY, snapshot(vehicle(1, { ts_ms: 5000, lat_deg: 48 })));
    const after = apply(before, changes(vehicle(1, { ts_ms: 4000, lat_deg: 40, status: 'silent' })));
    expect(after.vehicles.get(1)).toMatchObject({ ts_ms: 5000, lat_deg: 48, status: 'silent' });
  });

  test('a vehicle that is new in changes appears; the others keep their identity', () => {
    const before = apply(EMPTY, snapshot(vehicle(1)));
    const after = apply(before, changes(vehicle(2)));
    expect(after.vehicles.size).toBe(2);
    expect(after.vehicles.get(1)).toBe(before.vehicles.get(1));
  });

  test('a ping and empty changes change no vehicle', () => {
    const before = apply(EMPTY, snapshot(vehicle(1)));
    expect(apply(before, { type: 'ping' })).toBe(before);
    expect(apply(before, changes()).vehicles).toBe(before.vehicles);
  });

  test.each(['', 'null', '[]', '{"type":"snapshot"}', '<html>', '{"type":"other","vehicles":[]}'])(
    'not a message: %s',
    (text) => expect(parse(text)).toBeNull(),
  );
});

describe('back-off', () => {
  test('doubles up to 15 s and is drawn between half and all of it', () => {
    expect(backoffMs(0, () => 0)).toBe(250);
    expect(backoffMs(0, () => 1)).toBe(500);
    expect(backoffMs(3, () => 1)).toBe(4000);
    expect(backoffMs(50, () => 1)).toBe(15_000);
    expect(backoffMs(50, () => 0)).toBe(7_500);
  });
});

/** The browser's WebSocket, with a server that the test plays. */
class FakeSocket {
  static made: FakeSocket[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  isClosed = false;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.made.push(this);
  }
  close(code = 1006): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onclose?.({ code });
  }
  say(message: LiveMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

describe('link', () => {
  const states: LinkState[] = [];
  const messages: LiveMessage[] = [];
  let link: LiveLink;
  let token: string | null;
  let forgotten: string[];
  const newest = () => FakeSocket.made.at(-1) as FakeSocket;

  beforeEach(async () => {
    vi.useFakeTimers();
    vi.stubGlobal('WebSocket', FakeSocket);
    FakeSocket.made = [];
    states.length = messages.length = 0;
    token = 'first';
    forgotten = [];
    link = new LiveLink(
      'ws://test/live',
      { token: async () => token, forget: (old) => forgotten.push(old) },
      (message) => messages.push(message),
      (state) => states.push(state),
    );
    link.start();
    await vi.advanceTimersByTimeAsync(0);
  });
  afterEach(() => {
    link.stop();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  test('is live with the first snapshot and passes messages on', () => {
    expect(states).toEqual([{ phase: 'connecting' }]);
    newest().say(snapshot(vehicle(1)));
    newest().say(changes(vehicle(1)));
    expect(states.at(-1)).toEqual({ phase: 'live' });
    expect(messages.map(({ type }) => type)).toEqual(['snapshot', 'changes']);
  });

  test('comes back after a loss, waits longer each time, and starts over once it is live', async () => {
    const waits: number[] = [];
    for (let attempt = 0; attempt < 4; attempt++) {
      newest().close();
      const state = states.at(-1);
      if (state?.phase !== 'waiting') throw new Error('not waiting');
      waits.push(state.retryAtMs - Date.now());
      await vi.advanceTimersByTimeAsync(15_000);
      expect(FakeSocket.made).toHaveLength(attempt + 2);
    }
    for (const [attempt, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(250 * 2 ** attempt);
      expect(wait).toBeLessThanOrEqual(500 * 2 ** attempt);
    }
    newest().say(snapshot());
    newest().close();
    expect(states.at(-1)).toMatchObject({ phase: 'waiting', attempt: 1 });
  });

  test('a link that says nothing for 35 s is dead', () => {
    newest().say(snapshot());
    vi.advanceTimersByTime(20_000);
    newest().say({ type: 'ping' });
    vi.advanceTimersByTime(34_000);
    expect(states.at(-1)).toEqual({ phase: 'live' });
    const old = newest();
    vi.advanceTimersByTime(2_000);
    expect(old.isClosed).toBe(true);
    expect(states.some(({ phase }) => phase === 'waiting')).toBe(true);
  });

  test('try now skips the wait, and does nothing while connected', async () => {
    newest().close();
    link.retryNow();
    link.retryNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.made).toHaveLength(2);
    link.retryNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.made).toHaveLength(2);
  });

  test('a late word of a dropped connection is not believed', async () => {
    const old = newest();
    old.close();
    link.retryNow();
    await vi.advanceTimersByTimeAsync(0);
    old.say(snapshot(vehicle(9)));
    expect(messages).toEqual([]);
  });

  test('offers the token beside the protocol, and forgets one that is not let in or has ended', async () => {
    expect(newest().protocols).toEqual(['milepost.v1', 'bearer.first']);
    newest().say(snapshot());
    newest().close();
    expect(forgotten).toEqual([]);
    await vi.advanceTimersByTimeAsync(15_000);
    newest().close();
    expect(forgotten).toEqual(['first']);
    token = 'second';
    await vi.advanceTimersByTimeAsync(15_000);
    newest().say(snapshot());
    newest().close(4401);
    expect(forgotten).toEqual(['first', 'second']);
  });

  test('without a session no connection is made', async () => {
    token = null;
    newest().close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.made).toHaveLength(1);
    expect(states.at(-1)?.phase).toBe('waiting');
  });

  test('stopped, it stays away', async () => {
    link.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.made).toHaveLength(1);
    expect(newest().isClosed).toBe(true);
  });
});
