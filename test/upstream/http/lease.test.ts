import { describe, expect, it } from 'vitest';
import type { Lease } from '../../../src/upstream/http/lease.ts';
import { comesTrue, fetchOn, holdingServer, never, poolTo, sendOn, settled } from './connection-rig.ts';

describe('the end of a lease', () => {
  /** Each way of ending, and whether the connection can be used again. */
  const endings: readonly (readonly [string, (lease: Lease, rig: Rig) => Promise<void>])[] = [
    [
      'when the answer has ended',
      async (lease, { answer }) => {
        const incoming = sendOn(lease, '/a');
        await answer('/a');
        await (await incoming).readAll();
        lease.cancel(new Error('late'));
        lease.detach();
      },
    ],
    ['by a cancel before anything is sent', async (lease) => cancelTwice(lease)],
    [
      'by leaving before anything is sent',
      async (lease) => {
        lease.detach();
        lease.detach();
        lease.cancel(new Error('late'));
      },
    ],
    [
      'by a cancel while it is sent',
      async (lease, { arrived }) => {
        const incoming = sendOn(lease, '/a');
        await arrived('/a');
        cancelTwice(lease);
        await expect(incoming).rejects.toMatchObject({ name: 'TransportFailure', sent: 'maybe' });
      },
    ],
    [
      'by a cancel in the middle of the answer',
      async (lease, { arrived }) => {
        const incoming = sendOn(lease, '/a');
        (await arrived('/a')).write('half');
        const body = (await incoming).readAll();
        cancelTwice(lease);
        await expect(body).rejects.toThrow('cut');
      },
    ],
    [
      'when the server cuts the answer',
      async (lease, { arrived }) => {
        const incoming = sendOn(lease, '/a');
        const response = await arrived('/a');
        response.write('half');
        const body = (await incoming).readAll();
        response.destroy();
        await expect(body).rejects.toThrow();
      },
    ],
    [
      'when the server cuts before it answers',
      async (lease, { arrived }) => {
        const incoming = sendOn(lease, '/a');
        (await arrived('/a')).destroy();
        await expect(incoming).rejects.toMatchObject({ sent: 'maybe', reused: false });
      },
    ],
    [
      'by leaving, and the end of what went on',
      async (lease, { arrived, server }) => {
        const incoming = sendOn(lease, '/a');
        const response = await arrived('/a');
        lease.detach();
        response.end('whole');
        expect((await (await incoming).readAll()).toString()).toBe('whole');
        await comesTrue(() => server.connections.open === 0, 'its connection closed');
      },
    ],
    [
      'by leaving, and a cancel after that',
      async (lease, { arrived, server }) => {
        const incoming = sendOn(lease, '/a');
        await arrived('/a');
        lease.detach();
        cancelTwice(lease);
        await expect(incoming).rejects.toMatchObject({ sent: 'maybe' });
        await comesTrue(() => server.connections.open === 0, 'its connection closed');
      },
    ],
  ];
  type Rig = Awaited<ReturnType<typeof holdingServer>>;
  const cancelTwice = (lease: Lease): void => {
    lease.cancel(new Error('cut'));
    lease.cancel(new Error('cut again'));
  };

  it.each(endings)('a lease returns its place once: %s', async (_how, end) => {
    const rig = await holdingServer();
    const { pool } = poolTo(rig.server, { max: 1, maxIdle: 1 });
    const lease = await pool.lease(never);
    const [second, third] = [pool.lease(never), pool.lease(never)];
    await end(lease, rig);
    const next = await second;
    expect([lease.over, pool.active, pool.waiting, await settled(third)]).toEqual([true, 1, 1, false]);
    const incoming = sendOn(next, '/next');
    await rig.answer('/next');
    expect((await (await incoming).readAll()).toString()).toBe('/next');
    (await third).cancel(new Error('done'));
    expect([pool.active, pool.waiting]).toEqual([0, 0]);
  });

  it('a lease that has ended sends nothing more', async () => {
    const { server } = await holdingServer();
    const { pool } = poolTo(server);
    const lease = await pool.lease(never);
    lease.cancel(new Error('over'));
    await expect(sendOn(lease, '/a')).rejects.toMatchObject({ name: 'TransportFailure', sent: 'no' });
    expect(server.requests).toEqual([]);
  });

  it('a lease ends by its signal as long as its request runs', async () => {
    const { server, arrived } = await holdingServer();
    const { pool } = poolTo(server);
    const controller = new AbortController();
    const lease = await pool.lease(never);
    const incoming = sendOn(lease, '/a');
    lease.cancelOn(controller.signal);
    await arrived('/a');
    controller.abort(new Error('session closed'));
    await expect(incoming).rejects.toThrow('session closed');
    expect([lease.over, pool.active]).toEqual([true, 0]);
  });

  it('a detached lease gives its place to the next caller, on a new connection if its request goes on', async () => {
    const { server, arrived, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 1, maxIdle: 1 });
    const leaver = await pool.lease(never);
    const slow = sendOn(leaver, '/slow');
    await arrived('/slow');
    leaver.detach();
    const quick = fetchOn(pool, '/quick');
    await answer('/quick');
    expect(await quick).toBe('/quick');
    await answer('/slow');
    expect((await (await slow).readAll()).toString()).toBe('/slow');
    await comesTrue(() => server.connections.open === 1, 'one kept');
    expect(server.connections.opened).toBe(2);
  });

  it('closing the connection pool cuts idle, busy and detached connections alike', async () => {
    const { server, arrived, answer } = await holdingServer();
    const { pool } = poolTo(server, { max: 3, maxIdle: 3 });
    const [busy, left, idle] = await Promise.all([pool.lease(never), pool.lease(never), pool.lease(never)]);
    const one = sendOn(busy, '/busy');
    const two = sendOn(left, '/left');
    const three = sendOn(idle, '/idle');
    await arrived('/busy');
    await arrived('/left');
    await answer('/idle');
    await (await three).readAll();
    left.detach();
    pool.close();
    await expect(one).rejects.toThrow();
    await expect(two).rejects.toThrow();
    await comesTrue(() => server.connections.open === 0, 'nothing open');
    expect(pool.active).toBe(0);
  });
});
