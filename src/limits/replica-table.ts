/**
 * The replicas that share the limits, as a pure class. The script in `redis-scripts.ts` does the
 * same inside Redis with Redis's clock; a test compares the two. Times are in microseconds.
 */

/** A replica without heartbeat keeps its share this long: it may be cut off and use it. */
export const FORGET_US = 30_000_000;
/** The share of a replica that has returned stays reserved: its last turns count for a second. */
export const GRACE_US = 1_250_000;
/** The smallest part of a limit that connected replicas keep, however many others are missing. */
export const MIN_PART = 0.25;
/** Tolerance for rounding of sums of shares. */
const ROUNDING = 1e-9;

export interface ReplicaHeartbeat {
  /** How long the replica counts as alive; 0: it leaves. */
  readonly ttlUs: number;
  /**
   * The store's time at which that ends at the latest, so that a heartbeat which arrives late does
   * not extend it; 0: the replica does not know the store's time yet.
   */
  readonly expiresAt: number;
  readonly minReplicas: number;
  /** How many replicas to expect in a table that is younger than `expectedForUs`. */
  readonly expected: number;
  readonly expectedForUs: number;
  /** The divisor of the local share that the replica has used until now; 0: it has used none. */
  readonly usedShareOf: number;
}

export interface FleetView {
  /** The store's time. */
  readonly now: number;
  /** The divisor of a local share. */
  readonly replicas: number;
  /** The place of this replica in the order of local turns. */
  readonly rank: number;
  readonly alive: number;
  /** Those that are alive, and those whose heartbeats have ended and are not forgotten. */
  readonly known: number;
  /** How many replicas may use their local shares now, and the sum of these shares. */
  readonly missing: number;
  readonly missingShare: number;
}

interface ReplicaEntry {
  readonly expiresAt: number;
  readonly replicas: number;
  /** It reserves the share of a replica that has returned. */
  readonly isPast: boolean;
}

/** The sum of all shares stays within 1, so that cut-off replicas keep the limit together. */
export class ReplicaTable {
  /** In the order in which the replicas joined. */
  readonly #entries = new Map<string, ReplicaEntry>();
  #bornAt: number | undefined;
  #expected = 0;
  #expectedUntil = 0;

  /**
   * @param bornAt - by default the time of the first heartbeat, as if the store had been emptied.
   */
  constructor(bornAt?: number) {
    this.#bornAt = bornAt;
  }

  beat(replica: string, heartbeat: ReplicaHeartbeat, now: number): FleetView {
    this.#bornAt ??= now;
    for (const [name, { expiresAt }] of this.#entries)
      if (expiresAt <= now - FORGET_US) this.#entries.delete(name);
    const { ttlUs, expiresAt, usedShareOf } = heartbeat;
    if (ttlUs === 0) {
      this.#entries.delete(replica);
      return this.#view(replica, heartbeat, now);
    }
    this.#expect(heartbeat, this.#bornAt, now);
    if (usedShareOf > 0) {
      const past = { expiresAt: now + GRACE_US - FORGET_US, replicas: usedShareOf, isPast: true };
      this.#entries.set(`${replica}:past`, past);
    }
    const end = expiresAt === 0 ? now + ttlUs : Math.min(expiresAt, now + ttlUs);
    const replicas = this.#entries.get(replica)?.replicas ?? 1;
    this.#entries.set(replica, { expiresAt: end, replicas, isPast: false });
    const view = this.#view(replica, heartbeat, now);
    this.#entries.set(replica, { expiresAt: end, replicas: view.replicas, isPast: false });
    return view;
  }

  /** A replica is known to have ended: nobody uses its share. */
  remove(replica: string): void {
    this.#entries.delete(replica);
  }

  #expect({ expected, expectedForUs }: ReplicaHeartbeat, bornAt: number, now: number): void {
    if (now >= this.#expectedUntil) this.#expected = 0;
    const until = bornAt + expectedForUs;
    if (now >= until) return;
    this.#expected = Math.max(this.#expected, expected);
    this.#expectedUntil = Math.max(this.#expectedUntil, until);
  }

  #view(replica: string, { minReplicas }: ReplicaHeartbeat, now: number): FleetView {
    let alive = 0;
    let missing = 0;
    let missingShare = 0;
    let past = 0;
    let pastShare = 0;
    for (const { expiresAt, replicas, isPast } of this.#entries.values()) {
      if (isPast) {
        past++;
        pastShare += 1 / replicas;
      } else if (expiresAt > now) alive++;
      else {
        missing++;
        missingShare += 1 / replicas;
      }
    }
    const known = alive + missing;
    if (now < this.#expectedUntil) {
      const unknown = Math.max(0, this.#expected - alive - missing);
      missing += unknown;
      if (unknown > 0) missingShare += unknown / this.#expected;
    }
    const divisor = Math.ceil(alive / Math.max(MIN_PART, 1 - missingShare) - ROUNDING);
    const joined = [...this.#entries].filter(([, { isPast }]) => !isPast).map(([name]) => name);
    return {
      now,
      replicas: Math.max(1, minReplicas, divisor),
      rank: Math.max(0, joined.indexOf(replica)),
      alive,
      known,
      missing: missing + past,
      missingShare: missingShare + pastShare,
    };
  }
}
