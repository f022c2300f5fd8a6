import type { LiveMessage } from '../api/types';
import { backoffMs } from './backoff';
import { parse } from './reducer';

export type LinkState =
  | { phase: 'connecting' }
  | { phase: 'live' }
  | { phase: 'waiting'; retryAtMs: number; attempt: number };

/** The server pings every 15 s when it has nothing to say: silence for longer than this is a dead link. */
const DEAD_AFTER_MS = 35_000;
/** The server closes with this when the session has ended. */
const ENDED = 4401;

/** One WebSocket that is always there: it reconnects by itself, and every connection starts with a snapshot. */
export class LiveLink {
  private socket: WebSocket | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private isStopped = false;
  private isOpening = false;

  constructor(
    private readonly url: string,
    private readonly session: { token: () => Promise<string | null>; forget: (token: string) => void },
    private readonly onMessage: (message: LiveMessage) => void,
    private readonly onState: (state: LinkState) => void,
  ) {}

  start(): void {
    this.isStopped = false;
    addEventListener('online', this.retryNow);
    document.addEventListener('visibilitychange', this.onVisible);
    void this.connect();
  }

  stop(): void {
    this.isStopped = true;
    removeEventListener('online', this.retryNow);
    document.removeEventListener('visibilitychange', this.onVisible);
    clearTimeout(this.retry);
    this.drop();
  }

  /** Skip the rest of the wait. Does nothing while a connection stands or is being made. */
  readonly retryNow = (): void => {
    if (this.socket === null && !this.isOpening && !this.isStopped) void this.connect();
  };

  private readonly onVisible = (): void => {
    if (document.visibilityState === 'visible') this.retryNow();
  };

  private async connect(): Promise<void> {
    clearTimeout(this.retry);
    this.onState({ phase: 'connecting' });
    this.isOpening = true;
    const token = await this.session.token().catch(() => null);
    this.isOpening = false;
    if (this.isStopped) return;
    if (token === null) this.lost();
    else this.open(token);
  }

  /** The token goes as a subprotocol: an address would end in logs. */
  private open(token: string): void {
    const socket = new WebSocket(this.url, ['milepost.v1', `bearer.${token}`]);
    this.socket = socket;
    let isLetIn = false;
    this.feedWatchdog();
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.socket !== socket) return;
      this.feedWatchdog();
      const message = typeof event.data === 'string' ? parse(event.data) : null;
      if (message === null) return;
      if (message.type === 'snapshot') {
        this.attempt = 0;
        isLetIn = true;
        this.onState({ phase: 'live' });
      }
      this.onMessage(message);
    };
    socket.onclose = (event: CloseEvent) => {
      if (!isLetIn || event.code === ENDED) this.session.forget(token);
      if (this.socket === socket) this.lost();
    };
  }

  private feedWatchdog(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.lost(), DEAD_AFTER_MS);
  }

  private drop(): void {
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private lost(): void {
    this.drop();
    if (this.isStopped) return;
    const waitMs = backoffMs(this.attempt);
    this.attempt += 1;
    this.onState({ phase: 'waiting', retryAtMs: Date.now() + waitMs, attempt: this.attempt });
    this.retry = setTimeout(() => void this.connect(), waitMs);
  }
}
