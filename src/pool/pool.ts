import { isTimeout } from '../core/errors/errors.ts';
import { fullJitter } from '../core/time/backoff.ts';
import { CallController } from '../core/time/call-signal.ts';
import type { Clock, Timer } from '../core/time/clock.ts';
import { noRoom, notOpened, shuttingDown } from './errors.ts';
import { isHealthy, type Probed } from './health.ts';
import { isExpired, type PoolLimits, sweepDelay, sweepPlan } from './maintenance.ts';
import { type PoolMember, PoolMembers, type Replacement, type SessionLease } from './members.ts';
import type { SessionQuota } from './session-quota.ts';
import { WaitQueue } from './wait-queue.ts';

export interface PoolDeps<T> {
  readonly limits: PoolLimits;
  readonly clock: Clock;
  readonly places: SessionQuota;
  /**
   * Items above the maximum while one that nobody uses is replaced: it serves until its successor
   * does. 0 unless given.
   */
  readonly overlap?: number;
  /**
   * Its signal is the pool's own, because what is opened serves everybody. Bounded in time; settles
   * soon after that aborts.
   */
  readonly open: (signal: AbortSignal) => Promise<T>;
  /** Called once per item, bounded in time. The item counts until this is done. */
  readonly close: (item: T) => Promise<void>;
  readonly probe: (item: T, method: string, signal: AbortSignal) => Promise<Probed>;
  readonly openFailed?: (error: unknown) => void;
}

/** Waits before the next try to open an item, where the last one failed. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/**
 * How long an opening goes on when the last caller has left without an item: one that is nearly
 * there is not wasted.
 */
const UNWANTED_OPENING_MS = 1_000;

/** Something that will bring an item, and that ends where nobody waits for that. */
interface Coming {
  /** Runs while nobody wants what comes. */
  unwanted: Timer | undefined;
}

interface PendingOpening extends Coming {
  readonly controller: CallController;
  readonly done: Promise<void>;
  /** It opens the successor of an item, for nobody who waits. */
  readonly renews: boolean;
  /** A drain has come since it began. */
  stale: boolean;
  /** It has been told to end, and nobody counts on it any more. */
  ended: boolean;
}

/** The place of an item that somebody else is replacing. */
interface Reserved extends Coming {
  readonly abandon: () => void;
}

/**
 * Items that serve many callers: who gets which, when another is opened, and when one has had its
 * time. It knows nothing of what an item is. Every decision is made synchronously, so that between
 * a look and the act on it nothing can change.
 */
export class Pool<T> {
  readonly #deps: PoolDeps<T>;
  readonly #stock: PoolMembers<T>;
  readonly #openings = new Set<PendingOpening>();
  readonly #waiting: WaitQueue<SessionLease<T>>;
  readonly #ending = new CallController();
  readonly #reserved = new Set<Reserved>();
  #adopted = false;
  #failures = 0;
  #lastFailure: unknown;
  /** While it runs, nothing is opened on suspicion. */
  #pause: Timer | undefined;
  #sweeping: Timer | undefined;

