import { describe, expect, it } from 'vitest';
import { SessionPool, type SessionPoolHooks } from '../../../src/library/index.ts';
import { loadClientFactory, loadTransportFactory } from '../../../src/library/session-pool/peers.ts';
import { settle } from '../../support/make-call.ts';
import { startSdkServer } from '../../support/sdk-servers.ts';
import { clientFactory, MemoryServer, memoryPool, startedPool, text } from './memory-server.ts';

const DOWN = new Error('connect ECONNREFUSED');
const down = (): never => {
  throw DOWN;
};

describe('attempts to open a session', () => {
  it('an opening is tried again after pauses that double up to retryMaxDelay, and then the caller gets the cause', async () => {
    const server = new MemoryServer();
    server.gate = down;
    // The clock draws 0.5 of each pause: 50, 100 and 100 ms.
    const options = { retryCount: 3, retryBaseDelay: 0.1, retryMaxDelay: 0.2, borrowTimeout: 60 };
    const { pool, clock } = await startedPool(options, server);
    const failed = expect(pool.session()).rejects.toMatchObject({
      reason: 'connect-failed',
      field: 'transportFactory',
      message: expect.stringContaining('Failed to create session'),
      cause: DOWN,
    });
    const attempts: number[] = [];
    for (const ms of [0, 49, 1, 99, 1, 99, 1]) {
      await clock.advance(ms);
      attempts.push(server.attempts);
    }
    await failed;
    expect(attempts).toEqual([1, 1, 2, 2, 3, 3, 4]);
    expect(pool.metrics()).toMatchObject({ retryAttempts: 3, errors: 1, borrows: 0, total: 0 });
  });

  it('a caller that is refused while a server is down gets a session when it is back', async () => {
    const server = new MemoryServer();
    server.gate = down;
    const { pool } = await startedPool({ retryCount: 0 }, server);
    await expect(pool.session()).rejects.toMatchObject({ reason: 'connect-failed' });
    server.gate = () => undefined;
    expect(text(await pool.callTool('echo'))).toBe('0 echo');
  });

  it('borrowTimeout ends a borrow whose session hangs, and the attempt leaves nothing open', async () => {
    const server = new MemoryServer();
    server.gate = () => new Promise(() => undefined);
    const { pool, clock } = await startedPool({ borrowTimeout: 1, connectTimeout: 5, retryCount: 0 }, server);
    const late = expect(pool.session()).rejects.toMatchObject({ reason: 'exhausted' });
    await clock.advance(1_000);
    await late;
    await clock.advance(5_000);
    expect([pool.metrics().total, pool.metrics().waiting]).toEqual([0, 0]);
  });

  it.each([
    ['transportFactory', { transportFactory: () => new Promise<never>(() => undefined) }],
    ['clientFactory', { clientFactory: () => new Promise<never>(() => undefined) }],
    ['warmupHook', { warmupHook: () => new Promise<never>(() => undefined) }],
  ])('a %s that hangs is ended by connectTimeout, with its name', async (field, options) => {
    const { pool, clock, server } = await startedPool({
      retryCount: 0,
      connectTimeout: 2,
      borrowTimeout: 9,
      ...options,
    });
    const late = expect(pool.session()).rejects.toMatchObject({
      reason: 'connect-failed',
      field,
      message: expect.stringContaining(`${field} did not return within 2 s (connectTimeout)`),
    });
    await clock.advance(2_000);
    await late;
    await settle();
    expect([server.open, pool.metrics().total]).toEqual([[], 0]);
  });

  it.each([
    ['transportFactory', { transportFactory: () => 5 as never }],
    ['transportFactory', { transportFactory: () => ({ send: 1 }) as never }],
    ['clientFactory', { clientFactory: () => undefined as never }],
    ['clientFactory', { clientFactory: (() => Promise.resolve({})) as never }],
  ])(
    'a %s that returns something unusable fails at once, without further attempts',
    async (field, options) => {
      const { pool, server } = await startedPool({ ...options });
      await expect(pool.session()).rejects.toMatchObject({ reason: 'callback-failed', field });
      await settle();
      expect([pool.metrics().retryAttempts, pool.metrics().total, server.open]).toEqual([0, 0, []]);
    },
  );

  it.each([
    ['transportFactory', { transportFactory: down }],
    ['clientFactory', { clientFactory: down }],
    ['warmupHook', { warmupHook: down }],
  ])('a %s that throws fails the borrow with its name and the cause', async (field, options) => {
    const { pool, server } = await startedPool({ retryCount: 0, ...options });
    await expect(pool.session()).rejects.toMatchObject({ field, cause: DOWN });
    await settle();
    expect([server.open, pool.metrics().total]).toEqual([[], 0]);
  });

  it('a transport that a factory returns after connectTimeout is closed', async () => {
    const server = new MemoryServer();
    let finish = (): void => undefined;
    server.gate = () => new Promise<void>((resolve) => (finish = resolve));
    const { pool, clock } = await startedPool({ retryCount: 0, connectTimeout: 1, borrowTimeout: 9 }, server);
    const late = expect(pool.session()).rejects.toMatchObject({ field: 'transportFactory' });
    await clock.advance(1_000);
    await late;
    finish();
    await settle();
    expect(server.open).toEqual([]);
  });

  it('warmupHook runs with each new session before its first borrow', async () => {
    const warmed: unknown[] = [];
    const { pool } = await startedPool({ minSessions: 2, warmupHook: (client) => warmed.push(client) });
    await using lease = await pool.session();
    expect([warmed.length, warmed.includes(lease.client)]).toEqual([2, true]);
  });

  it('start rejects where a factory can never work, and the pool is stopped', async () => {
    const { pool } = memoryPool({ minSessions: 1, clientFactory: () => 5 as never });
    await expect(pool.start()).rejects.toMatchObject({ reason: 'callback-failed', field: 'clientFactory' });
    expect(pool.isStarted()).toBe(false);
  });
});

