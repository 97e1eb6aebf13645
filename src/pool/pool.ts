import { fullJitter } from '../core/backoff.ts';
import { CallController } from '../core/call-signal.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { isHealthy, type Probed } from './health.ts';
import type { Places } from './places.ts';
import { noRoom, notOpened, shuttingDown } from './refusals.ts';
import { type Lease, type Member, type Replacement, Stock } from './stock.ts';
import { type PoolLimits, sweepInterval, sweepPlan } from './upkeep.ts';
import { Waiting } from './waiting.ts';

export interface PoolDeps<T> {
  readonly limits: PoolLimits;
  readonly clock: Clock;
  readonly places: Places;
  /** Its signal is the pool's own, because what is opened serves everybody. Settles soon after that aborts. */
  readonly open: (signal: AbortSignal) => Promise<T>;
  /** Called once per item, bounded in time. The item counts until this is done. */
  readonly close: (item: T) => Promise<void>;
  readonly probe: (item: T, method: string, signal: AbortSignal) => Promise<Probed>;
  readonly openFailed?: (error: unknown) => void;
}

/** Waits before the next try to open an item, where the last one failed. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;

interface Opening {
  readonly controller: CallController;
  readonly done: Promise<void>;
  /** A drain has come since it began. */
  stale: boolean;
}

/**
 * Items that serve many callers: who gets which, when another is opened, and when one has had its time. It knows nothing of what
 * an item is. Every decision is made synchronously, so that between a look and the act on it nothing can change.
 */
export class Pool<T> {
  readonly #deps: PoolDeps<T>;
  readonly #stock: Stock<T>;
  readonly #openings = new Set<Opening>();
  readonly #waiting: Waiting<Lease<T>>;
  readonly #ending = new CallController();
  /** Places of items that somebody else is replacing. */
  #reserved = 0;
  #adopted = false;
  #failures = 0;
  #lastFailure: unknown;
  /** While it runs, nothing is opened on suspicion. */
  #pause: Timer | undefined;
  #sweeping: Timer | undefined;