  constructor(deps: PoolDeps<T>) {
    const { clock, limits, places, close } = deps;
    this.#deps = deps;
    this.#waiting = new WaitQueue({
      clock,
      waitMs: limits.waitMs,
      refusal: (waitedMs) => this.#noRoom(waitedMs),
      left: () => this.#left(),
      changed: this.#advance,
    });
    this.#stock = new PoolMembers({
      clock,
      callsPerItem: limits.callsPerItem,
      isExpired: (member) => isExpired(member, this.#stock.serving.length, limits, clock.monotonic()),
      close,
      closed: () => places.give(),
      changed: this.#advance,
    });
  }

  /**
   * Items, those being opened and those being closed: never more than the maximum and the overlap.
   */
  get size(): number {
    return this.#stock.size + this.#openings.size + this.#reserved.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Those that take calls, most recently used last. */
  get items(): readonly T[] {
    const expired = this.#stock.expired;
    return this.#stock.serving.filter((member) => !expired.includes(member)).map(({ item }) => item);
  }

  /**
   * Takes an item that exists already, and the place that it has; from now on the minimum is kept.
   */
  adopt(item: T): void {
    this.#adopted = true;
    this.#opened(item);
    this.#sweepLater();
  }

  /** @throws ProxyError no-session or shutting-down; the signal's reason. */
  async lease(signal: AbortSignal): Promise<SessionLease<T>> {
    if (this.#ending.signal.aborted) throw shuttingDown();
    signal.throwIfAborted();
    const member = this.#waiting.length === 0 ? this.#stock.withRoom : undefined;
    if (member) return this.#stock.lend(member);
    const leased = this.#waiting.join(signal);
    this.#advance();
    return leased;
  }

  /** Keeps an item from being closed while something that is no lease uses it. */
  hold(item: T): () => void {
    const member = this.#stock.find(item);
    return member ? this.#stock.hold(member) : () => undefined;
  }

  /**
   * For an item that somebody else ends and replaces: its place is kept for the new one. Undefined
   * where the pool does not have it.
   * @param abandon - called when no caller of the pool waits for the new one any more.
   */
  replacing(item: T, abandon: () => void = () => undefined): Replacement<T> | undefined {
    const member = this.#stock.find(item);
    if (!member || this.#ending.signal.aborted) return undefined;
    this.#stock.detach(member);
    const reserved: Reserved = { abandon, unwanted: undefined };
    this.#reserved.add(reserved);
    const free = (): void => {
      reserved.unwanted?.cancel();
      this.#reserved.delete(reserved);
    };
    return {
      with: (fresh) => {
        free();
        this.#opened(fresh);
      },
      failed: (error) => {
        free();
        this.#failed(error);
      },
      abandoned: () => {
        free();
        this.#givenUp();
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

  /**
   * Replaces what exists now, one after the other: each serves until its successor does, wherever
   * there is a place for that.
   */
  drain(): void {
    if (this.#ending.signal.aborted) return;
    for (const opening of this.#openings) opening.stale = true;
    for (const member of this.#stock.serving) member.outdated = true;
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
      for (const coming of [...this.#openings, ...this.#reserved]) coming.unwanted?.cancel();
      for (const { controller } of this.#openings) controller.abort(shuttingDown());
      this.#stock.shutAll();
    }
    await Promise.all([...this.#openings].map(({ done }) => done));
    await this.#stock.atRest();
  }

  /**
   * Ends and replaces what is old, serves those who wait, opens what is missing: after every
   * change, and in this order.
   */
  readonly #advance = (): void => {
    if (this.#ending.signal.aborted) return;
    for (const member of this.#stock.expired) this.#stock.retire(member);
    this.#replaceOutdated();
    while (this.#waiting.length > 0) {
      const member = this.#stock.withRoom;
      if (!member) break;
      this.#waiting.serve(this.#stock.lend(member));
    }
    // Where none serves or comes, those that leave may still be in use for an hour.
    while (this.#missing > 0 && this.#takePlace(this.#stock.serving.length + this.#coming === 0))
      this.#open();
    const covered = this.#coming === 0 ? 0 : this.#coming * this.#deps.limits.callsPerItem;
    this.#waiting.refuseOverdue(covered);
  };

  get #coming(): number {
    let coming = this.#reserved.size;
    for (const { ended } of this.#openings) if (!ended) coming++;
    return coming;
  }

  /**
   * The only one is kept whatever the minimum: it is the session that the client believes to have.
   */
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

  /**
   * @param overlapping - true where an item more than the maximum is allowed for the time of a
   * replacement.
   */
  #takePlace(overlapping = false): boolean {
    const { limits, overlap = 0, places } = this.#deps;
    const max = limits.max + (overlapping ? overlap : 0);
    return this.size < max && places.take(this.#advance);
  }

  /**
   * Replaces the next outdated item. One at a time, and none while opening fails: until a successor
   * works, what there is serves on. Where there is no place for a successor, an item that nobody
   * uses goes first; one that is in use serves on, because its call may take an hour, and those
   * that come meanwhile would find nobody.
   */
  #replaceOutdated(): void {
    for (const member of this.#stock.outdated) {
      const { fresh, serving } = this.#stock;
      const unused = member.uses === 0;
      if (fresh >= this.#floor) {
        // What is more than the minimum needs no successor.
        if (unused || !this.#isFull) this.#stock.retire(member);
        continue;
      }
      if (this.#pause || this.#coming > 0) return;
      if (this.#takePlace(unused)) {
        member.due = true;
        this.#open(member);
        return;
      }
      if (unused && serving.length >= this.#floor && this.#stock.size <= this.#deps.limits.max) {
        this.#stock.retire(member);
        return;
      }
    }
  }

  /**
   * A caller has left without an item. The last one leaves behind what is being opened for nobody,
   * and what may never come.
   */
  #left(): void {
    if (this.#waiting.length === 0) {
      for (const opening of this.#openings) {
        if (!opening.renews && !opening.ended) this.#later(opening, () => this.#end(opening));
      }
      for (const reserved of this.#reserved) this.#later(reserved, reserved.abandon);
    }
    this.#advance();
  }

  #later(coming: Coming, end: () => void): void {
    coming.unwanted ??= this.#deps.clock.schedule(UNWANTED_OPENING_MS, end, { keepAlive: false });
  }

  #end(opening: PendingOpening): void {
    opening.unwanted?.cancel();
    opening.ended = true;
    opening.controller.abort(new Error('nobody waits for it any more'));
    this.#advance();
  }

  #open(insteadOf?: PoolMember<T>): void {
    const controller = new CallController();
    // A turn later, so that `open` can never call back into a decision that is being made.
    const done = Promise.resolve()
      .then(() => this.#deps.open(controller.signal))
      .then(
        (item) => {
          this.#forget(opening);
          this.#opened(item);
          // Last, so that who closes the former finds the new one there.
          if (insteadOf) this.#stock.retire(insteadOf);
          const member = opening.stale ? this.#stock.find(item) : undefined;
          if (member) member.outdated = true;
          this.#advance();
        },
        (error: unknown) => {
          this.#forget(opening);
          if (insteadOf) insteadOf.due = false;
          if (opening.ended) this.#givenUp();
          else this.#failed(error);
        },
      );
    const renews = insteadOf !== undefined;
    const opening: PendingOpening = {
      controller,
      done,
      renews,
      stale: false,
      ended: false,
      unwanted: undefined,
    };
    this.#openings.add(opening);
  }

  #forget(opening: PendingOpening): void {
    opening.unwanted?.cancel();
    this.#openings.delete(opening);
  }

  /** An opening has ended because nobody waited for it, which says nothing of the server. */
  #givenUp(): void {
    this.#deps.places.give();
    this.#advance();
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
    // Nothing serves and nothing is coming: waiting on would help nobody. After one that hung, who
    // has time left gets another try.
    const again = isTimeout(error) && limits.waitMs > 0;
    if (!again && this.#stock.serving.length + this.#coming === 0) {
      this.#waiting.refuseAll(() => notOpened(limits.max, error));
    }
    this.#advance();
  }

  #sweepLater(): void {
    const { limits, clock } = this.#deps;
    if (this.#sweeping || this.#ending.signal.aborted) return;
    const delay = sweepDelay(this.#stock.serving, limits, clock.monotonic());
    if (delay === undefined) return;
    this.#sweeping = clock.schedule(
      delay,
      () => {
        this.#sweeping = undefined;
        this.#sweep();
        this.#sweepLater();
      },
      { keepAlive: false },
    );
  }

  #sweep(): void {
    const { limits, clock } = this.#deps;
    const { recycle, evict, probe } = sweepPlan(this.#stock.serving, limits, clock.monotonic());
    for (const member of evict) this.#stock.retire(member);
    if (recycle) recycle.outdated = true;
    for (const member of probe) void this.#check(member);
    this.#advance();
  }

  /**
   * Under a lease, so that nobody is given what may be about to go, and nothing goes under a
   * caller.
   */
  async #check(member: PoolMember<T>): Promise<void> {
    const { limits, clock, probe } = this.#deps;
    const { item, release } = this.#stock.lend(member, false);
    const check = { methods: limits.healthMethods, timeoutMs: limits.healthTimeoutMs, clock };
    const well = await isHealthy(check, (method, signal) => probe(item, method, signal), this.#ending.signal);
    release(well ? 'ok' : 'broken');
  }

  #noRoom(waitedMs: number): Error {
    const { limits, places } = this.#deps;
    return noRoom({
      sessions: this.#stock.size,
      maxSessions: limits.max,
      callsPerSession: limits.callsPerItem,
      waiting: this.waiting,
      waitMs: limits.waitMs,
      waitedMs,
      opening: this.#coming,
      maxTotalSessions: this.size < limits.max && places.taken >= places.max ? places.max : undefined,
      failure: this.#pause && this.#lastFailure,
    });
  }
}
