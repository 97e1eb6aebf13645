import { describe, expect, it } from 'vitest';
import { RelayRig } from './rig.ts';

const CLAIM = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };

describe('the handshake', () => {
  it('the handshake holds back what follows initialize until its answer', async () => {
    const rig = new RelayRig();
    const initialize = await rig.request(0, 'initialize');
    await rig.receive({ method: 'notifications/initialized' });
    await rig.receive({ id: '', method: 'tools/list' });
    await rig.receive({ id: -1, method: 'tools/call' });
    expect(rig.methods).toEqual(['initialize']);
    await initialize.answer();
    expect(rig.methods).toEqual(['initialize', 'notifications/initialized']);
    await rig.last('notifications/initialized').accept();
    expect(rig.methods).toEqual(['initialize', 'notifications/initialized', 'tools/list', 'tools/call']);
  });

  it.each([
    ['answered with an error', '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no"}}'],
    ['failed', undefined],
  ])('the handshake ends when initialize has been %s', async (_what, text) => {
    const rig = new RelayRig();
    const initialize = await rig.request(0, 'initialize');
    await rig.receive({ id: 1, method: 'ping' });
    if (text) await initialize.reply(text);
    else await initialize.fail(new Error('no route'));
    expect(rig.methods).toEqual(['initialize', 'ping']);
    expect(rig.take()).toMatchObject([{ id: 0, error: {} }]);
  });

  it('the handshake ends when initialized is refused, because the server judges what follows', async () => {
    const rig = new RelayRig();
    await (await rig.request(0, 'initialize')).answer();
    await rig.receive({ method: 'notifications/initialized' });
    await rig.receive({ id: 1, method: 'ping' });
    await rig.last('notifications/initialized').fail(new Error('HTTP 500'));
    expect(rig.methods).toEqual(['initialize', 'notifications/initialized', 'ping']);
  });

  it('the handshake ends after ten seconds if the server never accepts initialized', async () => {
    const rig = new RelayRig({ timeoutMs: 60_000 });
    await (await rig.request(0, 'initialize')).answer();
    await rig.receive({ method: 'notifications/initialized' });
    await rig.receive({ id: '', method: 'tools/list' });
    await rig.clock.advance(9_999);
    expect(rig.methods).toEqual(['initialize', 'notifications/initialized']);
    await rig.clock.advance(1);
    expect(rig.methods).toEqual(['initialize', 'notifications/initialized', 'tools/list']);
  });

  it('a second initialize waits for the first, and later messages wait for the second', async () => {
    const rig = new RelayRig();
    const first = await rig.request(0, 'initialize');
    await rig.receive({ id: 1, method: 'initialize' });
    await rig.receive({ id: 2, method: 'ping' });
    await first.answer();
    expect(rig.methods).toEqual(['initialize', 'initialize']);
    await rig.last('initialize').answer();
    expect(rig.methods).toEqual(['initialize', 'initialize', 'ping']);
  });

  it('the handshake does not hold back earlier messages', async () => {
    const rig = new RelayRig();
    await rig.request(0, 'ping');
    await rig.request(1, 'initialize');
    expect(rig.methods).toEqual(['ping', 'initialize']);
  });

  it('the handshake does not hold back stateless messages', async () => {
    const rig = new RelayRig();
    await rig.request(0, 'initialize');
    await rig.receive({ id: 1, method: 'server/discover', params: CLAIM });
    await rig.receive({ method: 'notifications/x', params: CLAIM });
    expect(rig.methods).toEqual(['initialize', 'server/discover', 'notifications/x']);
  });

  it('the handshake does not hold back responses and cancellations', async () => {
    const rig = new RelayRig();
    const call = await rig.request(7);
    const initialize = await rig.request(0, 'initialize');
    await initialize.emit({ jsonrpc: '2.0', id: 0, method: 'roots/list' });
    await rig.receive({ id: 0, result: { roots: [] } });
    await rig.receive({ method: 'notifications/cancelled', params: { requestId: 7 } });
    expect(rig.methods).toEqual(['tools/call', 'initialize', undefined, 'notifications/cancelled']);
    expect(call.call.signal.aborted).toBe(true);
  });
});

describe('after the handshake', () => {
  it('requests run at once and concurrently after the handshake', async () => {
    const rig = new RelayRig();
    for (const id of [0, '', -1, '0']) await rig.request(id);
    expect(rig.handed).toHaveLength(4);
  });

  it('notifications keep their order, each waiting for the one before', async () => {
    const rig = new RelayRig();
    await rig.receive({ method: 'notifications/a' });
    await rig.receive({ method: 'notifications/b' });
    await rig.receive({ method: 'notifications/c' });
    expect(rig.methods).toEqual(['notifications/a']);
    await rig.last('notifications/a').accept();
    expect(rig.methods).toEqual(['notifications/a', 'notifications/b']);
    await rig.last('notifications/b').fail(new Error('HTTP 500'));
    expect(rig.methods).toEqual(['notifications/a', 'notifications/b', 'notifications/c']);
  });

  it('a notification that is not accepted delays the next by a second at most', async () => {
    const rig = new RelayRig();
    await rig.receive({ method: 'notifications/a' });
    await rig.receive({ method: 'notifications/b' });
    await rig.clock.advance(999);
    expect(rig.methods).toEqual(['notifications/a']);
    await rig.clock.advance(1);
    expect(rig.methods).toEqual(['notifications/a', 'notifications/b']);
  });

  it('requests do not wait for notifications, and notifications do not wait for requests', async () => {
    const rig = new RelayRig();
    await rig.request(0);
    await rig.receive({ method: 'notifications/a' });
    await rig.request(1, 'ping');
    expect(rig.methods).toEqual(['tools/call', 'notifications/a', 'ping']);
  });

  it('the order of messages leaves no timer behind', async () => {
    const rig = new RelayRig();
    for (const name of ['a', 'b', 'c']) await rig.receive({ method: `notifications/${name}` });
    for (const name of ['a', 'b', 'c']) await rig.last(`notifications/${name}`).accept();
    expect(rig.clock.timers).toBe(0);
  });
});
