import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect, it } from 'vitest';
import { PoolManager, type PoolStrategy, SessionPoolError } from '../../../src/library/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { MemoryServer, memoryPool, text } from './memory-server.ts';

const down = (): never => {
  throw new Error('down');
};

/** A manager with pools a, b and c, whose tools return the name of their pool. */
async function managed(strategy?: PoolStrategy, options = {}) {
  const manager = new PoolManager<Client>(strategy === undefined ? {} : { strategy });
  const rigs = ['a', 'b', 'c'].map((name) => ({
    name,
    ...memoryPool({ retryCount: 0, maxSessions: 2, ...options }, new MemoryServer()),
  }));
  for (const { name, pool } of rigs) await manager.add(name, pool);
  await manager.start();
  const used: string[] = [];
  for (const { name, server } of rigs) server.call = () => void used.push(name);
  return { manager, rigs, used };
}

describe('the strategies of a manager', () => {
  it('round-robin uses the pools in turn, and skips one that is stopped', async () => {
    const { manager, rigs, used } = await managed();
    for (let at = 0; at < 4; at++) await manager.callTool('echo');
    expect(used).toEqual(['a', 'b', 'c', 'a']);
    await rigs[1]?.pool.shutdown();
    used.length = 0;
    for (let at = 0; at < 4; at++) await manager.callTool('echo');
    expect(used).not.toContain('b');
  });

  it('failover uses the first pool, the next one on an error, and goes around an open breaker', async () => {
    const { manager, rigs, used } = await managed('failover', { breakerThreshold: 2 });
    await manager.callTool('echo');
    const [first] = rigs;
    if (!first) throw new Error('no pool');
    first.server.gate = down;
    await first.pool.evictEndpoint('');
    for (let at = 0; at < 3; at++) await manager.callTool('echo');
    expect(used).toEqual(['a', 'b', 'b', 'b']);
    expect([first.pool.isCircuitOpen(), first.server.attempts]).toEqual([true, 3]);
  });

  it('failover skips a pool whose breaker is open for the identity of the borrow, until the reset, and only for this identity', async () => {
    const clock = new FakeClock();
    const options = { breakerThreshold: 1, breakerReset: 5, minSessions: 0, clock };
    const { manager, rigs, used } = await managed('failover', options);
    const [first] = rigs;
    if (!first) throw new Error('no pool');
    const ada = { identity: 'ada' };
    first.server.gate = down;
    await manager.callTool('echo', {}, ada);
    first.server.gate = () => undefined;
    expect([first.pool.isCircuitOpen(ada), first.pool.isCircuitOpen()]).toEqual([true, false]);
    const attempts = first.server.attempts;
    await manager.callTool('echo', {}, ada);
    expect([used, first.server.attempts]).toEqual([['b', 'b'], attempts]);
    await manager.callTool('echo', {}, { identity: 'bob' });
    await clock.advance(5_000);
    expect(first.pool.isCircuitOpen(ada)).toBe(false);
    await manager.callTool('echo', {}, ada);
    expect(used).toEqual(['b', 'b', 'a', 'a']);
    await manager.shutdown();
  });

  it('failover does not call a tool again that failed, because it may have run', async () => {
    const { manager, rigs, used } = await managed('failover');
    const [first] = rigs;
    if (first)
      first.server.call = () => {
        used.push('a');
        throw new Error('the tool failed');
      };
    await expect(manager.callTool('echo')).rejects.toThrow('the tool failed');
    expect(used).toEqual(['a']);
  });

  it('least-connections uses the pool with the fewest borrowed sessions', async () => {
    const { manager } = await managed('least-connections');
    const leases = [await manager.session(), await manager.session()];
    await manager.callTool('echo');
    expect(
      Object.entries(manager.metrics()).map(([name, { active, borrows }]) => [name, active, borrows]),
    ).toEqual([
      ['a', 1, 1],
      ['b', 1, 1],
      ['c', 0, 1],
    ]);
    for (const lease of leases) lease.release();
  });

  it('where every pool refuses, the error of the last one is thrown', async () => {
    const { manager, rigs } = await managed('failover');
    for (const { server } of rigs) server.gate = down;
    await expect(manager.session()).rejects.toMatchObject({ reason: 'connect-failed' });
  });
});

describe('the pools of a manager', () => {
  it('a pool that is added after start is started, and a removed one is shut down', async () => {
    const { manager } = await managed();
    const { pool } = memoryPool({ minSessions: 1 });
    await manager.add('d', pool);
    expect([manager.names, pool.isReady(), manager.get('d')]).toEqual([['a', 'b', 'c', 'd'], true, pool]);
    expect((await manager.listTools('d')).map(({ name }) => name)).toEqual(['echo']);
    expect(manager.debugSnapshot().d).toHaveLength(1);
    await manager.remove('d');
    expect([pool.isStarted(), manager.names]).toEqual([false, ['a', 'b', 'c']]);
  });

  it('start reports the pools that cannot start, and starts the others', async () => {
    const manager = new PoolManager<Client>();
    const good = memoryPool({ minSessions: 1 }).pool;
    await manager.add('bad', memoryPool({ minSessions: 1, clientFactory: () => 5 as never }).pool);
    await manager.add('good', good);
    await expect(manager.start()).rejects.toMatchObject({ errors: [{ field: 'clientFactory' }] });
    expect(good.isReady()).toBe(true);
    expect(text(await manager.callTool('echo'))).toBe('0 echo');
    await manager.shutdown();
    expect(good.isStarted()).toBe(false);
  });

  it.each([
    ['an unknown strategy', 'strategy', () => new PoolManager({ strategy: 'random' as PoolStrategy })],
    ['an unknown name', 'name', () => new PoolManager().get('x')],
    ['an unknown name to remove', 'name', () => new PoolManager().remove('x')],
    ['no pool', 'add', () => new PoolManager().session()],
    [
      'a name that is in use',
      'name',
      async () => {
        const manager = new PoolManager<Client>();
        await manager.add('x', memoryPool().pool);
        await manager.add('x', memoryPool().pool);
      },
    ],
  ])('a manager refuses %s with the field %s', async (_name, field, use) => {
    const failed = await Promise.resolve()
      .then((): unknown => use())
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(SessionPoolError);
    expect(failed).toMatchObject({ reason: 'invalid-argument', field });
  });
});
