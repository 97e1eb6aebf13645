import { Events } from '../../src/core/pipeline/events.ts';
import type { Clock, Timer } from '../../src/core/time/clock.ts';
import { applyRate, type BucketLimit, type BucketState, newBucket } from '../../src/limits/rate-bucket.ts';
import { ReplicaTable } from '../../src/limits/replica-table.ts';
import { SharedLimits } from '../../src/limits/shared-limits.ts';
import type { LimitStore } from '../../src/limits/store.ts';
import { LeaseTable } from '../../src/workers/lease-table.ts';
import { FakeClock } from './fake-clock.ts';

const KEY = 'profile:';
/** The longest delay of a message, in each direction. */
const MAX_DELAY_MS = 15;
const MAX_CALL_MS = 250;

/** One process's clock: while the process is paused, no timer fires. */
class ProcessClock implements Clock {
  readonly #world: FakeClock;
  readonly #startedAt: number;
  readonly #random: () => number;
  #late: (() => void)[] | undefined;
  isDead = false;

  constructor(world: FakeClock, random: () => number) {
    this.#world = world;
    this.#startedAt = world.monotonic();
    this.#random = random;
  }

  now(): number {
    return this.#world.now();
  }

  monotonic(): number {
    return this.#world.monotonic() - this.#startedAt;
  }

  random(): number {
    return this.#random();
  }

  schedule(ms: number, fire: () => void): Timer {
    let isCancelled = false;
    const timer = this.#world.schedule(ms, () =>
      this.run(() => {
        if (!isCancelled) fire();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Runs at once, or when the process continues. */
  run(work: () => void): void {
    if (this.isDead) return;
    if (this.#late) this.#late.push(work);
    else work();
  }

  get isPaused(): boolean {
    return this.#late !== undefined;
  }

  pause(): void {
    this.#late ??= [];
  }

  resume(): void {
    const late = this.#late ?? [];
    this.#late = undefined;
    for (const work of late) this.run(work);
  }
}

interface Member {
  readonly clock: ProcessClock;
  readonly limits: SharedLimits;
  /** When the last message of its connection arrives, in each direction. */
  readonly arrivesAt: { out: number; back: number };
  /** When its requests reached the server. */
  readonly arrivals: number[];
  /** The rate with which it has taken turns in the store, the latest one last. */
  readonly rates: number[];
  /** Whether packets between it and the store are lost. */
  isCut: boolean;
}

export interface FleetOptions {
  readonly limit: BucketLimit;
  readonly replicas: number;
  readonly callers: number;
  readonly random: () => number;
}

/**
 * Replicas with the program's own code, a store, and a network with delays, all on one clock.
 * Records when each request reaches the server.
 */
export class FleetSimulation {
  readonly arrivals: number[] = [];
  readonly clock = new FakeClock();
  readonly #options: FleetOptions;
  readonly members: Member[] = [];
  #store = { buckets: new Map<string, BucketState>(), table: new ReplicaTable(), leases: new LeaseTable() };
  #isStoreUp = true;
  #held: (() => void)[] | undefined;
  #names = 0;
  /** The callers that wait for the end of a time without calls. */
  #idle: (() => void)[] | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    for (let at = 0; at < options.replicas; at++) this.members.push(this.#start());
  }

  get #now(): number {
    return this.clock.monotonic() * 1_000 + 1_700_000_000_000_000;
  }

  kill(at: number): void {
    const member = this.members[at];
    if (member) member.clock.isDead = true;
  }

  replace(at: number): void {
    this.kill(at);
    const isCut = this.members[at]?.isCut ?? false;
    this.members[at] = this.#start();
    const started = this.members[at];
    if (started) started.isCut = isCut;
  }

  /** No caller calls, so that turns are saved. */
  idle(): void {
    this.#idle ??= [];
  }

  /** All callers call at once. */
  busy(): void {
    const idle = this.#idle ?? [];
    this.#idle = undefined;
    for (const call of idle) call();
  }

  flush(): void {
    this.#store = { buckets: new Map(), table: new ReplicaTable(), leases: new LeaseTable() };
  }

  killStore(): void {
    this.#isStoreUp = false;
    this.resumeStore();
  }

  restartStore(): void {
    this.flush();
    this.#isStoreUp = true;
  }

  pauseStore(): void {
    this.#held ??= [];
  }

  resumeStore(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const work of held) work();
  }

  /** The requests in the fullest second. */
  mostInOneSecond(): number {
    let most = 0;
    let from = 0;
    this.arrivals.forEach((at, index) => {
      while ((this.arrivals[from] ?? at) <= at - 1_000) from++;
      most = Math.max(most, index - from + 1);
    });
    return most;
  }

  #delay(): number {
    return MAX_DELAY_MS * this.#options.random();
  }

