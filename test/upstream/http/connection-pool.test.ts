import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../support/fake-clock.ts';
import { comesTrue, fetchOn, holdingServer, never, poolTo, sendOn, settled } from './connection-rig.ts';

describe('a connection pool', () => {
  it('a connection pool opens nothing until something is sent', async () => {
    const { server } = await holdingServer();
    const { pool, seen } = poolTo(server);
    const lease = await pool.lease(never);
    expect([pool.active, lease.warm, seen.opened, server.connections.opened]).toEqual([1, false, 0, 0]);
    lease.cancel(new Error('no need'));
    expect([pool.active, seen.opened, server.connections.opened]).toEqual([0, 0, 0]);
  });

  it('a connection pool grants leases up to its maximum at once, then in order', async () => {
    const { server, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 2 });
    const order: number[] = [];
    const finish: Promise<unknown>[] = [];
    for (let caller = 0; caller < 6; caller++) {
      finish.push(
        pool.lease(never).then(async (lease) => {
          order.push(caller);
          return (await sendOn(lease, `/${caller}`)).readAll();
        }),
      );
    }
    expect([pool.active, pool.waiting]).toEqual([2, 4]);
    // The second finishes first: its place still goes to the one who has waited longest.
    for (const path of ['/1', '/0', '/2', '/3', '/4', '/5']) await answer(path);
    await Promise.all(finish);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
    expect([pool.active, pool.waiting, server.connections.opened]).toEqual([0, 0, 2]);
  });

  it.each([
    [0, 3, 0],
    [1, 3, 1],
    [2, 4, 2],
    [4, 4, 4],
    [5, 2, 2],
  ])('a connection pool keeps %i idle connections of %i that were used: %i', async (keep, used, left) => {
    const { server, answer, arrived } = await holdingServer();
    const { pool, seen } = poolTo(server, { max: 4, maxIdle: keep });
    const paths = Array.from({ length: used }, (_, at) => `/${at}`);
    const bodies = paths.map((path) => fetchOn(pool, path));
    for (const path of paths) await arrived(path);
    expect(server.connections.open).toBe(used);
    for (const path of paths) await answer(path);
    expect(await Promise.all(bodies)).toEqual(paths);
    await comesTrue(() => server.connections.open === left, `${left} connections open`);
    await comesTrue(() => seen.closed === used - left, 'the rest reported closed');
    expect([seen.opened, server.connections.peak]).toEqual([used, used]);
  });

  it('a connection pool uses the connection that was idle for the shortest time', async () => {
    const { server, answer, arrived } = await holdingServer();
    const { pool } = poolTo(server, { max: 3, maxIdle: 3 });
    const first = ['/a', '/b', '/c'].map((path) => fetchOn(pool, path));
    for (const path of ['/a', '/b', '/c']) await arrived(path);
    const connectionOf = (path: string) => server.requests.find(({ url }) => url === path)?.connection;
    for (const path of ['/b', '/c', '/a']) await answer(path);
    await Promise.all(first);
    await comesTrue(() => pool.active === 0, 'all given back');
    for (const path of ['/d', '/e']) {
      const body = fetchOn(pool, path);
      await answer(path);
      await body;
    }
    expect(connectionOf('/d')).toBe(connectionOf('/e'));
    expect(server.connections.opened).toBe(3);
  });

  it('a connection pool closes only idle connections that were last used before a given time', async () => {
    const { server, answer, arrived } = await holdingServer();
    const clock = new FakeClock();
    const { pool } = poolTo(server, { max: 2, maxIdle: 2, clock });
    const bodies = ['/old', '/new'].map((path) => fetchOn(pool, path));
    for (const path of ['/old', '/new']) await arrived(path);
    await answer('/old');
    await bodies[0];
    await clock.advance(10);
    await answer('/new');
    await bodies[1];
    await comesTrue(() => pool.active === 0, 'both given back');
    pool.closeIdle(5);
    await comesTrue(() => server.connections.open === 1, 'the older one closed');
    const body = fetchOn(pool, '/next');
    await answer('/next');
    await body;
    expect(server.connections.opened).toBe(2);
  });

  it('a connection pool keeps open connections before those that were returned unused', async () => {
    const { server, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 2, maxIdle: 1 });
    const working = await pool.lease(never);
    const unused = await pool.lease(never);
    const incoming = sendOn(working, '/a');
    await answer('/a');
    await (await incoming).readAll();
    unused.cancel(new Error('no credentials'));
    const again = await pool.lease(never);
    expect(again.warm).toBe(true);
    again.cancel(new Error('done'));
    expect(server.connections.open).toBe(1);
  });

  it('a connection pool gives a new connection if a kept one has just failed', async () => {
    const { server, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 1, maxIdle: 1 });
    const first = fetchOn(pool, '/a');
    await answer('/a');
    await first;
    const fresh = await pool.lease(never, { fresh: true });
    expect(fresh.warm).toBe(false);
    const incoming = sendOn(fresh, '/b');
    await answer('/b');
    expect((await (await incoming).readAll()).toString()).toBe('/b');
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2]);
    await comesTrue(() => server.connections.open === 1, 'the former one closed');
  });

  it('a connection pool drops a connection that the server closed while it was idle', async () => {
    const { server, answer } = await holdingServer();
    const { pool, seen } = poolTo(server, { max: 1, maxIdle: 1 });
    const first = fetchOn(pool, '/a');
    await answer('/a');
    await first;
    server.connections.destroyAll();
    await comesTrue(() => seen.closed === 1, 'the close was seen');
    const lease = await pool.lease(never);
    expect(lease.warm).toBe(false);
    lease.cancel(new Error('done'));
  });
});

