import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import { hasRedis, RedisServer } from './redis-server.ts';
import { callOf, startCounting, startReplica } from './sharing.ts';

describe.skipIf(!hasRedis)('leases and pauses that replicas share', () => {
  it('the leases of a killed and of a paused replica expire, and a continued one is counted again', async () => {
    const redis = await RedisServer.start();
    const gate = makeGate();
    const server = await startCounting(0, async ({ rpc }) => {
      if (Number(rpc.id) < 0) await gate.opened;
    });
    const url = `redis://127.0.0.1:${redis.port}`;
    const args = ['--max-concurrent', '2', '--queue-size', '9', '--queue-timeout', '60'];
    const killed = await startReplica(server.url, url, args);
    const paused = await startReplica(server.url, url, args);
    const other = await startReplica(server.url, url, args);
    const leases = (): number =>
      Number(redis.cli('zcard', redis.cli('keys', '*:leases').split('\n')[0] ?? ''));
    const cut = killed.ask({ body: callOf(-1) }).catch(() => 'cut');
    const held = paused.ask({ body: callOf(-2) });
    await expect.poll(leases).toBe(2);
    killed.bin.kill('SIGKILL');
    paused.bin.kill('SIGSTOP');
    const since = performance.now();
    await other.calls(2);
    const waited = performance.now() - since;
    expect(waited).toBeGreaterThan(8_000);
    expect(waited).toBeLessThan(18_000);
    expect(await cut).toBe('cut');
    paused.bin.kill('SIGCONT');
    await expect.poll(leases).toBe(1);
    gate.open();
    expect((await held).json).toEqual({ jsonrpc: '2.0', id: -2, result: {} });
    await paused.calls(3);
    await expect.poll(() => redis.cli('keys', '*:leases')).toBe('');
    expect([paused.logged('limits.local'), other.logged('limits.local')]).toEqual([0, 0]);
  });

  it('all replicas obey a pause that the server requests of one with Retry-After', async () => {
    const redis = await RedisServer.start();
    let throttledAt = Number.POSITIVE_INFINITY;
    const server = await startCounting(0, ({ rpc }, response) => {
      if (rpc.id !== 0 || throttledAt < Number.POSITIVE_INFINITY) return;
      throttledAt = performance.now();
      response.setHeader('retry-after', '2');
      sendJson(response, 429, { message: 'Too Many Requests' });
    });
    const url = `redis://127.0.0.1:${redis.port}`;
    const args = ['--rate-limit', '50', '--retry-mode', 'standard'];
    const first = await startReplica(server.url, url, args);
    const second = await startReplica(server.url, url, args);
    await second.calls(3);
    const throttled = first.ask({ body: callOf(0) });
    await expect.poll(() => throttledAt, { interval: 5 }).toBeLessThan(Number.POSITIVE_INFINITY);
    await sleep(100);
    await Promise.all([second.calls(5), first.calls(5)]);
    expect((await throttled).json).toMatchObject({ id: 0, result: {} });
    const early = server.arrivals.filter((at) => at > throttledAt + 50 && at < throttledAt + 1_900);
    expect(early).toEqual([]);
  });

  it('--limit-key account, identity, tool and profile each count what they name', async () => {
    const redis = await RedisServer.start();
    const server = await startCounting();
    const aws = await startAwsStandIns();
    const keysOf = (prefix: string): string[] =>
      redis
        .cli('keys', `${prefix}:*:rate`)
        .split('\n')
        .map((key) => key.replace(/^.*\{[0-9a-f]+:(.*)\}:rate$/, '$1'))
        .sort();
    const start = (limitKey: string, args: readonly string[] = []) =>
      startReplica(
        server.url,
        `redis://127.0.0.1:${redis.port}?prefix=${limitKey}`,
        [...['--rate-limit', '100', '--limit-key', limitKey], ...args],
        { ...(aws.env as Record<string, string>) },
      );
    const account = await start('account');
    await account.calls(2);
    expect(keysOf('account')).toEqual([expect.stringMatching(/^account:\d{12}$/)]);
    const profile = await start('profile');
    await profile.calls(2);
    expect(keysOf('profile')).toEqual(['profile:']);
    const tool = await start('tool');
    await tool.calls(1, 'invented');
    expect(keysOf('tool')).toEqual(['tool::']);
    const tokens = [
      '--listen-token',
      'secret-of-one-0123456789',
      '--listen-token',
      'secret-of-two-0123456789',
    ];
    const identity = await start('identity', tokens);
    for (const secret of ['one', 'two', 'one']) {
      const authorization = `Bearer secret-of-${secret}-0123456789`;
      const { status } = await identity.ask({ body: callOf(1), headers: { authorization } });
      expect(status).toBe(200);
    }
    expect(keysOf('identity')).toHaveLength(2);
  });
});