describe('the circuit breaker of a pool', () => {
  it('failures open it, one attempt probes it after breakerReset, and a cancelled probe blocks nothing', async () => {
    const server = new MemoryServer();
    const seen: string[] = [];
    const hooks: SessionPoolHooks = {
      onCircuitOpen: ({ failures }) => seen.push(`open ${failures}`),
      onCircuitClose: () => seen.push('close'),
    };
    const options = { retryCount: 0, breakerThreshold: 2, breakerReset: 30, borrowTimeout: 60, hooks };
    const { pool, clock } = await startedPool(options, server);
    server.gate = down;
    for (let at = 0; at < 2; at++)
      await expect(pool.session()).rejects.toMatchObject({ reason: 'connect-failed' });
    expect([seen, pool.isCircuitOpen()]).toEqual([['open 2'], true]);
    await expect(pool.session()).rejects.toMatchObject({
      reason: 'circuit-open',
      field: 'breakerThreshold',
      retryAfterMs: 30_000,
    });
    expect(server.attempts).toBe(2);
    await clock.advance(30_000);
    // The probe is cancelled by its caller.
    server.gate = () => new Promise(() => undefined);
    const abort = new AbortController();
    const probe = expect(pool.session({ signal: abort.signal })).rejects.toThrow('left');
    await settle();
    abort.abort(new Error('left'));
    await probe;
    await settle();
    server.gate = () => undefined;
    expect(text(await pool.callTool('echo'))).toBe('0 echo');
    expect([seen, pool.isCircuitOpen(), server.attempts]).toEqual([['open 2', 'open 2', 'close'], false, 4]);
  });

  it('an open breaker does not stop borrows of open sessions', async () => {
    const { pool, server } = await startedPool({
      minSessions: 1,
      maxSessions: 2,
      retryCount: 0,
      breakerThreshold: 1,
    });
    server.gate = down;
    const first = await pool.session();
    const second = pool.session();
    await settle();
    expect(pool.isCircuitOpen()).toBe(true);
    first.release();
    (await second).release();
  });

  it('refused credentials do not open the breaker', async () => {
    const server = new MemoryServer();
    server.gate = () => {
      throw Object.assign(new Error('Unauthorized'), { code: 401 });
    };
    const { pool } = await startedPool({ breakerThreshold: 1 }, server);
    await expect(pool.session()).rejects.toMatchObject({ reason: 'connect-failed' });
    expect([pool.isCircuitOpen(), server.attempts]).toEqual([false, 1]);
  });
});

describe('graceful degradation', () => {
  it('a pool that opens too few sessions is degraded, serves on demand, and recovers by itself', async () => {
    const server = new MemoryServer();
    server.gate = down;
    const { pool, clock } = memoryPool({ minSessions: 2, gracefulDegradation: true, retryCount: 0 }, server);
    await pool.start();
    expect([pool.isDegraded(), pool.isReady()]).toEqual([true, false]);
    await expect(pool.callTool('echo')).rejects.toMatchObject({ reason: 'connect-failed' });
    const ready = pool.waitReady();
    server.gate = () => undefined;
    await clock.advance(120_000);
    expect([await ready, pool.isDegraded(), pool.isReady(), server.open.length]).toEqual([
      true,
      false,
      true,
      2,
    ]);
  });

  it('without gracefulDegradation a pool is not degraded, and is ready as soon as its minimum is open', async () => {
    const server = new MemoryServer();
    server.gate = down;
    const { pool, clock } = memoryPool({ minSessions: 1, retryCount: 0 }, server);
    await pool.start();
    expect([pool.isDegraded(), pool.isReady()]).toEqual([false, false]);
    server.gate = () => undefined;
    await clock.advance(30_000);
    expect(pool.isReady()).toBe(true);
  });
});

