import { describe, expect, it } from 'vitest';
import type { BorrowOptions } from '../../../src/library/index.ts';
import { jwtIdentity } from '../../../src/library/index.ts';
import {
  DEFAULT_IDENTITY_HEADERS,
  identityHash,
  userHash,
} from '../../../src/library/session-pool/identity.ts';
import { settle } from '../../support/make-call.ts';
import { MemoryServer, startedPool, text } from './memory-server.ts';

const NAMES = new Set(DEFAULT_IDENTITY_HEADERS);
const hash = (headers: Record<string, string>): string => identityHash(headers, NAMES, undefined);

describe('the identity of a caller', () => {
  it.each([
    ['no header', {}, { 'x-request-id': '1' }, true],
    ['names in another case', { 'X-Tenant-Id': 'a' }, { 'x-tenant-id': 'a' }, true],
    ['another order', { 'x-tenant-id': 'a', cookie: 'b' }, { cookie: 'b', 'x-tenant-id': 'a' }, true],
    ['another value', { 'x-tenant-id': 'a' }, { 'x-tenant-id': 'A' }, false],
    ['another header', { 'x-tenant-id': 'a' }, { 'x-user-id': 'a' }, false],
    ['delimiters in a value', { 'x-api-key': 'a","cookie":"b' }, { 'x-api-key': 'a', cookie: 'b' }, false],
    ['an unrelated header', { authorization: 't', accept: 'x' }, { authorization: 't', accept: 'y' }, true],
  ])('the identity with %s', (_name, one, other, isSame) => {
    expect(hash(one) === hash(other)).toBe(isSame);
  });

  it('hashes are full, and the anonymous identity has a name of its own', () => {
    expect([userHash(undefined), userHash(''), hash({})]).toEqual(['anonymous', 'anonymous', 'anonymous']);
    expect(userHash('ada')).toMatch(/^[0-9a-f]{64}$/);
    expect(hash({ cookie: 'x' })).toMatch(/^[0-9a-f]{64}$/);
  });

  const jwt = (claims: unknown): string => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y`;
  it.each([
    ['sub before email', `Bearer ${jwt({ sub: 's', email: 'e' })}`, 's'],
    ['email before user_id', `bearer ${jwt({ email: 'e', user_id: 'u' })}`, 'e'],
    ['user_id', jwt({ user_id: 'u' }), 'u'],
    ['the word Bearer within a token', `Bearer ${jwt({ sub: 'Bearer x' })}`, 'Bearer x'],
    ['a claim that is no text', `Bearer ${jwt({ sub: 5 })}`, undefined],
    ['claims that are null', `Bearer ${jwt(null)}`, undefined],
    ['a token that is no JWT', 'Bearer opaque', undefined],
    ['no JSON', 'Bearer a.b.c', undefined],
    ['no header', undefined, undefined],
  ])('jwtIdentity reads %s', (_name, authorization, subject) => {
    expect(jwtIdentity(authorization === undefined ? {} : { authorization })).toBe(subject);
  });

  it('a stable subject keeps its sessions when its token is renewed, and without one the token decides', async () => {
    const { pool, server } = await startedPool({ identity: { extractor: jwtIdentity } });
    const call = (token: string) => pool.callTool('echo', {}, { identityHeaders: { authorization: token } });
    const token = (time: number) => jwt({ sub: 'ada', time });
    expect([text(await call(token(1))), text(await call(token(2)))]).toEqual(['0 echo', '0 echo']);
    await call('opaque-1');
    await call('opaque-2');
    expect([server.open.length, pool.metrics().keys.length]).toEqual([3, 4]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['returns a number', () => 5 as never],
  ])(
    'an extractor that %s fails the borrow with its name, and counts no tenant',
    async (_name, extractor) => {
      const { pool } = await startedPool({ identity: { extractor }, tenantLimit: { maxConcurrent: 1 } });
      for (let at = 0; at < 2; at++)
        await expect(pool.session({ tenant: 't', headers: { cookie: 'x' } })).rejects.toMatchObject({
          reason: 'callback-failed',
          field: 'identity.extractor',
        });
      expect(pool.metrics().tenants).toEqual({});
    },
  );
});

describe('sessions of identities', () => {
  it('no session crosses users, identity headers or endpoints', async () => {
    const { pool, server } = await startedPool({ endpoint: 'https://one.example/mcp', maxSessions: 2 });
    const callers: BorrowOptions[] = [
      {},
      { identity: 'ada' },
      { identity: 'bob' },
      { identity: 'ada', headers: { 'x-tenant-id': 't' } },
      { headers: { 'X-Tenant-Id': 't' } },
      { endpoint: 'https://two.example/mcp' },
      { endpoint: 'https://two.example/mcp', identity: 'ada' },
    ];
    const first = [];
    for (const caller of callers) first.push(text(await pool.callTool('echo', {}, caller)));
    expect(new Set(first).size).toBe(callers.length);
    for (const [at, caller] of callers.entries())
      expect(text(await pool.callTool('echo', {}, caller))).toBe(first[at]);
    expect(pool.metrics().keys.map(({ hits, misses }) => [hits, misses])).toEqual(callers.map(() => [1, 1]));
    expect(server.sessions[5]?.context.endpoint).toBe('https://two.example/mcp');
  });

  it('a hundred borrows of ten users at once use ten keys', async () => {
    const { pool } = await startedPool({ maxSessions: 2 });
    const users = Array.from({ length: 100 }, (_, at) => `user-${at % 10}`);
    await Promise.all(users.map((identity) => pool.callTool('echo', {}, { identity })));
    expect(pool.metrics()).toMatchObject({ active: 0, waiting: 0, borrows: 100 });
    expect(pool.metrics().keys).toHaveLength(11);
  });

  it('an unused key is removed for a new one at maxKeys, and used keys are not', async () => {
    const { pool, server, clock } = await startedPool({ maxKeys: 3, borrowTimeout: 1 });
    const ada = await pool.session({ identity: 'ada' });
    await clock.advance(10);
    await pool.callTool('echo', {}, { identity: 'bob' });
    await pool.callTool('echo', {}, { identity: 'cleo' });
    await settle();
    expect([server.open, pool.metrics().keysEvicted]).toEqual([[0, 2], 1]);
    const cleo = await pool.session({ identity: 'cleo' });
    await expect(pool.session({ identity: 'dan' })).rejects.toMatchObject({
      reason: 'limit-reached',
      field: 'maxKeys',
    });
    expect(await pool.trySession({ identity: 'dan' })).toBeUndefined();
    ada.release();
    cleo.release();
  });

  it('at maxTotalSessions the session that was unused longest makes room for another identity', async () => {
    const { pool, server, clock } = await startedPool({
      maxTotalSessions: 2,
      maxSessions: 2,
      borrowTimeout: 1,
    });
    await pool.callTool('echo', {}, { identity: 'ada' });
    await clock.advance(10);
    await pool.callTool('echo', {}, { identity: 'bob' });
    expect(text(await pool.callTool('echo', {}, { identity: 'cleo' }))).toBe('2 echo');
    await settle();
    expect(server.open).toEqual([1, 2]);
    const leases = await Promise.all(['bob', 'cleo'].map((identity) => pool.session({ identity })));
    const late = expect(pool.session({ identity: 'dan' })).rejects.toMatchObject({
      field: 'maxTotalSessions',
    });
    await clock.advance(1_000);
    await late;
    const next = pool.session({ identity: 'dan' });
    leases[0]?.release({ discard: true });
    (await next).release();
    leases[1]?.release();
    expect(pool.metrics().total).toBeLessThanOrEqual(2);
  });

  it('a key that is unused for keyIdle is removed with its sessions, without traffic', async () => {
    const { pool, server, clock } = await startedPool({ keyIdle: 100, sessionIdle: 0, healthInterval: 0 });
    await pool.callTool('echo');
    await pool.callTool('echo', {}, { identity: 'ada' });
    const bob = await pool.session({ identity: 'bob' });
    await clock.advance(200_000);
    expect([server.open, pool.metrics().keys.length]).toEqual([[0, 2], 2]);
    bob.release();
  });

  it('evictEndpoint closes the sessions of the endpoint, and the next caller opens another', async () => {
    const { pool, server } = await startedPool({ endpoint: 'https://one.example/mcp' });
    const two = { endpoint: 'https://two.example/mcp' };
    await pool.callTool('echo');
    await pool.callTool('echo', {}, two);
    const lease = await pool.session({ ...two, identity: 'ada' });
    expect([pool.evictEndpoint('https://none.example'), pool.evictEndpoint(two.endpoint)]).toEqual([0, 2]);
    await settle();
    expect(server.open).toEqual([0, 2]);
    await lease.client.ping();
    // A late return into a key of the same name adds no session.
    expect(text(await pool.callTool('echo', {}, { ...two, identity: 'ada' }))).toBe('3 echo');
    lease.release();
    await settle();
    expect([server.open, pool.metrics().active]).toEqual([[0, 3], 0]);
    expect(pool.evictEndpoint('https://one.example/mcp')).toBe(1);
    await settle();
    expect(server.open).toEqual([3]);
  });

  it('a broken identity opens the breaker of its own key only', async () => {
    const server = new MemoryServer();
    server.gate = ({ headers }) => {
      if (headers['x-api-key'] === 'bad') throw new Error('down');
    };
    const { pool } = await startedPool({ retryCount: 0, breakerThreshold: 1 }, server);
    const call = (key: string) => pool.callTool('echo', {}, { headers: { 'x-api-key': key } });
    const failed = await Promise.allSettled([call('bad'), call('bad')]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(call('bad')).rejects.toMatchObject({ reason: 'circuit-open' });
    const open = pool.metrics().keys.map(({ circuit }) => circuit);
    expect(text(await call('good'))).toBe('0 echo');
    expect([open, server.sessions[0]?.context.headers]).toEqual([
      ['closed', 'open'],
      { 'x-api-key': 'good' },
    ]);
  });

  it('lists of tools are kept for each key', async () => {
    const { pool, server } = await startedPool();
    await pool.listTools();
    await pool.listTools({ identity: 'ada' });
    await pool.listTools({ identity: 'ada' });
    expect(server.lists).toBe(2);
  });
});
