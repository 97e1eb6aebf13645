import type { ProxyEvent } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';

/**
 * Events that a stranger, a client or a server can cause without end: their lines would fill the
 * disk.
 */
const LIMITED: ReadonlySet<ProxyEvent['type']> = new Set([
  'client.refused',
  'client.disconnected',
  'client.line-invalid',
  'client.response-unexpected',
  'client.message-dropped',
  'client.gone',
  'tool.call-refused',
  'tool.invalid',
  'call.failed',
  'notification.failed',
  'upstream.message-dropped',
  'upstream.other-id',
  'auth.rejected',
  'session.not-ours',
  'session.lost',
  'stream.ended',
] as const);

/** Lines per event and address in one window. */
const MAX_LINES = 20;
const WINDOW_MS = 10_000;
/** Addresses with a count of their own in one window; all other addresses share one. */
const MAX_KEYS = 64;
/** Characters of one text in such a line: the sender chooses method, id and name. */
const MAX_TEXT = 1_000;

interface Count {
  readonly event: ProxyEvent['type'];
  readonly address: string | undefined;
  lines: number;
}

/** Limits the log lines of repeated events, and reports the number of omitted lines. */
export class RepeatLimit {
  readonly #clock: Clock;
  readonly #write: (event: ProxyEvent) => void;
  #counts = new Map<string, Count>();

  /** @param write - writes one line. */
  constructor(clock: Clock, write: (event: ProxyEvent) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  take(event: ProxyEvent): void {
    if (!LIMITED.has(event.type)) {
      this.#write(event);
      return;
    }
    const count = this.#countOf(event);
    count.lines++;
    if (count.lines <= MAX_LINES) this.#write(shortened(event));
  }

  #countOf(event: ProxyEvent): Count {
    if (this.#counts.size === 0) {
      this.#clock.schedule(WINDOW_MS, () => this.end(), { keepAlive: false });
    }
    const given = 'address' in event ? event.address : undefined;
    const known = this.#counts.get(keyOf(event, given));
    if (known) return known;
    const address = this.#counts.size < MAX_KEYS ? given : undefined;
    const key = keyOf(event, address);
    const count = this.#counts.get(key) ?? { event: event.type, address, lines: 0 };
    this.#counts.set(key, count);
    return count;
  }

  /** Reports the omitted lines and starts a new window. */
  end(): void {
    const counts = this.#counts;
    this.#counts = new Map();
    for (const { event, address, lines } of counts.values()) {
      const omitted = lines - MAX_LINES;
      if (omitted > 0) this.#write({ type: 'log.lines-omitted', event, address, omitted });
    }
  }
}

const keyOf = ({ type }: ProxyEvent, address: string | undefined): string => `${type} ${address ?? ''}`;

const shortened = (event: ProxyEvent): ProxyEvent =>
  Object.fromEntries(
    Object.entries(event).map(([key, value]) => [
      key,
      typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}...` : value,
    ]),
  ) as ProxyEvent;
