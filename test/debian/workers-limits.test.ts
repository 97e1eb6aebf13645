import { describe, expect, it } from 'vitest';
import { makeTempHome } from '../support/temp-home.ts';
import { connectToBoth, untilLogged } from '../support/workers.ts';
import { hasRedis, RedisServer } from './redis-server.ts';
import {
  callOf,
  excessiveSeconds,
  type Replica,
  startCounting,
  startReplica,
  watchStalls,
} from './sharing.ts';

/** A listener of two workers and a listener of one process, with one limit in Redis. */
async function startBoth(limits: readonly string[], answerMs = 0, env = {}) {
  const redis = await RedisServer.start();
  const server = await startCounting(answerMs);
  const url = `redis://127.0.0.1:${redis.port}`;
  const args = [...limits, '--limit-replicas', '2'];
  const two = await startReplica(server.url, url, [...args, '--workers', '2'], env);
  await untilLogged(two.bin, 'listener.opened', 2);
  const one = await startReplica(server.url, url, args, env);
  return { redis, server, two, one };
}

const statuses = async (replicas: readonly Replica[], count: number): Promise<readonly unknown[]> => {
  const asks = Array.from({ length: count }, (_, id) =>
    replicas[id % replicas.length]?.ask({ body: callOf(id) }),
  );
  return (await Promise.all(asks)).map((answer) => [answer?.status, answer?.json.id]);
};

const answered = (count: number): readonly unknown[] => Array.from({ length: count }, (_, id) => [200, id]);

describe.skipIf(!hasRedis)('--workers with --limits', () => {
  it('two workers and another replica with --rate-limit 10 pass 10 requests per second together', async () => {
    const { server, two, one, redis } = await startBoth(['--rate-limit', '10', '--rate-burst', '5']);
    const stalls = watchStalls();
    const count = 45;
    expect(await statuses([two, one, two], count)).toEqual(answered(count));
    expect(server.arrivals).toHaveLength(count);
    expect(excessiveSeconds(server.arrivals, { rate: 10, burst: 5, stalls })).toEqual([]);
    // The workers use Redis, and not the limits of their primary process.
    expect(redis.cli('keys', '*')).not.toBe('');
    expect([two.logged('limits.local'), one.logged('limits.local')]).toEqual([0, 0]);
  });

  it('two workers and another replica with --max-concurrent 2 run 2 calls together and return every lease', async () => {
    const { server, two, one, redis } = await startBoth(['--max-concurrent', '2', '--queue-size', '60'], 40);
    expect(await statuses([two, one, two], 30)).toEqual(answered(30));
    expect(server.mostRunning()).toBe(2);
    await expect.poll(() => redis.cli('keys', '*leases')).toBe('');
  });

  it('two workers hold the limit of a client over all processes with --limit-key identity', async () => {
    const { write, cleanup } = await makeTempHome();
    const tokens = { ann: 'the-token-of-the-first-user', bob: 'the-token-of-the-other-user' };
    const file = await write(
      'tokens',
      Object.entries(tokens)
        .map(([name, token]) => `${name}=${token}\n`)
        .join(''),
    );
    // The first call of a client takes the one turn with which a new limit begins in Redis.
    const limits = ['--rate-limit', '0.001', '--rate-burst', '4', '--limit-key', 'identity'];
    const { two, one } = await startBoth([...limits, '--listen-token-file', file]);
    const both = await connectToBoth(two.url, { authorization: `Bearer ${tokens.ann}` });
    const limited = { error: { data: { reason: 'rate-limited', mayHaveRun: false } } };
    const first = { ann: both[0], bob: one.ask } as const;
    for (const user of ['ann', 'bob'] as const) {
      const headers = { authorization: `Bearer ${tokens[user]}` };
      expect((await first[user]({ headers, body: callOf(0) })).json).toMatchObject({ id: 0, result: {} });
      for (const ask of [...both, one.ask])
        expect((await ask({ headers, body: callOf(-1) })).json).toMatchObject(limited);
    }
    await cleanup();
  });

  it('two workers hold the limit of a rule of --identity-map over all processes', async () => {
    const { write, cleanup } = await makeTempHome();
    const token = 'the-token-of-the-first-user';
    const map = {
      identities: [{ name: 'ann', match: { token: 'ann' }, limits: { maxConcurrent: 1 } }],
    };
    const { server, two, one, redis } = await startBoth(
      [
        ...['--queue-size', '60', '--listen-token-file', await write('tokens', `ann=${token}\n`)],
        ...['--identity-map', await write('map.json', JSON.stringify(map))],
      ],
      20,
    );
    const headers = { authorization: `Bearer ${token}` };
    const asks = Array.from({ length: 20 }, (_, id) =>
      (id % 3 === 0 ? one : two).ask({ headers, body: callOf(id) }),
    );
    expect((await Promise.all(asks)).map(({ json }) => json.id)).toEqual(asks.map((_, id) => id));
    expect(server.mostRunning()).toBe(1);
    await expect.poll(() => redis.cli('keys', '*leases')).toBe('');
    await cleanup();
  });
});
