import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect, it } from 'vitest';
import {
  OptionsError,
  SessionPool,
  SessionPoolError,
  type SessionPoolOptions,
} from '../../../src/library/index.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { settle } from '../../support/make-call.ts';
import { startSdkServer } from '../../support/sdk-servers.ts';
import { MemoryServer, memoryPool, startedPool, text } from './memory-server.ts';

const PROXY = {
  region: 'eu-west-1',
  service: 'execute-api',
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
};
const INFO = { name: 'test', version: '1' };

describe('a pool of sessions at a real server', () => {
  it.each([
    ['v1', () => new ClientV1(INFO)],
    ['v2', () => new ClientV2(INFO)],
    ['v2', undefined],
  ] as const)(
    'SessionPool opens, lends and deletes signed sessions of SDK %s',
    async (generation, clientFactory) => {
      const server = await startSdkServer(generation);
      const pool = new SessionPool<ClientV1 | ClientV2>({
        endpoint: server.url,
        proxy: PROXY,
        minSessions: 2,
        maxSessions: 3,
        ...(clientFactory ? { clientFactory } : {}),
      });
      await pool.start();
      afterThisTest(() => pool.shutdown());
      expect([pool.isReady(), server.opened.length]).toEqual([true, 2]);
      const added = await pool.callTool('add', { a: 1, b: 2 });
      expect(text(added)).toBe('3');
      expect((await pool.listTools()).map(({ name }) => name)).toContain('add');
      {
        await using lease = await pool.session();
        await lease.client.ping();
        expect(pool.metrics()).toMatchObject({ active: 1, idle: 1, borrows: 2 });
      }
      expect(pool.metrics()).toMatchObject({ active: 0, idle: 2, returns: 2 });
      await pool.shutdown();
      expect([...server.deleted].sort()).toEqual([...server.opened].sort());
    },
  );
});

describe('start and shutdown', () => {
  it('start opens the minimum once, however often it is called, and again after shutdown', async () => {
    const { pool, server } = memoryPool({ minSessions: 2 });
    await Promise.all([pool.start(), pool.start()]);
    await pool.start();
    expect(server.open).toEqual([0, 1]);
    await Promise.all([pool.shutdown(), pool.shutdown()]);
    expect([server.open, pool.isReady(), pool.metrics().total]).toEqual([[], false, 0]);
    await pool.start();
    expect(server.open).toEqual([2, 3]);
  });

  it('a minimum of 0 is ready at once, and the first borrow opens a session that the next one reuses', async () => {
    const { pool, server } = await startedPool();
    expect([pool.isReady(), server.attempts]).toEqual([true, 0]);
    expect(text(await pool.callTool('echo'))).toBe('0 echo');
    expect(text(await pool.callTool('echo', { a: 0 }))).toBe('0 echo');
    expect(pool.metrics()).toMatchObject({ borrows: 2, sessionsCreated: 1, hitRate: 0.5 });
  });

  it('a borrow before start and after shutdown is refused with the method to call', async () => {
    const { pool } = memoryPool();
    await expect(pool.session()).rejects.toMatchObject({ reason: 'not-started', field: 'start' });
    await pool.start();
    const ended = pool.shutdown();
    await expect(pool.session()).rejects.toMatchObject({ reason: 'shutting-down', field: 'shutdown' });
    await ended;
    await expect(pool.listTools()).rejects.toBeInstanceOf(SessionPoolError);
    await expect(pool.trySession()).rejects.toMatchObject({ reason: 'not-started' });
  });

  it('waitReady resolves when the minimum is open, false when its time is over or the pool ends', async () => {
    const server = new MemoryServer();
    let open = (): void => undefined;
    server.gate = () => new Promise<void>((resolve) => (open = resolve));
    const { pool, clock } = memoryPool({ minSessions: 1 }, server);
    const started = pool.start();
    const ready = pool.waitReady();
    const late = pool.waitReady(3);
    await clock.advance(3_000);
    expect(await late).toBe(false);
    open();
    await started;
    expect([await ready, await pool.waitReady(0), clock.timers > 0]).toEqual([true, true, true]);
    await pool.shutdown();
    const never = pool.waitReady();
    const again = expect(pool.start()).rejects.toMatchObject({ reason: 'shutting-down' });
    await settle();
    const ended = pool.shutdown();
    await again;
    expect(await never).toBe(false);
    await ended;
  });

  it('shutdown waits for borrowed sessions, refuses those that wait, and closes what is being opened', async () => {
    const server = new MemoryServer();
    const { pool, clock } = await startedPool({ maxSessions: 1, drainTimeout: 5 }, server);
    const lease = await pool.session();
    const waiting = pool.session();
    const refused = expect(waiting).rejects.toMatchObject({ reason: 'shutting-down' });
    let isOver = false;
    const ended = pool.shutdown().then(() => {
      isOver = true;
    });
    await refused;
    await clock.advance(4_000);
    expect([isOver, server.open]).toEqual([false, [0]]);
    lease.release();
    await ended;
    expect(server.open).toEqual([]);
  });

  it('a lease that outlasts drainTimeout is cut, and its return names drainTimeout', async () => {
    const { pool, server, clock } = await startedPool({ drainTimeout: 5 });
    const lease = await pool.session();
    const other = await pool.session();
    const ended = pool.shutdown();
    await clock.advance(5_000);
    await ended;
    expect(server.open).toEqual([]);
    expect(() => lease.release()).toThrow(expect.objectContaining({ reason: 'returned', field: 'release' }));
    await other[Symbol.asyncDispose]();
    expect(pool.metrics()).toMatchObject({ active: 0, returns: 2 });
  });

  it('shutdown while a session is being opened leaves no session open', async () => {
    const server = new MemoryServer();
    const opens: (() => void)[] = [];
    server.gate = () => new Promise<void>((resolve) => opens.push(resolve));
    const { pool } = memoryPool({ minSessions: 1 }, server);
    const started = expect(pool.start()).rejects.toMatchObject({ reason: 'shutting-down' });
    await expect.poll(() => opens.length).toBe(1);
    await pool.shutdown();
    await started;
    opens[0]?.();
    await settle();
    expect([server.open, pool.metrics().total]).toEqual([[], 0]);
  });
});