  constructor(deps: PoolDeps<T>) {
    const { clock, limits, places, close } = deps;
    this.#deps = deps;
    this.#waiting = new Waiting(clock, limits.waitMs);
    this.#stock = new Stock({
      clock,
      callsPerItem: limits.callsPerItem,
      close,
      closed: () => places.give(),
      changed: this.#advance,
    });
  }

  /** Items, those being opened and those being closed: never more than the maximum. */
  get size(): number {
    return this.#stock.size + this.#coming;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Those that take calls, most recently used last. */
  get items(): readonly T[] {
    return this.#stock.serving.map(({ item }) => item);
  }

  /** Takes an item that exists already, and the place that it has; from now on the minimum is kept. */
  adopt(item: T): void {
    this.#adopted = true;
    this.#sweepLater();
    this.#opened(item);
  }

  /** @throws ProxyError no-session or shutting-down; the signal's reason. */
  async lease(signal: AbortSignal): Promise<Lease<T>> {
    if (this.#ending.signal.aborted) throw shuttingDown();
    signal.throwIfAborted();
    const member = this.#waiting.length === 0 ? this.#stock.withRoom : undefined;
    if (member) return this.#stock.lend(member);
    const leased = this.#waiting.join(signal, this.#advance);
    this.#advance();
    return leased;
  }

  /** Keeps an item from being closed while something that is no lease uses it. */
  hold(item: T): () => void {
    const member = this.#stock.find(item);
    return member ? this.#stock.hold(member) : () => undefined;
  }

  /** For an item that somebody else ends and replaces: its place is kept for the new one. Undefined where the pool does not have it. */
  replacing(item: T): Replacement<T> | undefined {
    const member = this.#stock.find(item);
    if (!member || this.#ending.signal.aborted) return undefined;
    this.#stock.detach(member);
    this.#reserved++;
    return {
      with: (fresh) => {
        this.#reserved--;
        this.#opened(fresh);
      },
      failed: (error) => {
        this.#reserved--;
        this.#failed(error);
      },
    };
  }

  /** The item is not to be used again. */
  discard(item: T): void {
    const member = this.#stock.find(item);
    if (!member) return;
    this.#stock.retire(member);
    this.#advance();
  }

  /** Replaces what exists now: what is idle at once, what is in use when it comes back, what is being opened when it is there. */
  drain(): void {
    if (this.#ending.signal.aborted) return;
    for (const opening of this.#openings) opening.stale = true;
    for (const member of [...this.#stock.serving]) this.#renew(member);
    this.#advance();
  }

  /** The client has left: who waits is refused now, who holds an item keeps it. */
  refuseWaiting(): void {
    this.#waiting.refuseAll(shuttingDown);
  }

  /** Refuses those who wait, and closes everything, what is being opened included. Never throws. */
  async close(): Promise<void> {
    if (!this.#ending.signal.aborted) {
      this.#ending.abort(shuttingDown());
      this.#pause?.cancel();
      this.#sweeping?.cancel();
      this.#deps.places.forget(this.#advance);
      this.#waiting.refuseAll(shuttingDown);
      for (const { controller } of this.#openings) controller.abort(shuttingDown());
      this.#stock.shutAll();
    }
    await Promise.all([...this.#openings].map(({ done }) => done));
    await this.#stock.atRest();
  }

  /** Serves who waits, opens what is missing, refuses who has waited long enough: after every change, and in this order. */
  readonly #advance = (): void => {
    if (this.#ending.signal.aborted) return;
    while (this.#waiting.length > 0) {
      const member = this.#stock.withRoom;
      if (!member) break;
      this.#waiting.serve(this.#stock.lend(member));
    }
    while (this.#missing > 0 && this.#takePlace()) this.#open();
    for (const member of this.#stock.outdated) {
      if (this.#isFull) break;
      member.outdated = false;
      this.#renew(member);
    }
    const covered = this.#coming === 0 ? 0 : this.#coming * this.#deps.limits.callsPerItem;
    this.#waiting.refuseOverdue(covered, () => this.#noRoom());
  };

  get #coming(): number {
    return this.#openings.size + this.#reserved;
  }

  /** The only one is kept whatever the minimum: it is the session that the client believes to have. */
  get #floor(): number {
    return this.#adopted ? Math.max(1, this.#deps.limits.min) : 0;
  }

  get #missing(): number {
    const { callsPerItem } = this.#deps.limits;
    const coming = this.#coming;
    const forMinimum = this.#pause ? 0 : this.#floor - this.#stock.staying - coming;
    // Where nothing serves, each caller may try: that is how it hears what is wrong.
    const may = !this.#pause || (this.#stock.serving.length === 0 && coming === 0);
    const wanted = this.waiting === 0 ? 0 : Math.max(1, Math.ceil(this.waiting / callsPerItem));
    return Math.max(forMinimum, may ? wanted - coming : 0);
  }

  get #isFull(): boolean {
    return this.size >= this.#deps.limits.max;
  }

  #takePlace(): boolean {
    return !this.#isFull && this.#deps.places.take(this.#advance);
  }

  #open(insteadOf?: Member<T>): void {
    const controller = new CallController();
    // A turn later, so that `open` can never call back into a decision that is being made.
    const done = Promise.resolve()
      .then(() => this.#deps.open(controller.signal))
      .then(
        (item) => {
          this.#openings.delete(opening);
          this.#opened(item);
          // Last, so that who closes the former finds the new one there.
          if (insteadOf) this.#stock.retire(insteadOf);
          const member = opening.stale ? this.#stock.find(item) : undefined;
          if (member?.state === 'serving') this.#renew(member);
          this.#advance();
        },
        (error: unknown) => {
          this.#openings.delete(opening);
          if (insteadOf) insteadOf.due = false;
          this.#failed(error);
        },
      );
    const opening: Opening = { controller, done, stale: false };
    this.#openings.add(opening);
  }

  #opened(item: T): void {
    if (this.#ending.signal.aborted) {
      this.#stock.closeLate(item);
      return;
    }
    this.#failures = 0;
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#stock.add(item);
    this.#advance();
  }

  #failed(error: unknown): void {
    this.#deps.places.give();
    if (this.#ending.signal.aborted) return;
    const { clock, openFailed, limits } = this.#deps;
    openFailed?.(error);
    this.#lastFailure = error;
    this.#failures++;
    this.#pause ??= clock.schedule(
      fullJitter(clock, this.#failures, RETRY_BASE_MS, RETRY_MAX_MS),
      () => {
        this.#pause = undefined;
        this.#advance();
      },
      { keepAlive: false },
    );
    // Nothing serves and nothing is coming: waiting on would help nobody.
    if (this.#stock.serving.length + this.#coming === 0) {
      this.#waiting.refuseAll(() => notOpened(limits.max, error));
    }
    this.#advance();
  }

  /**
   * Gives it a successor, before it leaves where there is a place; what is more than the minimum needs none. One that is in use while
   * there is no place serves on: its call may take an hour, and those that come meanwhile would find nobody.
   */
  #renew(member: Member<T>): void {
    if (member.due || member.outdated) return;
    const needed = this.#stock.staying <= this.#floor;
    if (needed && this.#takePlace()) {
      member.due = true;
      this.#open(member);
    } else if (member.uses > 0 && (needed || this.#isFull)) member.outdated = true;
    else this.#stock.retire(member);
  }

  #sweepLater(): void {
    const every = sweepInterval(this.#deps.limits);
    if (every === undefined || this.#sweeping || this.#ending.signal.aborted) return;
    this.#sweeping = this.#deps.clock.schedule(
      every,
      () => {
        this.#sweeping = undefined;
        this.#sweepLater();
        this.#sweep();
      },
      { keepAlive: false },
    );
  }

  #sweep(): void {
    const { limits, clock } = this.#deps;
    const { recycle, evict, probe } = sweepPlan(this.#stock.serving, limits, clock.monotonic());
    for (const member of evict) this.#stock.retire(member);
    if (recycle) this.#renew(recycle);
    for (const member of probe) void this.#check(member);
    this.#advance();
  }

  /** Under a lease, so that nobody is given what may be about to go, and nothing goes under a caller. */
  async #check(member: Member<T>): Promise<void> {
    const { limits, clock, probe } = this.#deps;
    const { item, release } = this.#stock.lend(member, false);
    const check = { methods: limits.healthMethods, timeoutMs: limits.healthTimeoutMs, clock };
    const well = await isHealthy(check, (method, signal) => probe(item, method, signal), this.#ending.signal);
    release(well ? 'ok' : 'broken');
  }

  #noRoom(): Error {
    const { limits, places } = this.#deps;
    return noRoom({
      sessions: this.#stock.size,
      maxSessions: limits.max,
      callsPerSession: limits.callsPerItem,
      waiting: this.waiting,
      waitMs: limits.waitMs,
      maxTotalSessions: this.size < limits.max && places.taken >= places.max ? places.max : undefined,
      failure: this.#pause && this.#lastFailure,
    });
  }
}
