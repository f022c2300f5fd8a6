import { accessToken, forget } from './session';
import type { Problem } from './types';

const PREFIX = '/api/v1';
const TIMEOUT_MS = 20_000;

/** What the server refused, in its own words. `status` 0 means that it was not reached at all. */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem | null;

  constructor(status: number, message: string, problem: Problem | null = null) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.problem = problem;
  }

  get isUnreachable(): boolean {
    return this.status === 0;
  }
}

type Query = Record<string, string | number | boolean | undefined>;

/** Path and query under the API's prefix; undefined values are left out. */
export function apiUrl(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
  const text = search.toString();
  return `${PREFIX}${path}${text === '' ? '' : `?${text}`}`;
}

async function problemOf(response: Response): Promise<ApiError> {
  const isProblem = response.headers.get('content-type')?.includes('json') ?? false;
  if (!isProblem) return new ApiError(response.status, `The server answered with status ${response.status}.`);
  try {
    const problem = (await response.json()) as Problem;
    return new ApiError(response.status, problem.detail ?? problem.title, problem);
  } catch {
    return new ApiError(response.status, `The server answered with status ${response.status}.`);
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

type Call = { query?: Query; body?: unknown; signal?: AbortSignal | undefined; timeoutMs?: number };

async function request(method: Method, path: string, call: Call = {}, isAgain = false): Promise<Response> {
  const { query, body, signal, timeoutMs = TIMEOUT_MS } = call;
  const limit = AbortSignal.timeout(timeoutMs);
  let response: Response;
  let token: string | null;
  try {
    token = await accessToken();
    response = await fetch(apiUrl(path, query), {
      method,
      headers: {
        accept: 'application/json',
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiError(0, 'The server cannot be reached.');
  }
  if (response.status === 401 && token !== null && !isAgain) {
    forget(token);
    return request(method, path, call, true);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return (await (await request('GET', path, { query, signal })).json()) as T;
}

/** Change something, and take the answer where there is one. */
export async function send<T = void>(method: Exclude<Method, 'GET'>, path: string, body?: unknown): Promise<T> {
  const response = await request(method, path, { body });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export async function post(path: string): Promise<void> {
  await request('POST', path);
}

export async function remove(path: string): Promise<void> {
  await request('DELETE', path);
}

/** A file of the API: the token travels in a header, which a plain link does not send. */
export async function download(path: string): Promise<Blob> {
  return (await request('GET', path, { timeoutMs: 600_000 })).blob();
}