describe('borrow and return', () => {
  it('a returned session goes to the caller that waits longest', async () => {
    const { pool } = await startedPool({ maxSessions: 1 });
    const first = await pool.session();
    const order: string[] = [];
    const borrow = async (name: string) => {
      const lease = await pool.session();
      order.push(name);
      return lease;
    };
    const [second, third] = [borrow('second'), borrow('third')];
    await settle();
    expect(pool.metrics().waiting).toBe(2);
    first.release();
    (await second).release();
    (await third).release();
    expect(order).toEqual(['second', 'third']);
    expect(pool.metrics()).toMatchObject({ sessionsCreated: 1, active: 0, idle: 1 });
  });

  it('a borrow that waits longer than borrowTimeout fails with the seconds and the limit', async () => {
    const { pool, clock } = await startedPool({ maxSessions: 1, borrowTimeout: 0.01 });
    const lease = await pool.session();
    const late = expect(pool.session()).rejects.toMatchObject({
      reason: 'exhausted',
      field: 'maxSessions',
      message: expect.stringContaining('within 0.01 s (borrowTimeout)'),
    });
    await clock.advance(10);
    await late;
    lease.release();
    (await pool.session()).release();
  });

  it('borrowTimeout 0 refuses at once where all sessions are in use, and still opens a new one', async () => {
    const { pool } = await startedPool({ maxSessions: 1, borrowTimeout: 0 });
    const lease = await pool.session();
    await expect(pool.session()).rejects.toMatchObject({ reason: 'exhausted' });
    expect(await pool.trySession()).toBeUndefined();
    lease.release();
  });

  it('a second return and a use after the return fail, but await using after release does not fail', async () => {
    const { pool } = await startedPool({ maxSessions: 1 });
    const lease = await pool.session();
    lease.release();
    expect(() => lease.release()).toThrow(expect.objectContaining({ reason: 'returned', field: 'release' }));
    expect(() => lease.client).toThrow(SessionPoolError);
    await lease[Symbol.asyncDispose]();
    const [one, two] = [await pool.trySession(), await pool.trySession()];
    expect([one?.sessionId, two]).toEqual([lease.sessionId, undefined]);
    one?.release();
  });

  it('callTool returns the session where the tool fails, and the session serves on', async () => {
    const { pool, server } = await startedPool({ maxSessions: 1 });
    server.call = () => {
      throw new Error('the tool failed');
    };
    await expect(pool.callTool('echo')).rejects.toThrow('the tool failed');
    server.call = () => undefined;
    expect(text(await pool.callTool('echo'))).toBe('0 echo');
  });

  it('a discarded session is closed and another one opened', async () => {
    const { pool, server } = await startedPool({ maxSessions: 1 });
    (await pool.session()).release({ discard: true });
    await settle();
    expect(server.open).toEqual([]);
    expect(text(await pool.callTool('echo'))).toBe('1 echo');
  });

  it('a session whose transport closes is replaced, and its lease returns without an error', async () => {
    const { pool, server } = await startedPool({ maxSessions: 1 });
    const lease = await pool.session();
    await server.sessions[0]?.server.close();
    lease.release();
    expect(text(await pool.callTool('echo'))).toBe('1 echo');
    expect(pool.metrics()).toMatchObject({ sessionsCreated: 2, sessionsDestroyed: 1, total: 1 });
  });

  it('a session whose transport failed to send is not lent again', async () => {
    const server = new MemoryServer();
    const { transportFactory } = server;
    const transports: { send: (message: never) => Promise<void> }[] = [];
    const { pool } = await startedPool(
      {
        maxSessions: 1,
        transportFactory: async (context) => {
          const transport = await transportFactory(context);
          transports.push(transport);
          return transport;
        },
      },
      server,
    );
    const lease = await pool.session();
    Object.assign(transports[0] ?? {}, { send: () => Promise.reject(new Error('socket closed')) });
    await expect(lease.client.ping()).rejects.toThrow('socket closed');
    lease.release();
    expect(text(await pool.callTool('echo'))).toBe('1 echo');
    expect(server.open).toEqual([1]);
  });

  it('callers that abort while they wait, or while a session opens, release their place', async () => {
    const server = new MemoryServer();
    const opens: (() => void)[] = [];
    server.gate = () => new Promise<void>((resolve) => opens.push(resolve));
    const { pool, clock } = await startedPool({ maxSessions: 1 }, server);
    const abort = new AbortController();
    const reason = new Error('left');
    const opening = expect(pool.session({ signal: abort.signal })).rejects.toBe(reason);
    await expect.poll(() => opens.length).toBe(1);
    abort.abort(reason);
    await opening;
    await expect(pool.session({ signal: abort.signal })).rejects.toBe(reason);
    await clock.advance(2_000);
    server.gate = () => undefined;
    opens[0]?.();
    const lease = await pool.session();
    const second = new AbortController();
    const waiting = expect(pool.session({ signal: second.signal })).rejects.toBe(reason);
    await settle();
    second.abort(reason);
    await waiting;
    lease.release();
    (await pool.session()).release();
    await settle();
    expect(pool.metrics()).toMatchObject({ active: 0, idle: 1, total: 1, waiting: 0 });
    expect(server.open).toHaveLength(1);
  });
});

