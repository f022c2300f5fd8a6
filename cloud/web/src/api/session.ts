import { useSyncExternalStore } from 'react';
import type { AccessToken, Invited, Ways } from './people';

/** The access token lives in memory only; the refresh token is a cookie that no script can read. */
type Held = { token: string; staleAtMs: number };

/** `out`: a person must log in. `unknown` until the server has been asked once. */
export type SessionState = 'unknown' | 'in' | 'out';

const PREFIX = '/api/v1/auth';
/** Renewed so long before its end, so that a request under way does not outlive it. */
const EARLY_MS = 60_000;
const TIMEOUT_MS = 20_000;

let held: Held | null = null;
let state: SessionState = 'unknown';
let renewing: Promise<string | null> | null = null;
const listeners = new Set<() => void>();

function become(next: SessionState): void {
  if (state === next) return;
  state = next;
  for (const listener of listeners) listener();
}

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { accept: 'application/json' };
  return fetch(PREFIX + path, { method: 'POST', headers, signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
}

async function take(response: Response): Promise<string> {
  const answer = (await response.json()) as AccessToken;
  held = { token: answer.access_token, staleAtMs: Date.now() + answer.expires_in * 1000 - EARLY_MS };
  become('in');
  return held.token;
}

/** By the cookie; in a demo without one. Null when a person must log in; throws while the server is away. */
async function renew(): Promise<string | null> {
  const refreshed = await call('/refresh');
  if (refreshed.ok) return take(refreshed);
  if (refreshed.status !== 401) throw new Error(`The server answered with status ${refreshed.status}.`);
  if ((await waysIn()).is_demo) {
    const demo = await call('/demo');
    if (demo.ok) return take(demo);
  }
  held = null;
  become('out');
  return null;
}

/** A token that holds for the next requests. One renewal at a time, over all tabs: a used-up refresh token is suspect. */
export async function accessToken(): Promise<string | null> {
  if (held !== null && Date.now() < held.staleAtMs) return held.token;
  const once = () => (navigator.locks === undefined ? renew() : navigator.locks.request('milepost-session', renew));
  renewing ??= once().finally(() => {
    renewing = null;
  });
  return renewing;
}

/** The server did not take this token, though it should hold: the session was ended elsewhere. */
export function forget(token: string): void {
  if (held?.token === token) held = null;
}

/** What the server refused while logging in. `kind` is the last word of the problem's type. */
export class LogInError extends Error {
  constructor(
    message: string,
    readonly kind: string,
  ) {
    super(message);
  }
}

/** The kind of a refusal that asks for a one-time code. */
export const CODE_NEEDED = 'one-time-code-needed';

/** An answer that is good; else throws the server's words. */
async function insist(path: string, body: BodyInit): Promise<Response> {
  const isJson = typeof body === 'string';
  const headers = { accept: 'application/json', ...(isJson && { 'content-type': 'application/json' }) };
  const response = await call(path, { body, headers }).catch(() => {
    throw new LogInError('The server cannot be reached.', 'unreachable');
  });
  if (response.ok) return response;
  const { detail, type = '' } = (await response.json().catch(() => ({}))) as { detail?: string; type?: string };
  const message = detail ?? `The server answered with status ${response.status}.`;
  throw new LogInError(message, type.slice(type.lastIndexOf('/') + 1));
}

export async function logIn(email: string, password: string, code = ''): Promise<void> {
  const form = new URLSearchParams({ grant_type: 'password', username: email, password });
  if (code !== '') form.set('otp', code);
  await take(await insist('/token', form));
}

export async function lookAtInvitation(token: string): Promise<Invited> {
  return (await (await insist('/invitations/look', JSON.stringify({ token }))).json()) as Invited;
}

export async function acceptInvitation(token: string, name: string, password: string, code = ''): Promise<void> {
  const body = { token, name, password, ...(code !== '' && { otp: code }) };
  await take(await insist('/invitations/accept', JSON.stringify(body)));
}

export async function waysIn(): Promise<Ways> {
  return (await (await call('/ways', { method: 'GET' })).json()) as Ways;
}

export async function askForReset(email: string): Promise<void> {
  await insist('/password-resets', JSON.stringify({ email }));
}

export async function setPassword(token: string, password: string): Promise<void> {
  await insist('/password-resets/use', JSON.stringify({ token, password }));
}

export async function logOut(): Promise<void> {
  await call('/log-out');
  held = null;
  become('out');
}

export const useSession = (): SessionState =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    () => state,
  );
