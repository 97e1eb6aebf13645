import { describe, expect, it } from 'vitest';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, fetchOn, laneTo, never, sendOn, settled } from './lane-rig.ts';

const answering = () => ScriptedServer.start((_request, response) => void response.end('ok'));

describe('a connection that a lane opens ahead of its request', () => {
  it('carries the next request, and no second connection is opened', async () => {
    const server = await answering();
    const { lane, seen } = laneTo(server);
    lane.dial();
    lane.dial();
    await comesTrue(() => server.connections.opened === 1, 'the dialled connection');
    expect(await fetchOn(lane, '/first')).toBe('ok');
    expect(server.connections.opened).toBe(1);
    expect(seen.opened).toBe(1);
  });

  it('is taken while its handshake is still under way', async () => {
    const server = await answering();
    const { lane } = laneTo(server);
    lane.dial();
    expect(await fetchOn(lane, '/first')).toBe('ok');
    expect(server.connections.opened).toBe(1);
  });

  it('is not used after the server has closed it', async () => {
    const server = await answering();
    const { lane } = laneTo(server);
    lane.dial();
    await comesTrue(() => server.connections.open === 1, 'the dialled connection');
    server.connections.destroyAll();
    // The proxy's end of the socket notices the close in a turn of its own.
    await comesTrue(() => server.connections.open === 0, 'the close');
    await settled(Promise.resolve());
    expect(await fetchOn(lane, '/first')).toBe('ok');
    expect(server.connections.opened).toBe(2);
  });

  it('counts as one of the connections that the lane may have', async () => {
    const server = await answering();
    const { lane } = laneTo(server, { max: 1 });
    const lease = await lane.lease(never);
    lane.dial();
    expect(lane.tryOpenLease()).toBeUndefined();
    await (await sendOn(lease, '/busy')).readAll();
    expect(server.connections.opened).toBe(1);
  });

  it('is closed when no request takes it for as long as an idle connection is kept', async () => {
    const server = await answering();
    const { lane } = laneTo(server, { keepAliveTimeoutMs: 1 });
    lane.dial();
    await comesTrue(() => server.connections.opened === 1 && server.connections.open === 0, 'the close');
    expect(lane.tryOpenLease()).toBeUndefined();
  });

  it('is closed with its lane', async () => {
    const server = await answering();
    const { lane } = laneTo(server);
    lane.dial();
    await comesTrue(() => server.connections.open === 1, 'the dialled connection');
    lane.close();
    await comesTrue(() => server.connections.open === 0, 'the close');
  });

  it('leaves no error behind where it cannot be opened', async () => {
    const server = await answering();
    const { lane } = laneTo(server);
    await server.close();
    lane.dial();
    await expect(fetchOn(lane, '/first')).rejects.toThrow('ECONNREFUSED');
  });
});
