import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import {
  applyRate,
  type BucketState,
  newBucket,
  type RateCommand,
  type Reservation,
} from '../../src/limits/rate-bucket.ts';
import { RATE_SCRIPT, REPLICA_SCRIPT } from '../../src/limits/redis-scripts.ts';
import { rateArguments } from '../../src/limits/redis-store.ts';
import { type ReplicaHeartbeat, ReplicaTable } from '../../src/limits/replica-table.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { fc } from '../support/property.ts';

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/** The script with the time as its second key, in place of the first line, which reads the clock. */
const SCRIPT = RATE_SCRIPT.replace(/^.*$/m, 'local now = tonumber(KEYS[2])');
const LIMIT = { ratePerSecond: 7, burst: 3 };

async function startRedis(): Promise<Redis> {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-redis-'));
  const socket = join(folder, 'redis.sock');
  const server: ChildProcess = spawn('redis-server', [
    ...['--port', '0', '--unixsocket', socket],
    ...['--save', '', '--appendonly', 'no'],
  ]);
  await new Promise<void>((resolve) => {
    server.stdout?.on('data', (chunk: Buffer) => {
      if (/ready to accept connections/i.test(`${chunk}`)) resolve();
    });
  });
  const redis = new Redis(socket);
  afterThisTest(async () => {
    redis.disconnect();
    const closed = new Promise((resolve) => server.once('close', resolve));
    server.kill('SIGKILL');
    await closed;
    rmSync(folder, { recursive: true, force: true });
  });
  return redis;
}

type Step = { readonly afterUs: number } & (
  | { readonly name: 'take'; readonly count: number; readonly maxWaitUs: number }
  | { readonly name: 'claim'; readonly maxWaitUs: number; readonly maxLateUs: number }
  | { readonly name: 'refund'; readonly count: number; readonly reserved: boolean }
  | { readonly name: 'pause'; readonly us: number }
);

const afterUs = fc.integer({ min: -50_000, max: 900_000 });
const maxWaitUs = fc.integer({ min: 0, max: 2_000_000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    name: fc.constant('take' as const),
    afterUs,
    count: fc.integer({ min: 1, max: 5 }),
    maxWaitUs,
  }),
  fc.record({
    name: fc.constant('claim' as const),
    afterUs,
    maxWaitUs,
    maxLateUs: fc.integer({ min: 0, max: 900_000 }),
  }),
  fc.record({
    name: fc.constant('refund' as const),
    afterUs,
    count: fc.integer({ min: 1, max: 3 }),
    reserved: fc.boolean(),
  }),
  fc.record({ name: fc.constant('pause' as const), afterUs, us: fc.integer({ min: 0, max: 1_500_000 }) }),
);

describe.skipIf(!hasRedis)('the script of the shared rate', () => {
  it('the script in Redis grants, reserves and delays what the pure bucket does, over random commands', async () => {
    const redis = await startRedis();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
        const key = `bucket-${run++}`;
        let now = 1_700_000_000_000_000;
        let state: BucketState | undefined;
        let reserved: Reservation | undefined;
        for (const { afterUs: later, ...next } of steps) {
          now += later;
          if (next.name === 'claim' && !reserved) continue;
          state ??= newBucket(now, LIMIT);
          const { born } = state;
          const command: RateCommand =
            next.name === 'claim'
              ? { ...next, reserved: reserved ?? { readyAt: 0, shift: 0, born } }
              : next.name === 'refund'
                ? { ...next, born: next.count === 2 ? born - 1 : born }
                : next;
          const expected = applyRate(state, LIMIT, command, now);
          const { ratePerSecond, burst } = LIMIT;
          const found = (await redis.eval(
            SCRIPT,
            2,
            key,
            now,
            command.name,
            ratePerSecond,
            burst,
            `${ratePerSecond}/${burst}`,
            ...rateArguments(command),
          )) as [number, number, number, number, number, string];
          state = expected.state;
          const { granted, waitUs } = expected.answer;
          if (expected.answer.reserved || next.name === 'claim') reserved = expected.answer.reserved;
          expect([found[0], found[2]], JSON.stringify(command)).toEqual([
            granted,
            reservedAt(expected.answer),
          ]);
          // The script rounds saved turns to a millionth.
          expect(Math.abs(found[1] - waitUs)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 60 },
    );
  });
});

const heartbeat = fc.record({
  replica: fc.constantFrom('a', 'b', 'c', 'd'),
  afterUs: fc.oneof(fc.integer({ min: 1, max: 900_000 }), fc.integer({ min: 1, max: 40_000_000 })),
  ttlUs: fc.constantFrom(0, 1_500_000, 1_500_000, 1_500_000),
  /** Relative to the time of the heartbeat. */
  expiresIn: fc.constantFrom(undefined, -100_000, 1_000_000, 9_000_000),
  minReplicas: fc.integer({ min: 1, max: 4 }),
  expected: fc.integer({ min: 1, max: 5 }),
  expectedForUs: fc.constantFrom(5_000_000, 30_000_000),
  usedShareOf: fc.constantFrom(0, 0, 3, 7),
});

describe.skipIf(!hasRedis)('the script of the replicas', () => {
  it('the script in Redis counts the replicas that the pure table counts, over random heartbeats', async () => {
    const redis = await startRedis();
    const script = REPLICA_SCRIPT.replace(/^.*$/m, 'local now = tonumber(KEYS[4])');
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(heartbeat, { minLength: 1, maxLength: 30 }), async (beats) => {
        const table = new ReplicaTable();
        const keys = ['alive', 'joined', 'shares'].map((part) => `${part}-${run}`);
        run++;
        let now = 1_700_000_000_000_000;
        for (const { replica, afterUs: later, expiresIn, ...rest } of beats) {
          now += later;
          const beat: ReplicaHeartbeat = {
            ...rest,
            expiresAt: expiresIn === undefined ? 0 : now + expiresIn,
          };
          const { ttlUs, expiresAt, minReplicas, expected, expectedForUs, usedShareOf } = beat;
          const args = [replica, ttlUs, expiresAt, minReplicas, expected, expectedForUs, usedShareOf];
          const found = (await redis.eval(script, 4, ...keys, now, ...args)) as (number | string)[];
          const view = table.beat(replica, beat, now);
          const counts = [view.now, view.replicas, ttlUs > 0 ? view.rank : 0, view.alive, view.missing];
          expect(found.slice(0, 5), JSON.stringify(beat)).toEqual(counts);
          expect(Number(found[5])).toBeCloseTo(view.missingShare, 6);
          expect(found[6]).toBe(view.known);
        }
      }),
      { numRuns: 100 },
    );
  });
});

const reservedAt = ({ reserved }: { readonly reserved: Reservation | undefined }): number =>
  reserved?.readyAt ?? 0;
