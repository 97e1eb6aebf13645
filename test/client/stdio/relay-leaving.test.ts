import { describe, expect, it } from 'vitest';
import { RelayRig, turn } from './rig.ts';

function drained(rig: RelayRig, ms = 1_500): { readonly over: boolean; readonly promise: Promise<void> } {
  const state = { over: false, promise: Promise.resolve() };
  state.promise = rig.relay.drain(ms).then(() => {
    state.over = true;
  });
  return state;
}

const SHUTTING_DOWN = {
  code: -31009,
  message: 'The proxy is ending because its client left; the request may have run.',
  data: { source: 'mcp-sigv4-proxy', reason: 'shutting-down', mayHaveRun: true },
};

describe('draining', () => {
  it('a drain ends at once if nothing is in flight', async () => {
    const rig = new RelayRig();
    await rig.relay.drain(1_500);
    expect(rig.clock.timers).toBe(0);
    expect(rig.eventsOf('proxy.draining')).toEqual([]);
  });

  it('a drain lets calls finish and ends with the last of them', async () => {
    const rig = new RelayRig();
    const calls = [await rig.request(0), await rig.request('')];
    const drain = drained(rig);
    for (const call of calls) {
      expect(drain.over).toBe(false);
      await call.answer();
    }
    await drain.promise;
    expect(rig.take()).toMatchObject([
      { id: 0, result: {} },
      { id: '', result: {} },
    ]);
    expect(rig.clock.timers).toBe(0);
    expect(rig.eventsOf('proxy.draining')).toEqual([{ type: 'proxy.draining', inFlight: 2 }]);
  });

  it('a drain waits for notifications and responses of the client too', async () => {
    const rig = new RelayRig();
    await rig.receive({ method: 'notifications/x' });
    const drain = drained(rig);
    await turn();
    expect(drain.over).toBe(false);
    await rig.last('notifications/x').accept();
    await drain.promise;
  });

  it('a drain lets a whole exchange through that was written before the pipe closed', async () => {
    const rig = new RelayRig();
    await rig.receive({ id: 0, method: 'initialize' });
    await rig.receive({ method: 'notifications/initialized' });
    await rig.receive({ id: 1, method: 'tools/call' });
    const drain = drained(rig);
    await rig.last('initialize').answer();
    await rig.last('notifications/initialized').accept();
    await rig.last('tools/call').answer();
    await drain.promise;
    expect(rig.take()).toMatchObject([
      { id: 0, result: {} },
      { id: 1, result: {} },
    ]);
  });

  it('a drain answers unfinished calls at its limit with an error, and ends', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    await rig.receive({ method: 'notifications/x' });
    const drain = drained(rig);
    await rig.clock.advance(1_499);
    expect(rig.take()).toEqual([]);
    await rig.clock.advance(1);
    await drain.promise;
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, error: SHUTTING_DOWN }]);
    expect(call.call.signal.aborted).toBe(true);
    expect(rig.clock.timers).toBe(0);
  });

  it("a drain lets a call finish that waits for its client's answer", async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    await call.emit({ jsonrpc: '2.0', id: 7, method: 'elicitation/create' });
    const drain = drained(rig);
    await rig.receive({ id: 7, result: {} });
    await rig.last(undefined).accept();
    await call.answer();
    await drain.promise;
    expect(rig.take()).toMatchObject([{ id: 7 }, { id: 0, result: {} }]);
  });

  it('a drain accepts cancellations, and refuses new requests', async () => {
    const rig = new RelayRig();
    await rig.request(0);
    const drain = drained(rig);
    await rig.receive({ id: -1, method: 'tools/call' });
    expect(rig.take()).toEqual([
      {
        jsonrpc: '2.0',
        id: -1,
        error: {
          code: -31009,
          message: 'The proxy is ending: this request was not sent.',
          data: { source: 'mcp-sigv4-proxy', reason: 'shutting-down', mayHaveRun: false },
        },
      },
    ]);
    await rig.receive({ method: 'notifications/cancelled', params: { requestId: 0 } });
    await rig.last('notifications/cancelled').accept();
    await drain.promise;
    expect(rig.methods).toEqual(['tools/call', 'notifications/cancelled']);
    expect(rig.take()).toEqual([]);
  });

  it('a drain ends subscriptions at once, because they never end by themselves', async () => {
    const rig = new RelayRig();
    await rig.request(0, 'subscriptions/listen');
    const call = await rig.request(1);
    const drain = drained(rig);
    await turn();
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, error: SHUTTING_DOWN }]);
    await call.answer();
    await drain.promise;
  });
});

describe('a client that has disconnected', () => {
  it('a client that has disconnected receives nothing, and every call and timer ends', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    await rig.request(1, 'initialize');
    await rig.receive({ id: 2, method: 'ping' });
    await rig.receive({ method: 'notifications/x' });
    rig.relay.abandon();
    await turn();
    expect(call.call.signal.aborted).toBe(true);
    await call.emit({ jsonrpc: '2.0', method: 'notifications/message' });
    await call.emit({ jsonrpc: '2.0', id: 0, method: 'ping' });
    await rig.receive({ id: 3, method: 'ping' });
    await rig.receive('not JSON');
    expect(rig.sent).toEqual([]);
    expect(rig.methods).toEqual(['tools/call', 'initialize']);
    expect(rig.clock.timers).toBe(0);
    expect(await rig.idle()).toBe(true);
    expect(rig.eventsOf('notification.failed')).toEqual([]);
  });
});
