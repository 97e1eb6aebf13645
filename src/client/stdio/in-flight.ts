import { ProxyError } from '../../core/errors/errors.ts';
import { type Id, type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';
import { heapShare } from '../../core/system/heap-share.ts';
import type { CallController } from '../../core/time/call-signal.ts';
import { TransientMap } from '../../core/time/transient-map.ts';
import type { Countdown } from '../deadline.ts';
import type { Heartbeat } from '../heartbeat.ts';

/**
 * More than any client needs; a client in a loop must not fill memory. New requests are refused,
 * not left unread, so that cancellations and responses are still read.
 */
const MAX_IN_FLIGHT = 65_536;
const MAX_IN_FLIGHT_CHARACTERS = heapShare(256 * 1024 * 1024);
/** An estimate: the next answer may come at any time. */
const RETRY_AFTER_MS = 1_000;

/** A request of the client that has no answer yet. */
export interface InFlight {
  readonly request: Request;
  readonly controller: CallController;
  readonly deadline: Countdown;
  readonly tokenKey: string | undefined;
  heartbeat?: Heartbeat | undefined;
  /** True where its client does not wait any longer, so nothing more is written. */
  silent: boolean;
  /** True once it was passed to the layers; the server may know it. */
  started: boolean;
  settled: boolean;
  readonly record?: CallRecord | undefined;
}

/** The requests in flight, each id once, within the memory bounds. */
export class InFlightRequests {
  readonly #entries = new TransientMap<Id, InFlight>();
  /** By progress token. Calls with the same token share a list. */
  readonly #tokens = new TransientMap<string, InFlight[]>();
  #characters = 0;

  get size(): number {
    return this.#entries.size;
  }

  get(id: Id): InFlight | undefined {
    return this.#entries.get(id);
  }

  has(id: Id): boolean {
    return this.#entries.has(id);
  }

  /** The requests with this progress token. An index, because thousands may be in flight. */
  byToken(key: string): readonly InFlight[] {
    return this.#tokens.get(key) ?? [];
  }

  /** A copy, so that entries may be removed while it is iterated. */
  all(): InFlight[] {
    return this.#entries.values();
  }

  /** Returns why a request cannot be added, or undefined. */
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
    this.#entries.set(entry.request.id, entry);
    this.#characters += entry.request.text.length;
    const { tokenKey } = entry;
    if (tokenKey !== undefined) this.#tokens.set(tokenKey, [...this.byToken(tokenKey), entry]);
  }

  remove(entry: InFlight): void {
    if (this.get(entry.request.id) !== entry) return;
    this.#entries.delete(entry.request.id);
    this.#characters -= entry.request.text.length;
    const { tokenKey } = entry;
    if (tokenKey === undefined) return;
    const others = this.byToken(tokenKey).filter((other) => other !== entry);
    if (others.length > 0) this.#tokens.set(tokenKey, others);
    else this.#tokens.delete(tokenKey);
  }
}

/** A stateless request is cancelled by closing its stream, not by a message. */
export const isStateless = (request: Request): boolean => statedVersion(request) !== undefined;
