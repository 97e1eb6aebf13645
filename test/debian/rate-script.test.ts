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
import { RATE_SCRIPT } from '../../src/limits/redis-scripts.ts';
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
  | { readonly name: 'take'; readonly count: number; readonly maxWaitUs: number; readonly rejoin: number }
  | { readonly name: 'claim'; readonly maxWaitUs: number }
  | { readonly name: 'refund'; readonly count: number }
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
    rejoin: fc.integer({ min: 0, max: 3 }),
  }),
  fc.record({ name: fc.constant('claim' as const), afterUs, maxWaitUs }),
  fc.record({ name: fc.constant('refund' as const), afterUs, count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ name: fc.constant('pause' as const), afterUs, us: fc.integer({ min: 0, max: 1_500_000 }) }),
);

function argumentsOf(command: RateCommand): (string | number)[] {
  switch (command.name) {
    case 'take':
      return [command.count, command.maxWaitUs, command.rejoin];
    case 'claim':
      return [command.reserved.readyAt, command.reserved.shift, command.maxWaitUs];
    case 'refund':
      return [command.count];
    case 'pause':
      return [command.us];
  }
}

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
          const command: RateCommand =
            next.name === 'claim' ? { ...next, reserved: reserved ?? { readyAt: 0, shift: 0 } } : next;
          state ??= newBucket(now);
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
            ...argumentsOf(command),
          )) as [number, number, number, number, string];
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

const reservedAt = ({ reserved }: { readonly reserved: Reservation | undefined }): number =>
  reserved?.readyAt ?? 0;