describe('the hooks of a pool', () => {
  it('hooks receive the life of a session in order, and one that borrows or fails has no other effect', async () => {
    const seen: string[] = [];
    const failed: string[] = [];
    const hooks: SessionPoolHooks = {
      onSessionCreated: ({ reason }) => seen.push(`created ${reason}`),
      onBorrow: ({ active, idle }) => {
        seen.push(`borrow ${active}/${idle}`);
        throw new Error('hook');
      },
      onReturn: async ({ active, idle, broken }) => {
        seen.push(`return ${active}/${idle} ${broken}`);
        if (seen.length < 5) void pool.callTool('echo');
        throw new Error('hook');
      },
      onSessionDestroyed: ({ reason }) => seen.push(`destroyed ${reason}`),
      onHookFailed: ({ field }) => failed.push(field),
    };
    const { pool } = await startedPool({ maxSessions: 1, hooks });
    await pool.callTool('echo');
    await expect.poll(() => seen.length).toBe(5);
    await pool.shutdown();
    await settle();
    expect(seen).toEqual([
      'created demand',
      'borrow 1/0',
      'return 0/1 false',
      'borrow 1/0',
      'return 0/1 false',
      'destroyed closed',
    ]);
    expect(failed.sort()).toEqual(['hooks.onBorrow', 'hooks.onBorrow', 'hooks.onReturn', 'hooks.onReturn']);
  });
});

describe('the packages of the MCP SDK', () => {
  const missing = Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' });

  it.each([
    ['no SDK', () => Promise.reject(missing), 'No MCP SDK is installed'],
    ['another major version', () => Promise.resolve({ Client: class {} }), 'another major version'],
    ['a broken package', () => Promise.reject(new SyntaxError('broken')), 'another major version'],
  ])('with %s, the error names clientFactory and the packages', async (_name, load, message) => {
    const error = await loadClientFactory(load).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ reason: 'missing-peer', field: 'clientFactory' });
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).toContain('@modelcontextprotocol/client (2.x)');
  });

  it('the first generation of the SDK is used where the second is missing', async () => {
    const names: string[] = [];
    const load = async (name: string) => {
      names.push(name);
      if (name === '@modelcontextprotocol/client') throw missing;
      return import(name) as Promise<Record<string, unknown>>;
    };
    expect((await loadClientFactory(load))()).toHaveProperty('callTool');
    expect(await loadTransportFactory(load)).toBeTypeOf('function');
    expect(names).toContain('@modelcontextprotocol/sdk/client/index.js');
  });
});

describe('the credentials of a pool', () => {
  it('auth is asked for each request, and headers of a borrow are sent with that borrow alone', async () => {
    const server = await startSdkServer('v1');
    const sent: Record<string, string | null>[] = [];
    const original = globalThis.fetch;
    let asked = 0;
    globalThis.fetch = (input, init) => {
      const headers = new Headers(init?.headers);
      const method = JSON.parse(String(init?.body ?? '{}')).method as string | undefined;
      if (method === 'tools/call')
        sent.push({ authorization: headers.get('authorization'), trace: headers.get('x-trace') });
      return original(input, init);
    };
    try {
      const pool = new SessionPool({
        endpoint: server.url,
        clientFactory,
        auth: () => `token-${asked++}`,
        headers: { 'x-trace': 'pool' },
        minSessions: 0,
      });
      await pool.start();
      await pool.callTool(
        'add',
        { a: 1, b: 1 },
        { headers: { 'X-Trace': 'one', 'mcp-session-id': 'forged' } },
      );
      const before = asked;
      await pool.callTool('add', { a: 1, b: 1 });
      await pool.shutdown();
      expect(sent).toEqual([
        { authorization: expect.stringMatching(/^Bearer token-\d+$/), trace: 'one' },
        { authorization: `Bearer token-${before}`, trace: 'pool' },
      ]);
    } finally {
      globalThis.fetch = original;
    }
  });

  it('an auth function that throws or returns nothing fails the opening with its name', async () => {
    const server = await startSdkServer('v1');
    for (const auth of [down, () => undefined as never]) {
      const pool = new SessionPool({
        endpoint: server.url,
        clientFactory,
        auth,
        minSessions: 0,
        retryCount: 0,
      });
      await pool.start();
      const error = (await pool.session().catch((failure: unknown) => failure)) as Error & {
        cause?: unknown;
      };
      expect(error).toMatchObject({ name: 'SessionPoolError', field: 'auth' });
      await pool.shutdown();
    }
  });
});
