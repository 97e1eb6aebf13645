import { ProxyError } from '../../core/errors/errors.ts';
import { type Id, idKey, type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import type { CallController } from '../../core/time/call-signal.ts';
import { TransientMap } from '../../core/time/transient-map.ts';
import type { Countdown } from '../deadline.ts';
import type { Heartbeat } from '../heartbeat.ts';

/**
 * More than any client has ever had under way; a client in a loop must not fill memory. Reading on
 * and refusing keeps cancellations and answers flowing, which waiting would not.
 */
const MAX_IN_FLIGHT = 65_536;
const MAX_IN_FLIGHT_CHARACTERS = 256 * 1024 * 1024;
/** Nobody knows when the next of them is answered. */
const RETRY_AFTER_MS = 1_000;

/** A request of the client that has no answer yet. */
export interface InFlight {
  readonly request: Request;
  readonly controller: CallController;
  readonly deadline: Countdown;
  readonly tokenKey: string | undefined;
  /** Notifies progress for a server that is silent. */
  heartbeat?: Heartbeat | undefined;
  /** Nothing more is written for it: its client does not wait any longer. */
  silent: boolean;
  /** Its turn has come: from here on the server may know of it. */
  started: boolean;
  settled: boolean;
}

/** The requests under way: each id once, and no more of them than memory has room for. */
export class InFlightRequests {
  readonly #entries = new TransientMap<string, InFlight>();
  /** By progress token. Clients give each call its own; those that do not share one list. */
  readonly #tokens = new TransientMap<string, InFlight[]>();
  #characters = 0;

  get size(): number {
    return this.#entries.size;
  }

  get(id: Id): InFlight | undefined {
    return this.#entries.get(idKey(id));
  }

  hasKey(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * The requests whose progress this token reports: a lookup, because thousands may wait while
   * progress arrives.
   */
  byToken(key: string): readonly InFlight[] {
    return this.#tokens.get(key) ?? [];
  }

  /** As they are now: what runs while they are walked may end some. */
  all(): InFlight[] {
    return this.#entries.values();
  }

  /** Why this request cannot be added, or undefined. */
  refusalFor(request: Request): ProxyError | undefined {
    if (this.get(request.id)) {
      return new ProxyError(
        'invalid-request',
        `Invalid request: the id ${JSON.stringify(request.id)} is already in flight; the first request keeps its answer.`,
        { sent: 'no', details: { id: request.id } },
      );
    }
    if (this.size < MAX_IN_FLIGHT && this.#characters + request.text.length <= MAX_IN_FLIGHT_CHARACTERS) {
      return undefined;
    }
    const [waiting, characters] = [this.size, this.#characters];
    return new ProxyError(
      'too-many-waiting',
      `Too many requests wait for an answer (${waiting} of at most ${MAX_IN_FLIGHT}, ${characters} of at most ${MAX_IN_FLIGHT_CHARACTERS} characters together): this one was not sent. Send it again when some have been answered.`,
      { sent: 'no', retryAfterMs: RETRY_AFTER_MS, details: { waiting, characters } },
    );
  }

  add(entry: InFlight): void {
    this.#entries.set(idKey(entry.request.id), entry);
    this.#characters += entry.request.text.length;
    const { tokenKey } = entry;
    if (tokenKey !== undefined) this.#tokens.set(tokenKey, [...this.byToken(tokenKey), entry]);
  }

  remove(entry: InFlight): void {
    if (this.get(entry.request.id) !== entry) return;
    this.#entries.delete(idKey(entry.request.id));
    this.#characters -= entry.request.text.length;
    const { tokenKey } = entry;
    if (tokenKey === undefined) return;
    const others = this.byToken(tokenKey).filter((other) => other !== entry);
    if (others.length > 0) this.#tokens.set(tokenKey, others);
    else this.#tokens.delete(tokenKey);
  }
}

/** Without a session, closing its stream is what cancels a request: nothing is posted. */
export const isStateless = (request: Request): boolean => statedVersion(request) !== undefined;
