import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';
import { freePort, hasRedis, RedisServer } from './redis-server.ts';
import {
  excessiveSeconds,
  mostInOneSecond,
  startCounting,
  startReplica,
  startTcpRelay,
  watchStalls,
} from './sharing.ts';

const PASSWORD = 'p4ssw0rd-of-redis';
/** Long enough for several tests of a broken store: each of them may wrongly report a return. */
const FLAP_MS = 2_500;

/** Longer than calls wait for their first turns without Redis. */
const LOCAL_WAIT_MS = 6_000;

interface Fault {
  readonly name: string;
  /** Whether the fault is there from the start. */
  readonly fromStart?: boolean;
  readonly args?: readonly string[];
  readonly userInfo?: string;
  readonly cause: RegExp;
  readonly break: (redis: RedisServer) => void | Promise<void>;
  readonly mend: (redis: RedisServer) => void | Promise<void>;
}

const acl = (rights: string) => ['--user', ...`replica on >${PASSWORD} ${rights}`.split(' ')];

const FAULTS: readonly Fault[] = [
  {
    name: 'a wrong password',
    fromStart: true,
    args: ['--requirepass', 'another'],
    userInfo: `:${PASSWORD}@`,
    cause: /WRONGPASS/,
    break: () => undefined,
    mend: (redis) => void redis.cli('-a', 'another', 'config', 'set', 'requirepass', PASSWORD),
  },
  {
    name: 'a password that Redis requires and the URL lacks',
    fromStart: true,
    args: ['--requirepass', PASSWORD],
    cause: /NOAUTH/,
    break: () => undefined,
    mend: (redis) => void redis.cli('-a', PASSWORD, 'config', 'set', 'requirepass', ''),
  },
  {
    name: 'a user without the right to run scripts',
    fromStart: true,
    args: acl('~* &* +@all -@scripting'),
    userInfo: `replica:${PASSWORD}@`,
    cause: /NOPERM/,
    break: () => undefined,
    mend: (redis) => void redis.cli('acl', 'setuser', 'replica', '+@scripting'),
  },
  {
    name: 'a user who may count the replicas and not write a bucket',
    fromStart: true,
    args: acl('~mcp-sigv4-proxy:{replicas}:* &* +@all'),
    userInfo: `replica:${PASSWORD}@`,
    cause: /NOPERM|no permission/i,
    break: () => undefined,
    mend: (redis) => void redis.cli('acl', 'setuser', 'replica', '~mcp-sigv4-proxy:*'),
  },
  {
    name: 'a server that becomes a read-only replica',
    cause: /READONLY|read.only/i,
    break: async (redis) => void redis.cli('replicaof', '127.0.0.1', `${await freePort()}`),
    mend: (redis) => void redis.cli('replicaof', 'no', 'one'),
  },
  {
    name: 'a server out of memory',
    cause: /OOM/,
    break: (redis) => void redis.cli('config', 'set', 'maxmemory', '1'),
    mend: (redis) => void redis.cli('config', 'set', 'maxmemory', '0'),
  },
  {
    name: 'a paused server (SIGSTOP)',
    cause: /no answer within 0\.5 s/,
    break: (redis) => redis.pause(),
    mend: (redis) => redis.resume(),
  },
  {
    name: 'a server that holds back all commands (CLIENT PAUSE)',
    cause: /no answer within 0\.5 s/,
    break: (redis) => void redis.cli('client', 'pause', `${FLAP_MS + LOCAL_WAIT_MS}`),
    // The pause ends by itself: it holds back CLIENT UNPAUSE as well.
    mend: () => undefined,
  },
  {
    name: 'a server that is killed and started again',
    cause: /ECONNREFUSED|ECONNRESET|the connection is closed/,
    break: (redis) => redis.kill(),
    mend: (redis) => redis.restart(),
  },
];