describe.skipIf(!hasRedis)('Redis with several servers', () => {
  it('with Sentinel, the limits continue on the new primary after a failover', async () => {
    const primary = await RedisServer.start();
    const standby = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', `${primary.port}`] });
    const sentinel = await RedisServer.start({
      sentinel: true,
      config: [
        `sentinel monitor fleet 127.0.0.1 ${primary.port} 1`,
        'sentinel down-after-milliseconds fleet 500',
        'sentinel failover-timeout fleet 3000',
      ],
    });
    await expect.poll(() => sentinel.cli('sentinel', 'replicas', 'fleet')).toContain(`${standby.port}`);
    await expect.poll(() => standby.cli('info', 'replication')).toContain('master_link_status:up');
    const server = await startCounting();
    const url = `redis+sentinel://127.0.0.1:${sentinel.port}/fleet`;
    const replica = await startReplica(server.url, url, ['--rate-limit', '100', '--limit-replicas', '2']);
    await replica.calls(3);
    await primary.kill();
    await replica.calls(3);
    expect(replica.logged('limits.local')).toBe(1);
    await expect.poll(() => standby.cli('info', 'replication')).toContain('role:master');
    await expect.poll(() => replica.logged('limits.shared')).toBe(1);
    standby.cli('flushall');
    await replica.calls(3);
    expect(standby.cli('keys', '*:rate')).toContain('mcp-sigv4-proxy');
  });

  it('with Cluster, each limit is on one node, and a lost node makes the limits local until it is back', async () => {
    const nodes = await Promise.all(
      [0, 1, 2].map(() =>
        RedisServer.start({ args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'] }),
      ),
    );
    const [first] = nodes;
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    first?.cli('--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes');
    await expect.poll(() => first?.cli('cluster', 'info')).toContain('cluster_state:ok');
    const server = await startCounting(20);
    const url = `redis+cluster://${addresses.slice(0, 2).join(',')}`;
    const args = [
      '--rate-limit',
      '100',
      '--max-concurrent',
      '2',
      '--queue-size',
      '9',
      '--limit-replicas',
      '2',
    ];
    const replicas = [
      await startReplica(server.url, url, args),
      await startReplica(server.url, url, args),
    ] as const;
    await Promise.all(replicas.map((replica) => replica.calls(5)));
    expect(replicas.map((replica) => replica.logged('limits.local'))).toEqual([0, 0]);
    expect(server.mostRunning()).toBe(2);
    const holder = nodes.find((node) => node.cli('keys', '*:rate') !== '');
    await holder?.kill();
    await Promise.all(replicas.map((replica) => replica.calls(5)));
    expect(replicas.map((replica) => replica.logged('limits.local'))).toEqual([1, 1]);
    await holder?.restart();
    await expect.poll(() => replicas.map((replica) => replica.logged('limits.shared'))).toEqual([1, 1]);
    server.mostRunning();
    await Promise.all(replicas.map((replica) => replica.calls(5)));
    expect(server.mostRunning()).toBe(2);
  });
});