describe('the queue of a connection pool', () => {
  it('a queued lease rejects with the reason of its signal at once, and the others keep their order', async () => {
    const { server, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 1 });
    const first = fetchOn(pool, '/a');
    const leaving = new AbortController();
    const left = pool.lease(leaving.signal);
    const next = pool.lease(never);
    const reason = new Error('cancelled by the client');
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    expect([pool.active, pool.waiting, await settled(next)]).toEqual([1, 1, false]);
    await answer('/a');
    await first;
    (await next).cancel(new Error('done'));
    expect([pool.active, pool.waiting]).toEqual([0, 0]);
  });

  it('a lease is not queued if its signal was aborted before', async () => {
    const { server } = await holdingServer();
    const { pool } = poolTo(server);
    const reason = new Error('too late');
    await expect(pool.lease(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect([pool.active, pool.waiting]).toEqual([0, 0]);
  });

  it('a granted lease ignores its signal', async () => {
    const { server, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 1 });
    const held = await pool.lease(never);
    const caller = new AbortController();
    const waiting = pool.lease(caller.signal);
    held.cancel(new Error('done'));
    const lease = await waiting;
    caller.abort(new Error('late'));
    expect(pool.active).toBe(1);
    const incoming = sendOn(lease, '/a');
    await answer('/a');
    expect((await incoming).status).toBe(200);
  });

  it('a queued lease is refused when the pool closes, and so is a later one', async () => {
    const { server } = await holdingServer();
    const { pool } = poolTo(server, { max: 1 });
    await pool.lease(never);
    const waiting = pool.lease(never);
    pool.close();
    for (const refused of [waiting, pool.lease(never)]) {
      await expect(refused).rejects.toMatchObject({ reason: 'shutting-down', sent: 'no' });
    }
    expect(pool.waiting).toBe(0);
  });
});

describe('a lease that yields', () => {
  it('a yielding lease takes an idle connection only, and gives it to the first request in need', async () => {
    const { server, answer, arrived } = await holdingServer();
    const { pool } = poolTo(server, { max: 1, maxIdle: 1 });
    expect(pool.tryYieldingLease()).toBeUndefined();
    const first = fetchOn(pool, '/first');
    await answer('/first');
    await first;
    const yielding = pool.tryYieldingLease();
    if (!yielding) throw new Error('no idle connection');
    const deletion = sendOn(yielding, '/deletion').then((answered) => answered.readAll());
    await arrived('/deletion');
    expect([pool.active, pool.tryYieldingLease()]).toEqual([1, undefined]);
    const call = fetchOn(pool, '/call');
    await answer('/call');
    expect(await call).toBe('/call');
    await answer('/deletion');
    expect((await deletion).toString()).toBe('/deletion');
    expect([pool.active, server.connections.peak]).toEqual([0, 2]);
  });

  it('a yielding lease keeps its connection for the next request if none needed it meanwhile', async () => {
    const { server, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 1, maxIdle: 1 });
    for (const path of ['/first', '/deletion', '/call']) {
      const lease = pool.tryYieldingLease() ?? pool.tryLease();
      if (!lease) throw new Error('no place');
      const body = sendOn(lease, path).then((answered) => answered.readAll());
      await answer(path);
      await body;
    }
    expect(server.connections.opened).toBe(1);
  });
});
