import { describe, expect, it } from 'vitest';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, fetchOn, never, poolTo, sendOn, settled } from './connection-rig.ts';

const answering = () => ScriptedServer.start((_request, response) => void response.end('ok'));

describe('an early dial', () => {
  it('an early dial carries the next request, and no second connection is opened', async () => {
    const server = await answering();
    const { pool, seen } = poolTo(server);
    pool.dial();
    pool.dial();
    await comesTrue(() => server.connections.opened === 1, 'the dialled connection');
    expect(await fetchOn(pool, '/first')).toBe('ok');
    expect(server.connections.opened).toBe(1);
    expect(seen.opened).toBe(1);
  });

  it('an early dial is used while its handshake is still running', async () => {
    const server = await answering();
    const { pool } = poolTo(server);
    pool.dial();
    expect(await fetchOn(pool, '/first')).toBe('ok');
    expect(server.connections.opened).toBe(1);
  });

  it('an early dial is not used after the server has closed it', async () => {
    const server = await answering();
    const { pool } = poolTo(server);
    pool.dial();
    await comesTrue(() => server.connections.open === 1, 'the dialled connection');
    server.connections.destroyAll();
    // The proxy's end of the socket notices the close in a turn of its own.
    await comesTrue(() => server.connections.open === 0, 'the close');
    await settled(Promise.resolve());
    expect(await fetchOn(pool, '/first')).toBe('ok');
    expect(server.connections.opened).toBe(2);
  });

  it('an early dial counts among the connections of its pool', async () => {
    const server = await answering();
    const { pool } = poolTo(server, { max: 1 });
    const lease = await pool.lease(never);
    pool.dial();
    expect(pool.tryOpenLease()).toBeUndefined();
    await (await sendOn(lease, '/busy')).readAll();
    expect(server.connections.opened).toBe(1);
  });

  it('an early dial is closed if no request uses it within the keep-alive time', async () => {
    const server = await answering();
    const { pool } = poolTo(server, { keepAliveTimeoutMs: 1 });
    pool.dial();
    await comesTrue(() => server.connections.opened === 1 && server.connections.open === 0, 'the close');
    expect(pool.tryOpenLease()).toBeUndefined();
  });

  it('an early dial is closed with its pool', async () => {
    const server = await answering();
    const { pool } = poolTo(server);
    pool.dial();
    await comesTrue(() => server.connections.open === 1, 'the dialled connection');
    pool.close();
    await comesTrue(() => server.connections.open === 0, 'the close');
  });

  it('an early dial that fails leaves no error behind', async () => {
    const server = await answering();
    const { pool } = poolTo(server);
    await server.close();
    pool.dial();
    await expect(fetchOn(pool, '/first')).rejects.toThrow('ECONNREFUSED');
  });
});
