import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type PoolLease, SessionPool, SessionPoolError } from '../../../src/library/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const STEPS = 10_000;
const MAX_TOTAL = 8;
const USERS = [undefined, 'ada', 'bob', 'cleo', 'dan'];
const TENANTS = [undefined, 'red', 'blue'];
const TENANT_MAX = 3;

/** Pseudo-random numbers in [0, 1) from a seed: a failure names the seed that repeats it. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Transport {
  onclose: (() => void) | undefined;
  readonly #open: Set<Transport>;

  constructor(open: Set<Transport>) {
    this.#open = open;
    open.add(this);
  }

  readonly start = async (): Promise<void> => undefined;
  readonly send = async (): Promise<void> => undefined;
  async close(): Promise<void> {
    if (this.#open.delete(this)) this.onclose?.();
  }
}

class LightClient {
  transport: Transport | undefined;
  user: string | undefined;
  async connect(transport: never): Promise<void> {
    this.transport = transport;
    Object.assign(transport, { onclose: () => undefined });
  }
  close = async (): Promise<void> => this.transport?.close();
  callTool = async (): Promise<object> => ({});
  listTools = async (): Promise<object> => ({ tools: [{ name: 'echo' }] });
  ping = async (): Promise<object> => ({});
}

interface Holder {
  readonly user: string | undefined;
  readonly tenant: string | undefined;
  readonly abort: AbortController;
  lease: PoolLease<LightClient> | undefined;
}

/** One pool, its callers, and the model of what must be true of them. */
class Run {
  readonly clock: FakeClock;
  readonly pool: SessionPool<LightClient>;
  readonly random: () => number;
  readonly transports = new Set<Transport>();
  readonly waiting = new Set<Holder>();
  readonly holding = new Set<Holder>();
  /** The user that each session has served. */
  readonly users = new Map<string, string | undefined>();
  readonly faults: string[] = [];
  isDown = false;
  /** Lists that are being fetched: each waits for a session, too. */
  lists = 0;
  borrows = 0;

  constructor(seed: number) {
    this.random = randomFrom(seed);
    this.clock = new FakeClock({ random: this.random as () => 0.5 });
    this.pool = new SessionPool<LightClient>({
      clock: this.clock,
      clientFactory: () => new LightClient(),
      transportFactory: () => this.open() as never,
      minSessions: 1,
      maxSessions: 3,
      maxTotalSessions: MAX_TOTAL,
      maxKeys: 4,
      keyIdle: 20,
      borrowTimeout: 2,
      connectTimeout: 1,
      drainTimeout: 1,
      retryCount: 1,
      breakerThreshold: 3,
      breakerReset: 2,
      sessionLifetime: 30,
      sessionRecycleWindow: 5,
      sessionIdle: 10,
      healthInterval: 5,
      tenantLimit: { maxConcurrent: TENANT_MAX },
      autoscale: { checkInterval: 3, cooldown: 5, scaleDownIdle: 6 },
    });
  }

  below = (end: number): number => Math.floor(this.random() * end);

  open(): Promise<Transport> | Transport {
    const luck = this.random();
    if (this.isDown || luck < 0.1) throw new Error('down');
    return luck < 0.15 ? new Promise(() => undefined) : new Transport(this.transports);
  }

  borrow(tries: boolean): void {
    const holder: Holder = {
      user: USERS[this.below(USERS.length)],
      tenant: TENANTS[this.below(TENANTS.length)],
      abort: new AbortController(),
      lease: undefined,
    };
    const options = {
      identity: holder.user,
      tenant: holder.tenant,
      affinityKey: this.below(2) === 0 ? `key-${this.below(5)}` : undefined,
      signal: holder.abort.signal,
    };
    this.waiting.add(holder);
    const asked = tries ? this.pool.trySession(options) : this.pool.session(options);
    asked.then(
      (lease) => {
        this.waiting.delete(holder);
        if (lease) this.lent(holder, lease);
      },
      (error: unknown) => {
        this.waiting.delete(holder);
        const isExpected = error instanceof SessionPoolError || holder.abort.signal.aborted;
        if (!isExpected) this.faults.push(String(error));
      },
    );
  }

  lent(holder: Holder, lease: PoolLease<LightClient>): void {
    this.borrows++;
    for (const { lease: other } of this.holding)
      if (other?.sessionId === lease.sessionId) this.faults.push('one session for two callers');
    if (this.users.has(lease.sessionId) && this.users.get(lease.sessionId) !== holder.user)
      this.faults.push('one session for two users');
    this.users.set(lease.sessionId, holder.user);
    holder.lease = lease;
    this.holding.add(holder);
  }

