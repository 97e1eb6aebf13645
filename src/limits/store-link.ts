import { causeText } from '../core/errors/errors.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { Clock, Timer } from '../core/time/clock.ts';
import { isReply, Membership } from './membership.ts';
import type { LimitStore } from './store.ts';

/** Time limit of one operation; after it, the call uses the local share. */
const OPERATION_MS = 500;
/** The first operation loads the client library and connects, possibly to several servers. */
const FIRST_OPERATION_MS = 2_000;
/** A pause makes one round trip long. It counts as the one before and at most this much more. */
const MAX_RISE_MS = 10;
/**
 * A timer that fires this late shows that the process was paused: the answer may have arrived.
 */
const LATE_MS = 250;
/** Delay between two probes of a store that failed. */
const RETRY_MS = 250;
const MAX_RETRY_MS = 2_000;
/**
 * A store that fails again this soon after it recovered is probed less often, so that the log stays
 * short.
 */
const RELAPSE_MS = 10_000;
const MAX_RELAPSE_RETRY_MS = 30_000;
const BEAT_MS = 500;
/** A turn that is used later than this would meet the turns of a later second. */
const MAX_LATE_MS = 200;

export interface StoreLinkDeps {
  /** Connects in the background; its commands fail while there is no connection. */
  readonly open: () => Promise<LimitStore>;
  /** The host of the store, for texts. */
  readonly where: string;
  /** The minimum number of processes that share the limits. */
  readonly minReplicas: number;
  readonly clock: Clock;
  readonly events: Events;
}

/** Returned by `run` where the store cannot be used now. */
export const LOCAL = Symbol('local');

/**
 * Runs operations on the store, and decides whether it is used. While it fails, each process uses
 * a local share of each limit.
 */
export class StoreLink {
  readonly #deps: StoreLinkDeps;
  readonly membership: Membership;
  #store: LimitStore | undefined;
  /** Undefined before the first operation. */
  #opening: Promise<void> | undefined;
  #mode: 'new' | 'shared' | 'local' = 'new';
  /** Incremented with each change of `#mode`, which invalidates earlier reservations. */
  #epoch = 0;
  /** About the shortest time of an operation. */
  #roundTripMs = MAX_LATE_MS;
  #retryMs = RETRY_MS;
  #maxRetryMs = MAX_RETRY_MS;
  /** Monotonic; when the store became usable. */
  #sharedAt = Number.NEGATIVE_INFINITY;
  /** The key of the operation that failed: the store is usable again when that key is. */
  #failedKey = '';
  #timer: Timer | undefined;
  #closed = false;
  /** The last error of the connection, which names the cause better than a failed command. */
  #cause: string | undefined;
  readonly #onReturn: (() => void)[] = [];