describe('the list of tools', () => {
  it('listTools fetches all pages once for all callers, and again after its time or invalidateTools', async () => {
    const { pool, server, clock } = await startedPool({ toolCacheTtl: 60 });
    const tool = (name: string) => ({ name, inputSchema: { type: 'object' } });
    server.list = (cursor) =>
      cursor === undefined ? { tools: [tool('a')], nextCursor: 'two' } : { tools: [tool('b')] };
    const lists = await Promise.all([pool.listTools(), pool.listTools(), pool.listTools()]);
    expect(lists.map((tools) => tools.map(({ name }) => name))).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect([server.lists, pool.metrics().toolCacheRefreshes, pool.metrics().toolCacheWaiters]).toEqual([
      2, 1, 2,
    ]);
    await pool.listTools();
    expect([server.lists, pool.metrics().toolCacheHits]).toEqual([2, 1]);
    pool.invalidateTools();
    await pool.listTools();
    expect(server.lists).toBe(4);
    await clock.advance(60_000);
    await pool.listTools();
    expect(server.lists).toBe(6);
  });

  it('a list that was invalidated while it was fetched is fetched again, as after list_changed', async () => {
    const { pool, server } = await startedPool();
    const returns: ((list: unknown) => void)[] = [];
    server.list = () => new Promise((resolve) => returns.push(resolve));
    const first = pool.listTools();
    await expect.poll(() => returns.length).toBe(1);
    await server.sessions[0]?.server.sendToolListChanged();
    await settle();
    const second = pool.listTools();
    await expect.poll(() => returns.length).toBe(2);
    for (const [at, resolve] of returns.entries())
      resolve({ tools: [{ name: `t${at}`, inputSchema: { type: 'object' } }] });
    expect([(await first)[0]?.name, (await second)[0]?.name, (await pool.listTools())[0]?.name]).toEqual([
      't0',
      't1',
      't1',
    ]);
  });

  it('a list that cannot be fetched fails all that wait for it with one request', async () => {
    const { pool, server } = await startedPool();
    server.list = () => {
      throw new Error('no list');
    };
    const waiting = await Promise.allSettled([pool.listTools(), pool.listTools(), pool.listTools()]);
    expect([waiting.map(({ status }) => status), server.lists]).toEqual([
      ['rejected', 'rejected', 'rejected'],
      1,
    ]);
  });

  it('listTools works while its caller holds the only session', async () => {
    const { pool } = await startedPool({ maxSessions: 1 });
    await using lease = await pool.session();
    expect((await pool.listTools()).map(({ name }) => name)).toEqual(['echo']);
    expect(pool.metrics().total).toBe(1);
    await lease.client.ping();
  });

  it('a list that differs from the last one calls onSchemaChanged once, and the first one does not', async () => {
    const changed: string[] = [];
    const onSchemaChanged = ({ schemaHash }: { schemaHash: string }) => changed.push(schemaHash);
    const { pool, server } = await startedPool({ hooks: { onSchemaChanged } });
    const list = async (tool: object): Promise<void> => {
      server.list = () => ({ tools: [{ name: 'echo', inputSchema: { type: 'object' }, ...tool }] });
      pool.invalidateTools();
      await pool.listTools();
    };
    await list({ annotations: { readOnlyHint: true, title: 'a' } });
    await list({ annotations: { title: 'a', readOnlyHint: true } });
    expect(changed).toEqual([]);
    await list({ annotations: { title: 'b', readOnlyHint: true } });
    expect(changed).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });
});