  #start(): Member {
    const { random, limit, replicas, callers } = this.#options;
    const clock = new ProcessClock(this.clock, random);
    const name = `replica-${this.#names++}`;
    const limits = new SharedLimits({
      where: 'redis.test:6379',
      open: () => this.#connect(member, name),
      endpoint: new URL('http://127.0.0.1/mcp'),
      minReplicas: replicas,
      clock,
      events: new Events(),
    });
    const member: Member = {
      clock,
      limits,
      arrivesAt: { out: 0, back: 0 },
      arrivals: [],
      rates: [],
      isCut: false,
    };
    const rate = limits.rate(KEY, limit);
    const call = (): void => {
      if (this.#idle) {
        this.#idle.push(() => clock.run(call));
        return;
      }
      const again = (ms: number): void => void clock.schedule(ms, call);
      try {
        void Promise.resolve(rate.take(new AbortController().signal)).then(
          () => {
            // A process that is paused sends when it continues: the turn was granted before.
            this.clock.schedule(this.#delay(), () => {
              this.arrivals.push(this.clock.monotonic());
              member.arrivals.push(this.clock.monotonic());
            });
            again(MAX_CALL_MS * random());
          },
          () => again(200),
        );
      } catch {
        again(200);
      }
    };
    for (let caller = 0; caller < callers; caller++) clock.schedule(100 * random(), call);
    return member;
  }

  /** The operations of one replica, as they travel over its connection. */
  #connect(member: Member, name: string): LimitStore {
    // Messages of one connection stay in order.
    const travel = (way: 'out' | 'back', arrive: () => void): void => {
      const now = this.clock.monotonic();
      const at = Math.max(member.arrivesAt[way], now + this.#delay());
      member.arrivesAt[way] = at;
      this.clock.schedule(at - now, () => {
        if (!member.isCut) arrive();
      });
    };
    const ask = <T>(work: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const answer = (settle: () => void): void => {
          if (!member.isCut) travel('back', () => member.clock.run(settle));
        };
        const arrive = (): void => {
          if (!this.#isStoreUp) answer(() => reject(new Error('the connection is closed')));
          else if (this.#held) this.#held.push(arrive);
          else {
            const result = work();
            answer(() => resolve(result));
          }
        };
        if (!member.isCut) travel('out', arrive);
      });
    return {
      connected: () => ask(() => undefined),
      rate: (key, limit, command) =>
        ask(() => {
          if (command.name === 'take') member.rates.push(limit.ratePerSecond);
          const { buckets } = this.#store;
          const before = buckets.get(key) ?? newBucket(this.#now, limit);
          const { state, answer } = applyRate(before, limit, command, this.#now);
          buckets.set(key, state);
          return { ...answer, otherLimit: undefined };
        }),
      enter: (_key, request) => ask(() => this.#store.leases.enter(name, request, this.#now)),
      release: (_key, leases) => ask(() => void this.#store.leases.release(leases)),
      renew: (_key, leaseUs, leases) => ask(() => this.#store.leases.renew(leases, leaseUs, this.#now)),
      quit: () => ask(() => this.#store.leases.quit(name)),
      beat: (heartbeat) => ask(() => this.#store.table.beat(name, heartbeat, this.#now)),
      probe: () => ask(() => undefined),
      close: () => undefined,
    };
  }
}
