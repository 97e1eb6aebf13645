import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { createProxy, SigV4ClientTransport } from '../../src/library/index.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { startListener } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOnLoopback(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Redis without files, on a port that stays the same over restarts. */
async function startRedis(port: number): Promise<ChildProcess> {
  const redis = spawn('redis-server', [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ]);
  afterThisTest(() => void redis.kill('SIGKILL'));
  await new Promise<void>((resolve) => {
    redis.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('Ready to accept connections')) resolve();
    });
  });
  return redis;
}

const call = (id: number) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'any', arguments: {} },
});

/** The most arrivals within any second. */
function mostInOneSecond(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
}

async function startFleet(args: readonly string[], answerMs = 0) {
  const port = await freePort();
  const redis = await startRedis(port);
  const arrivals: number[] = [];
  let running = 0;
  let most = 0;
  const server = await ScriptedServer.start(
    async (request, response) => {
      arrivals.push(performance.now());
      most = Math.max(most, ++running);
      await sleep(answerMs);
      running--;
      sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
    },
    { verify: signingVerify },
  );
  const all = [
    ...args,
    '--limits',
    `redis://127.0.0.1:${port}`,
    '--limit-replicas',
    '2',
    '--max-connections',
    '16',
  ];
  const replicas = [
    await startListener(server.url, { args: all }),
    await startListener(server.url, { args: all }),
  ];
  return { port, redis, arrivals, replicas, mostRunning: () => most };
}

describe.skipIf(!hasRedis)('two replicas that share --limits', () => {
  it('two replicas with --rate-limit 10 pass 10 requests per second together, also while Redis is away', async () => {
    const { arrivals, replicas, redis, port } = await startFleet(['--rate-limit', '10', '--rate-burst', '5']);
    const wrong: unknown[] = [];
    let id = 0;
    const ask = async (at: number): Promise<void> => {
      const own = id++;
      const { json } = (await replicas[at % 2]?.ask({ body: call(own) })) ?? {};
      if (!json || json.id !== own || !('result' in json)) wrong.push([own, json]);
    };
    const load = async (ms: number): Promise<number> => {
      const until = performance.now() + ms;
      const before = arrivals.length;
      await Promise.all(
        Array.from({ length: 8 }, async (_, at) => {
          while (performance.now() < until) await ask(at);
        }),
      );
      return arrivals.length - before;
    };
    const shared = await load(3_000);
    expect(shared).toBeGreaterThan(22);
    expect(shared).toBeLessThan(45);
    redis.kill('SIGKILL');
    const local = await load(2_000);
    expect(local).toBeGreaterThan(10);
    expect(local).toBeLessThan(35);
    await startRedis(port);
    await load(2_000);
    expect(wrong).toEqual([]);
    expect(mostInOneSecond(arrivals)).toBeLessThanOrEqual(15);
    for (const { bin } of replicas) {
      expect(bin.stderr.match(/limits\.local/g)).toHaveLength(1);
      await bin.stderrMatching(/limits\.shared/);
    }
  });

  it('two replicas with --max-concurrent 2 run 2 calls together and return every lease', async () => {
    const { replicas, mostRunning, port } = await startFleet(
      ['--max-concurrent', '2', '--queue-size', '50'],
      50,
    );
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => replicas[at % 2]?.ask({ body: call(at) })),
    );
    expect(answers.map((answer) => answer?.status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(mostRunning()).toBe(2);
    const keys = spawnSync('redis-cli', ['-p', `${port}`, 'keys', '*leases']).stdout.toString();
    expect(keys.trim()).toBe('');
  });

  it('two proxies of the library with the same limits run 2 calls together, and close disconnects them', async () => {
    const port = await freePort();
    await startRedis(port);
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
    const limits = `redis://127.0.0.1:${port}`;
    const options = { endpoint: server.url, auth: 'none', limits, maxConcurrent: 2, queueSize: 50 } as const;
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
      spawnSync('redis-cli', ['-p', `${port}`, 'client', 'list'])
        .stdout.toString()
        .split('\n')
        .filter((line) => line !== '' && !line.includes('cmd=client')).length;
    expect(connected()).toBeGreaterThan(0);
    await Promise.all(opened.map(({ proxy }) => proxy.close()));
    await expect.poll(connected).toBe(0);
  });
});