  picked<T>(set: ReadonlySet<T>): T | undefined {
    return [...set][this.below(set.size)];
  }

  giveBack(discard: boolean): void {
    const holder = this.picked(this.holding);
    if (!holder?.lease) return;
    this.holding.delete(holder);
    try {
      holder.lease.release({ discard });
    } catch (error) {
      if (this.pool.isStarted() && this.uptime > 1) this.faults.push(`release: ${error}`);
    }
    try {
      holder.lease.release();
      this.faults.push('a lease was returned twice');
    } catch (error) {
      if (!(error instanceof SessionPoolError)) this.faults.push(String(error));
    }
  }

  get uptime(): number {
    return this.pool.metrics().uptime;
  }

  async step(): Promise<void> {
    const luck = this.below(100);
    if (luck < 35) this.borrow(luck < 8);
    else if (luck < 62) this.giveBack(luck < 38);
    else if (luck < 70) this.picked(this.waiting)?.abort.abort(new Error('left'));
    else if (luck < 74) void this.picked(this.transports)?.close();
    else if (luck < 76) void this.list();
    else if (luck < 77) this.pool.invalidateTools();
    else if (luck < 79) this.isDown = !this.isDown;
    else if (luck < 80) this.resize();
    else if (luck < 81) this.pool.drain();
    else if (luck < 82) this.pool.evict(this.pool.debugSnapshot()[0]?.sessionId ?? '');
    else if (luck < 83 && this.below(20) === 0) await this.restart();
    else if (luck < 90) await this.clock.advance(this.below(1_500));
  }

  async list(): Promise<void> {
    this.lists++;
    await this.pool.listTools({ identity: 'ada' }).catch(() => undefined);
    this.lists--;
  }

  resize(): void {
    const max = 1 + this.below(4);
    this.pool.resize({ minSessions: this.below(max + 1), maxSessions: max });
  }

  async restart(): Promise<void> {
    const ended = this.pool.shutdown();
    await this.clock.advance(this.below(2_000));
    for (const holder of [...this.holding]) {
      this.holding.delete(holder);
      await holder.lease?.[Symbol.asyncDispose]();
    }
    await this.clock.advance(6_000);
    await ended;
    this.check();
    if (this.transports.size > 0) this.faults.push('a session is open after shutdown');
    const started = this.pool.start().catch((error: unknown) => this.faults.push(String(error)));
    await this.clock.advance(2_500);
    await started;
  }

  check(): void {
    const { active, idle, total, waiting, tenants, borrows, returns } = this.pool.metrics();
    const states = this.pool.debugSnapshot();
    const fail = (what: string): void => void this.faults.push(what);
    if (active !== this.holding.size) fail(`active ${active}, borrowed ${this.holding.size}`);
    if (borrows - returns !== active) fail(`${borrows} borrows, ${returns} returns, active ${active}`);
    if (total > MAX_TOTAL) fail(`${total} sessions`);
    if (this.transports.size > total) fail(`${this.transports.size} open of ${total}`);
    if (idle < 0 || states.length > total) fail(`${states.length} served of ${total}`);
    if (waiting > this.waiting.size + this.lists) fail(`${waiting} wait, of ${this.waiting.size}`);
    for (const count of Object.values(tenants)) if (count > TENANT_MAX) fail(`${count} of one tenant`);
  }
}

it('10,000 random steps share no session, exceed no limit and leave nothing open', async () => {
  const seed = 20_261_129;
  const run = new Run(seed);
  const started = run.pool.start();
  await run.clock.advance(5_000);
  await started;
  for (let step = 0; step < STEPS && run.faults.length === 0; step++) {
    await run.step();
    // Now and then all that the steps have caused comes to rest.
    if (step % 5 === 0) {
      await turn();
      run.check();
    }
    if (run.faults.length > 0) run.faults.push(`step ${step} of seed ${seed}`);
  }
  expect(run.faults).toEqual([]);
  expect(run.borrows).toBeGreaterThan(STEPS / 10);
  const ended = run.pool.shutdown();
  for (const { lease } of run.holding) await lease?.[Symbol.asyncDispose]();
  await run.clock.advance(10_000);
  await ended;
  expect([
    run.transports.size,
    run.pool.metrics().total,
    run.pool.metrics().tenants,
    run.clock.timers,
  ]).toEqual([0, 0, {}, 0]);
});