  constructor(deps: StoreLinkDeps) {
    this.#deps = deps;
    this.membership = new Membership(deps.clock, deps.minReplicas);
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** The longest delay of a turn, in milliseconds, beyond which it is void. */
  get maxLateMs(): number {
    return MAX_LATE_MS + this.#roundTripMs;
  }

  /** Calls `listener` each time the store is usable again. */
  onReturn(listener: () => void): void {
    this.#onReturn.push(listener);
  }

  /** True while the store is used, undefined before the first operation. */
  get isShared(): boolean | undefined {
    return this.#mode === 'new' ? undefined : this.#mode === 'shared';
  }

  /**
   * Notes an error of the connection, or undefined for a new connection. The mode does not change.
   */
  readonly noteError = (error: Error | undefined): void => {
    this.#cause = error && causeText(error);
  };

  /**
   * Runs one operation on a key, or returns `LOCAL` where the store cannot be used. Never rejects.
   */
  async run<T>(key: string, operation: (store: LimitStore) => Promise<T>): Promise<T | typeof LOCAL> {
    if (this.#closed || this.#mode === 'local') return LOCAL;
    const epoch = this.#epoch;
    try {
      if (this.#mode === 'new') {
        this.#opening ??= this.#within(this.#openFirst(), FIRST_OPERATION_MS);
        await this.#opening;
      }
      const store = this.#store;
      if (!store) return LOCAL;
      if (this.membership.isStale) await this.#timed(() => this.membership.refresh(store));
      return await this.#timed(() => operation(store));
    } catch (error) {
      // The failure of an operation from before a change of mode does not count.
      if (epoch === this.#epoch) this.#useLocal(error, key);
      return LOCAL;
    }
  }

  /** Removes this replica from the store, and closes the connections. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#timer?.cancel();
    const store = this.#store;
    const leaves = store && this.#mode === 'shared';
    this.#closed = true;
    if (leaves) await this.#within(this.membership.leave(store)).catch(() => undefined);
    store?.close();
  }

  async #openFirst(): Promise<void> {
    this.membership.hold();
    const store = await this.#deps.open();
    this.#store = store;
    if (this.#closed) store.close();
    await store.connected();
    await this.membership.beat(store);
    if (this.#mode === 'new' && !this.#closed) this.#useShared();
  }

  /** @throws an error after that time; a process that was paused gets it again. */
  #within<T>(work: Promise<T>, ms = OPERATION_MS): Promise<T> {
    const { clock } = this.#deps;
    return new Promise((resolve, reject) => {
      const since = clock.monotonic();
      let extended = false;
      const late = (): void => {
        if (!extended && clock.monotonic() - since > ms + LATE_MS) {
          extended = true;
          timer = clock.schedule(ms, late);
          return;
        }
        reject(new Error(`no answer within ${ms / 1_000} s`));
      };
      let timer = clock.schedule(ms, late);
      const settle = (): void => timer.cancel();
      work.then(
        (value) => {
          settle();
          resolve(value);
        },
        (error: unknown) => {
          settle();
          reject(error);
        },
      );
    });
  }

  async #timed<T>(work: () => Promise<T>): Promise<T> {
    const { clock } = this.#deps;
    const since = clock.monotonic();
    const result = await this.#within(work());
    const took = Math.min(OPERATION_MS, clock.monotonic() - since);
    this.#roundTripMs = Math.min(took, this.#roundTripMs + MAX_RISE_MS);
    return result;
  }

  #useShared(): void {
    const returned = this.#mode === 'local';
    this.#mode = 'shared';
    this.#epoch++;
    this.#sharedAt = this.#deps.clock.monotonic();
    this.#scheduleBeat();
    if (!returned) return;
    const { events, where } = this.#deps;
    events.emit({ type: 'limits.shared', message: `The limits are shared through ${where} again.` });
    for (const listener of this.#onReturn) listener();
  }

  #scheduleBeat(): void {
    this.#schedule(BEAT_MS, async () => {
      await this.run('', (store) => this.membership.refresh(store));
      if (this.#mode === 'shared') this.#scheduleBeat();
    });
  }

  #useLocal(error: unknown, key: string): void {
    this.#mode = 'local';
    this.#epoch++;
    this.#failedKey = key;
    const { events, where, clock } = this.#deps;
    if (clock.monotonic() - this.#sharedAt < RELAPSE_MS) {
      this.#maxRetryMs = Math.min(MAX_RELAPSE_RETRY_MS, this.#maxRetryMs * 2);
      this.#retryMs = this.#maxRetryMs;
    } else {
      this.#maxRetryMs = MAX_RETRY_MS;
      this.#retryMs = RETRY_MS;
    }
    // The store's own error is the cause; without one, the last error of the connection is.
    const cause = ((isReply(error) ? undefined : this.#cause) ?? causeText(error)).replace(/\.+$/, '');
    events.emit({
      type: 'limits.local',
      message: `The limits cannot be shared through ${where}: ${cause}. This process takes ${this.#shareText()} of each limit until they can, and sends nothing for the first 3 to 5 s.`,
    });
    this.#scheduleRetry();
  }

  #shareText(): string {
    const { replicas } = this.membership;
    return replicas === 1 ? 'the whole' : `1/${replicas}`;
  }

  #scheduleRetry(): void {
    const { clock } = this.#deps;
    const ms = this.#retryMs * (0.5 + clock.random() / 2);
    this.#retryMs = Math.min(this.#maxRetryMs, this.#retryMs * 2);
    this.#schedule(ms, async () => {
      try {
        this.#store ??= await this.#deps.open();
        await this.#within(this.#store.probe(this.#failedKey));
        // Two steps, so that a store whose answers are lost does not hold back the local share.
        await this.#within(this.membership.beat(this.#store));
        if (!this.#closed) this.#useShared();
      } catch {
        if (!this.#closed) this.#scheduleRetry();
      }
    });
  }

  #schedule(ms: number, work: () => Promise<unknown>): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    this.#timer = this.#deps.clock.schedule(ms, () => void work(), { keepAlive: false });
  }
}