describe.skipIf(!hasRedis)('faults of the Redis server behind --limits', () => {
  it.each(FAULTS)('with $name, calls succeed at the local share and the log has one line', async (fault) => {
    const stalls = watchStalls();
    const redis = await RedisServer.start({ args: fault.args ?? [] });
    const server = await startCounting();
    const url = `redis://${fault.userInfo ?? ''}127.0.0.1:${redis.port}`;
    const replica = await startReplica(server.url, url, [
      '--rate-limit',
      '20',
      '--rate-burst',
      '5',
      '--limit-replicas',
      '2',
    ]);
    if (!fault.fromStart) await replica.calls(4);
    expect(replica.logged('limits.local')).toBe(0);
    await fault.break(redis);
    const until = performance.now() + FLAP_MS;
    while (performance.now() < until) await replica.calls(4);
    expect(replica.bin.stderr).toMatch(fault.cause);
    expect([replica.logged('limits.local'), replica.logged('limits.shared')]).toEqual([1, 0]);
    const local = server.arrivals.filter((at) => at > until - FLAP_MS + 1_000);
    expect(excessiveSeconds(local, { rate: 10, burst: 2, stalls })).toEqual([]);
    await fault.mend(redis);
    await replica.bin.stderrMatching(/"limits\.shared"/);
    await replica.calls(6);
    expect([replica.logged('limits.local'), replica.logged('limits.shared')]).toEqual([1, 1]);
    expect(replica.bin.stderr).not.toContain(PASSWORD);
  });

  it('with a Redis that answers after 0.2 s, the limits stay shared and calls only take longer', async () => {
    const redis = await RedisServer.start();
    const relay = await startTcpRelay(redis.port);
    const server = await startCounting();
    const replica = await startReplica(server.url, `redis://127.0.0.1:${relay.port}`, [
      ...['--rate-limit', '100', '--max-concurrent', '4', '--queue-size', '20'],
    ]);
    await replica.calls(4);
    relay.delay(100);
    await replica.calls(8);
    expect(server.mostRunning()).toBeLessThanOrEqual(4);
    expect(replica.logged('limits.local')).toBe(0);
  });

  it('without packets to Redis in either direction, calls take the local share, and return to the shared one', async () => {
    const redis = await RedisServer.start();
    const relay = await startTcpRelay(redis.port);
    const server = await startCounting();
    const replica = await startReplica(server.url, `redis://127.0.0.1:${relay.port}`, ['--rate-limit', '50']);
    await replica.calls(4);
    relay.cut();
    await replica.calls(4);
    await replica.bin.stderrMatching(/no answer within 0\.5 s/);
    relay.heal();
    await replica.bin.stderrMatching(/"limits\.shared"/);
    await replica.calls(4);
    expect([replica.logged('limits.local'), replica.logged('limits.shared')]).toEqual([1, 1]);
  });

  it('doctor checks Redis with the user that docs/limits.md describes, and names a missing right', async () => {
    const documented = /ACL SETUSER mcp on >password ([^`]+)`/.exec(
      readFileSync('docs/limits.md', 'utf8'),
    )?.[1];
    const rights = (documented ?? '').split(/\s+/);
    const redis = await RedisServer.start({ args: ['--user', 'mcp', 'on', `>${PASSWORD}`, ...rights] });
    const server = await startCounting();
    const url = `redis://mcp:${PASSWORD}@127.0.0.1:${redis.port}`;
    const replica = await startReplica(server.url, url, [
      '--rate-limit',
      '50',
      '--max-concurrent',
      '2',
      '--queue-size',
      '9',
    ]);
    await replica.calls(6);
    expect(replica.logged('limits.local')).toBe(0);
    const check = async (): Promise<string> => {
      const bin = BinDriver.start({
        args: ['doctor', server.url, ...signingArgs, '--rate-limit', '5'],
        env: { ...signingEnv, MCP_PROXY_LIMITS: url },
        anyStdout: true,
      });
      await bin.exit();
      expect(bin.lines.join('\n')).not.toContain(PASSWORD);
      return bin.lines.find((line) => / limits /.test(line)) ?? '';
    };
    expect(await check()).toMatch(/^ok +limits .*used by 1 process now/);
    redis.cli('acl', 'setuser', 'mcp', '-hset');
    expect(await check()).toMatch(/^failed +limits .*can't run this command/);
  });

  it('FLUSHALL under load allows no second burst and no log line', async () => {
    const redis = await RedisServer.start();
    const server = await startCounting();
    const replica = await startReplica(server.url, `redis://127.0.0.1:${redis.port}`, [
      '--rate-limit',
      '10',
      '--rate-burst',
      '10',
    ]);
    const load = replica.calls(35);
    for (let flushes = 0; flushes < 5; flushes++) {
      await sleep(300);
      redis.cli('flushall');
    }
    redis.cli('script', 'flush');
    await load;
    // Each flush may give one turn before its time.
    expect(mostInOneSecond(server.arrivals)).toBeLessThanOrEqual(10 + 10 + 4);
    expect(replica.logged('limits.local')).toBe(0);
  });

  it('replicas with different limits report it once and each obeys its own', async () => {
    const redis = await RedisServer.start();
    const server = await startCounting();
    const url = `redis://127.0.0.1:${redis.port}`;
    const old = await startReplica(server.url, url, ['--rate-limit', '20']);
    const changed = await startReplica(server.url, url, ['--rate-limit', '40', '--rate-burst', '20']);
    for (let round = 0; round < 3; round++) {
      await old.calls(3);
      await changed.calls(3);
    }
    expect([old.logged('limits.differ'), changed.logged('limits.differ')]).toEqual([1, 1]);
    expect(old.bin.stderr).toContain('40/20');
    expect(changed.bin.stderr).toContain('20/20');
  });

  it('two fleets with one prefix share a limit for the same endpoint only, and a prefix keeps them apart', async () => {
    const redis = await RedisServer.start();
    const url = `redis://127.0.0.1:${redis.port}`;
    const one = await startCounting();
    const other = await startCounting();
    const args = ['--rate-limit', '1000'];
    const fleets = [
      await startReplica(one.url, url, args),
      await startReplica(one.url, `${url}?prefix=second`, args),
      await startReplica(other.url, url, args),
    ];
    for (const replica of fleets) await replica.calls(1);
    const buckets = redis.cli('keys', '*:rate').split('\n').sort();
    expect(buckets).toHaveLength(3);
    expect(new Set(buckets.map((key) => key.split(':{')[0]))).toEqual(new Set(['mcp-sigv4-proxy', 'second']));
  });

  it('with TLS, the certificate and name of the Redis server are checked', async () => {
    const authority = await makeTlsAuthority();
    const folder = mkdtempSync(join(tmpdir(), 'mcp-redis-tls-'));
    afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
    const fileOf = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const tlsPort = await freePort();
    const files = { cert: fileOf('cert.pem', authority.cert), key: fileOf('key.pem', authority.key) };
    const redis = await RedisServer.start({
      args: [
        ...['--tls-port', `${tlsPort}`, '--tls-cert-file', files.cert, '--tls-key-file', files.key],
        ...['--tls-ca-cert-file', authority.caFile(), '--tls-auth-clients', 'no'],
      ],
    });
    const server = await startCounting();
    const url = `rediss://localhost:${tlsPort}`;
    const trusting = await startReplica(server.url, url, ['--rate-limit', '100'], {
      NODE_EXTRA_CA_CERTS: authority.caFile(),
    });
    await trusting.calls(3);
    expect(redis.cli('keys', '*:rate')).toContain('mcp-sigv4-proxy');
    expect(trusting.logged('limits.local')).toBe(0);
    const distrusting = await startReplica(server.url, url, ['--rate-limit', '100']);
    await distrusting.calls(3);
    expect(distrusting.bin.stderr).toMatch(/unable to (get|verify)|self.signed/);
  });
});