describe('invalid options', () => {
  const invalid = (options: object): OptionsError => {
    try {
      new SessionPool({ endpoint: 'https://example.com/mcp', ...options } as SessionPoolOptions);
    } catch (error) {
      if (error instanceof OptionsError) return error;
    }
    throw new Error('no OptionsError');
  };

  it.each([
    [{ endpoint: undefined }, 'endpoint', 'a URL or an ARN'],
    [{ minSessions: 3, maxSessions: 2 }, 'minSessions', '<= maxSessions (2), not 3'],
    [{ minSessions: -1 }, 'minSessions', 'an integer >= 0, not -1'],
    [{ maxSessions: 0 }, 'maxSessions', 'an integer >= 1, not 0'],
    [{ maxSessions: 1.5 }, 'maxSessions', 'an integer >= 1'],
    [{ minSessions: 2, maxTotalSessions: 1 }, 'maxTotalSessions', '>= minSessions (2)'],
    [{ sessionLifetime: 10, sessionRecycleWindow: 10 }, 'sessionRecycleWindow', '< sessionLifetime (10)'],
    [{ retryBaseDelay: 3, retryMaxDelay: 2 }, 'retryMaxDelay', '>= retryBaseDelay (3)'],
    [{ connectTimeout: 0 }, 'connectTimeout', '> 0'],
    [{ borrowTimeout: -1 }, 'borrowTimeout', '>= 0'],
    [{ healthInterval: Number.NaN }, 'healthInterval', 'a number of seconds'],
    [{ healthCheck: ['tools/call'] }, 'healthCheck', 'ping'],
    [{ healthCheck: [] }, 'healthCheck', 'ping'],
    [{ retryCount: '2' }, 'retryCount', 'an integer >= 0, not string'],
    [{ maxSession: 2 }, 'maxSession', 'is not an option; did you mean'],
    [{ clientFactory: {} }, 'clientFactory', 'a function'],
    [{ hooks: { onBorrow: 1 } }, 'hooks.onBorrow', 'a function'],
    [{ headers: { host: 'x' } }, 'headers', 'must not set host'],
    [{ headers: { a: 'x\r\ny: z' } }, 'headers', 'no header can carry'],
    [{ auth: '' }, 'auth', 'a bearer token or a function'],
    [{ auth: 'token', proxy: {} }, 'auth', 'cannot be combined with proxy'],
    [{ rateLimit: { requestsPerSecond: 0 } }, 'rateLimit.requestsPerSecond', '> 0'],
    [{ rateLimit: { requestsPerSecond: 1, burst: 0 } }, 'rateLimit.burst', '>= 1'],
    [{ tenantLimit: { maxConcurrent: 0 } }, 'tenantLimit.maxConcurrent', '>= 1'],
    [{ autoscale: { step: 0 } }, 'autoscale.step', '>= 1'],
    [{ identity: { extractor: 'sub' } }, 'identity.extractor', 'a function'],
    [{ identity: { headers: 'x' } }, 'identity.headers', 'a list of header names'],
    [{ gracefulDegradation: 1 }, 'gracefulDegradation', 'true or false'],
  ])('SessionPool refuses %j with the field %s', (options, field, allowed) => {
    const { problems, message } = invalid(options);
    expect(problems.map((problem) => problem.field)).toContain(field);
    expect(message).toContain(allowed);
  });

  it('SessionPool reports all problems of its options together', () => {
    const fields = invalid({ minSessions: -1, drainTimeout: 'x', nonsense: 1 }).problems.map(
      ({ field }) => field,
    );
    expect(fields.sort()).toEqual(['drainTimeout', 'minSessions', 'nonsense']);
  });

  it('start reports an invalid option of the proxy, and the pool is stopped', async () => {
    const pool = new SessionPool({
      endpoint: 'https://example.com/mcp',
      proxy: { region: 'nowhere at all' },
    });
    await expect(pool.start()).rejects.toMatchObject({
      name: 'OptionsError',
      problems: [{ field: 'region' }, { field: 'service' }],
    });
    await expect(pool.session()).rejects.toMatchObject({ reason: 'not-started' });
  });
});
