import type { Clock } from '../core/time/clock.ts';
import { connectedLeases, connectedLimit, type LocalTurns, turnFrom } from './local-share.ts';
import type { BucketLimit } from './rate-bucket.ts';
import { type FleetView, FORGET_US, GRACE_US } from './replica-table.ts';
import type { LimitStore } from './store.ts';

/** A replica counts as alive until this long after its last heartbeat. */
const REPLICA_TTL_MS = 1_500;
/** A view of the others that is older than this must be renewed before a turn is taken. */
const MAX_VIEW_AGE_MS = 1_100;
/** The longest way of an operation that has seen the latest view, with its turn. */
const MAX_USE_MS = 500;
/**
 * From the last heartbeat until all others leave the share of this replica to it: its heartbeat has
 * to expire, and the others have to notice that and use the turns that they have.
 */
const NOTICE_MS = REPLICA_TTL_MS + MAX_VIEW_AGE_MS + MAX_USE_MS;
/** Turns of the others count for this long. */
const SECOND_MS = 1_000;
/** The store may have been emptied this long ago, while others have not returned to it. */
const EXPECT_NEW_MS = 5_000;
/** A local turn that was missed by less may still be used. */
const CATCH_UP_MS = 20;

/** Whether the error is an answer of the store, which has done nothing then. */
export const isReply = (error: unknown): boolean => error instanceof Error && error.name === 'ReplyError';

/**
 * This replica among those that share the limits: the part that they leave to the missing ones, and
 * the turns of this one while it cannot use the store.
 */
export class Membership {
  readonly #clock: Clock;
  readonly #minReplicas: number;
  /** Orders the local turns of a replica that the store does not know. */
  readonly #randomRank: number;
  #view: FleetView | undefined;
  /** Monotonic; when the heartbeat of `#view` was sent. */
  #viewAt = Number.NEGATIVE_INFINITY;
  /** The most replicas that this one has known of late, and when: an emptied store forgets them. */
  #known = { replicas: 0, at: 0 };
  /** Monotonic; when this replica joined the others. */
  #joinedAt: number | undefined;
  #refreshing: Promise<void> | undefined;
  /** Monotonic; until then, others may use the share of this replica. */
  #heldUntil = Number.NEGATIVE_INFINITY;
  /** Monotonic; the last turn that this replica took without the store. */
  #localTurnAt = Number.NEGATIVE_INFINITY;
  /** The store's time less the monotonic time; at most the true one, by one round trip. */
  #offsetMs: number | undefined;

  constructor(clock: Clock, minReplicas: number) {
    this.#clock = clock;
    this.#minReplicas = minReplicas;
    this.#randomRank = clock.random();
  }

  /** The number of processes among which a local share is divided. */
  get replicas(): number {
    return this.#view?.replicas ?? this.#minReplicas;
  }

  /**
   * True while others may still use the share of this replica, although it cannot use the store.
   */
  get isHeld(): boolean {
    return this.#clock.monotonic() < this.#heldUntil;
  }

  get isStale(): boolean {
    return this.#clock.monotonic() - this.#viewAt > MAX_VIEW_AGE_MS;
  }

  /** The part of a rate that the connected replicas share now. */
  connectedLimit(limit: BucketLimit): BucketLimit {
    return this.#view ? connectedLimit(limit, this.#view) : limit;
  }

  /** The part of a limit on running calls that the connected replicas share now. */
  connectedLeases(limit: number): number {
    // The first replicas of a fleet do not wait for the others, of which none runs a call yet.
    const isNew = this.#clock.monotonic() - (this.#joinedAt ?? 0) < EXPECT_NEW_MS;
    return this.#view && !isNew ? connectedLeases(limit, this.#view) : limit;
  }

  /** The times at which this replica may send while it cannot use the store. */
  localTurns(ratePerSecond: number): LocalTurns {
    const interval = 1_000 / ratePerSecond;
    const { replicas } = this;
    const rank = this.#view?.rank ?? this.#randomRank * replicas;
    return { period: interval * replicas, phase: (rank % replicas) * interval - (this.#offsetMs ?? 0) };
  }

  /** The first local turn at `time` or later that this replica may still use. */
  localTurnFrom(time: number, turns: LocalTurns): number {
    const begin = this.#heldUntil + Math.min(turns.period, SECOND_MS);
    return turnFrom(Math.max(time, begin, this.#clock.monotonic() - CATCH_UP_MS), turns);
  }

  noteLocalTurn(): void {
    this.#localTurnAt = this.#clock.monotonic();
  }

  /** The first contact with the store begins: others may learn of this replica from now on. */
  hold(): void {
    this.#heldUntil = this.#clock.monotonic() + NOTICE_MS;
  }

  /** Learns how many others are alive: once for all operations that need it. */
  refresh(store: LimitStore): Promise<void> {
    this.#refreshing ??= this.beat(store).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** A write: a server that is read-only or out of memory cannot be used. */
  async beat(store: LimitStore): Promise<void> {
    const sentAt = this.#clock.monotonic();
    const usedShare = sentAt - this.#localTurnAt < GRACE_US / 1_000;
    const heldUntil = this.#heldUntil;
    // From now on the others may take the share, even if the answer is lost.
    this.hold();
    try {
      this.#view = await this.#send(store, REPLICA_TTL_MS, usedShare ? this.replicas : 0);
    } catch (error) {
      if (isReply(error)) this.#heldUntil = heldUntil;
      throw error;
    }
    // The time without the store does not count: others may not have returned yet.
    if (this.isStale) this.#known = { ...this.#known, at: sentAt };
    this.#viewAt = sentAt;
    this.#joinedAt ??= sentAt;
    const { known } = this.#view;
    if (known >= this.#known.replicas || sentAt - this.#known.at > FORGET_US / 1_000)
      this.#known = { replicas: known, at: sentAt };
    // One whose answer was lost must not keep others waiting.
    this.#refreshing = undefined;
    this.#offsetMs = this.#view.now / 1_000 - this.#clock.monotonic();
  }

  async leave(store: LimitStore): Promise<void> {
    await this.#send(store, 0, 0);
  }

  #send(store: LimitStore, ttlMs: number, usedShareOf: number): Promise<FleetView> {
    const offset = this.#offsetMs;
    return store.beat({
      ttlUs: ttlMs * 1_000,
      expiresAt: offset === undefined ? 0 : Math.floor((this.#clock.monotonic() + offset + ttlMs) * 1_000),
      minReplicas: this.#minReplicas,
      expected: this.#view ? this.#known.replicas : this.#minReplicas,
      expectedForUs: this.#view ? FORGET_US : EXPECT_NEW_MS * 1_000,
      usedShareOf,
    });
  }
}
