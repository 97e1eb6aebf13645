import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { createProxy, SigV4ClientTransport } from '../../src/library/index.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { hasRedis, RedisServer } from './redis-server.ts';
import {
  callOf,
  excessiveSeconds,
  mostInOneSecond,
  startCounting,
  startReplica,
  watchStalls,
} from './sharing.ts';

async function startFleet(args: readonly string[], answerMs = 0) {
  const redis = await RedisServer.start();
  const server = await startCounting(answerMs);
  const all = [...args, '--limit-replicas', '2'];
  const url = `redis://127.0.0.1:${redis.port}`;
  const replicas = [
    await startReplica(server.url, url, all),
    await startReplica(server.url, url, all),
  ] as const;
  return { redis, server, replicas };
}

describe.skipIf(!hasRedis)('two replicas that share --limits', () => {
  it('two replicas with --rate-limit 10 pass 10 requests per second together, also while Redis is away', async () => {
    const { server, replicas, redis } = await startFleet(['--rate-limit', '10', '--rate-burst', '5']);
    const stalls = watchStalls();
    const wrong: unknown[] = [];
    let id = 0;
    const ask = async (at: number): Promise<void> => {
      const own = id++;
      const { json } = (await replicas[at % 2]?.ask({ body: callOf(own) })) ?? {};
      if (!json || json.id !== own || !('result' in json)) wrong.push([own, json]);
    };
    /** Returns the times of the requests that the server received meanwhile. */
    const load = async (ms: number): Promise<readonly number[]> => {
      const until = performance.now() + ms;
      const before = server.arrivals.length;
      await Promise.all(
        Array.from({ length: 8 }, async (_, at) => {
          while (performance.now() < until) await ask(at);
        }),
      );
      return server.arrivals.slice(before);
    };
    const shared = await load(3_000);
    // More than one share: also where the machine has no time for 10 calls in each second.
    expect(mostInOneSecond(shared)).toBeGreaterThan(7);
    await redis.kill();
    const local = await load(2_000);
    expect(mostInOneSecond(local)).toBeGreaterThan(3);
    await redis.restart();
    await load(2_000);
    expect(wrong).toEqual([]);
    expect(excessiveSeconds(server.arrivals, { rate: 10, burst: 5, stalls })).toEqual([]);
    for (const { bin } of replicas) {
      expect(bin.stderr).toMatch(/limits\.local/);
      await bin.stderrMatching(/limits\.shared/);
    }
  });

  it('two replicas with --max-concurrent 2 run 2 calls together and return every lease', async () => {
    const { replicas, server, redis } = await startFleet(['--max-concurrent', '2', '--queue-size', '50'], 50);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => replicas[at % 2]?.ask({ body: callOf(at) })),
    );
    expect(answers.map((answer) => answer?.status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(server.mostRunning()).toBe(2);
    expect(redis.cli('keys', '*leases')).toBe('');
  });

  it('two proxies of the library with the same limits run 2 calls together, and close disconnects them', async () => {
    const redis = await RedisServer.start();
    let running = 0;
    let most = 0;
    const session = new SessionServer({
      on: {
        'tools/call': async ({ rpc }, response) => {
          most = Math.max(most, ++running);
          await sleep(50);
          running--;
          sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: { content: [] } });
        },
      },
    });
    const server = await ScriptedServer.start(session.behaviour);
    const limits = `redis://127.0.0.1:${redis.port}`;
    const options = {
      endpoint: server.url,
      auth: 'none',
      limits,
      limitReplicas: 2,
      maxConcurrent: 2,
      queueSize: 50,
    } as const;
    const open = async () => {
      const proxy = await createProxy({ ...options, maxConnections: 8 });
      const client = new Client({ name: 'test', version: '1' });
      await client.connect(new SigV4ClientTransport(proxy));
      return { proxy, client };
    };
    const opened = [await open(), await open()];
    const calls = Array.from({ length: 12 }, (_, at) => opened[at % 2]?.client.callTool({ name: 'any' }));
    expect(await Promise.all(calls)).toHaveLength(12);
    expect(most).toBe(2);
    const connected = (): number =>
      redis
        .cli('client', 'list')
        .split('\n')
        .filter((line) => line !== '' && !line.includes('cmd=client')).length;
    expect(connected()).toBeGreaterThan(0);
    await Promise.all(opened.map(({ proxy }) => proxy.close()));
    await expect.poll(connected).toBe(0);
  });
});
