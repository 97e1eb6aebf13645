import { describe, expect, it } from 'vitest';
import { RelayRig } from './rig.ts';

const cancel = (requestId: unknown, reason = 'enough') => ({
  method: 'notifications/cancelled',
  params: { requestId, reason },
});

describe('a cancellation by the client', () => {
  it.each([0, '', -1, '0'])(
    'a cancellation of %j reaches the handler as it was sent, and no answer is written',
    async (id) => {
      const rig = new RelayRig();
      const call = await rig.request(id);
      await rig.receive(cancel(id));
      expect(call.call.signal.aborted).toBe(true);
      expect(rig.methods).toEqual(['tools/call', 'notifications/cancelled']);
      expect(JSON.parse(rig.last('notifications/cancelled').text)).toEqual({ jsonrpc: '2.0', ...cancel(id) });
      await rig.last('notifications/cancelled').accept();
      expect(rig.take()).toEqual([]);
      expect(rig.clock.timers).toBe(0);
      expect(await rig.idle()).toBe(true);
      expect(rig.eventsOf('call.cancelled')).toMatchObject([{ id: String(id), by: 'client' }]);
    },
  );

  it('a cancellation is sent before the exchange ends, so that the handler can notify the server first', async () => {
    const seen: string[] = [];
    const rig = new RelayRig({
      handler: (call) => {
        if (call.message.kind === 'notification') seen.push('notified');
        call.signal.addEventListener('abort', () => seen.push('aborted'));
        return new Promise(() => undefined);
      },
    });
    await rig.receive({ id: 0, method: 'tools/call' });
    await rig.receive(cancel(0));
    expect(seen).toEqual(['notified', 'aborted']);
  });

  it('a cancellation of a request that waits for its turn ends it, and sends the server nothing', async () => {
    const rig = new RelayRig();
    const initialize = await rig.request(0, 'initialize');
    await rig.receive({ id: 1, method: 'tools/call' });
    await rig.receive(cancel(1));
    await initialize.answer();
    expect(rig.methods).toEqual(['initialize']);
    expect(rig.take()).toMatchObject([{ id: 0 }]);
    expect(await rig.idle()).toBe(true);
  });

  it.each([
    ['after the answer', async (rig: RelayRig) => (await rig.request(0)).answer()],
    ['of a request that never was', async () => undefined],
    ['of the same id in another type', async (rig: RelayRig) => void (await rig.request('0'))],
  ])('a cancellation %s is dropped', async (_what, before) => {
    const rig = new RelayRig();
    await before(rig);
    const count = rig.handed.length;
    await rig.receive(cancel(0));
    expect(rig.handed).toHaveLength(count);
    expect(rig.eventsOf('client.cancel-unknown')).toEqual([{ type: 'client.cancel-unknown', id: '0' }]);
  });

  it.each([[null], [undefined], [{}], [true]])('a cancellation that names %j is dropped', async (id) => {
    const rig = new RelayRig();
    await rig.request(0);
    await rig.receive(cancel(id));
    expect(rig.methods).toEqual(['tools/call']);
  });

  it('a cancellation of initialize is ignored, because the protocol forbids it', async () => {
    const rig = new RelayRig();
    const initialize = await rig.request(0, 'initialize');
    await rig.receive(cancel(0));
    expect(initialize.call.signal.aborted).toBe(false);
    await initialize.answer();
    expect(rig.methods).toEqual(['initialize']);
    expect(rig.take()).toMatchObject([{ id: 0, result: {} }]);
  });

  it('a repeated cancellation is sent once', async () => {
    const rig = new RelayRig();
    await rig.request(0);
    await rig.receive(cancel(0));
    await rig.receive(cancel(0));
    expect(rig.methods).toEqual(['tools/call', 'notifications/cancelled']);
  });

  it('a cancellation frees the id at once for a request with its own answer', async () => {
    const rig = new RelayRig();
    const first = await rig.request(0);
    await rig.receive(cancel(0));
    const second = await rig.request(0);
    expect(second).not.toBe(first);
    await first.answer('"late"');
    await second.answer('"good"');
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, result: 'good' }]);
  });

  it('a cancellation drops later messages of the call, and no messages of other calls', async () => {
    const rig = new RelayRig();
    const [cancelled, other] = [await rig.request(0), await rig.request(1)];
    await rig.receive(cancel(0));
    await cancelled.emit({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 0 } });
    await other.emit({ jsonrpc: '2.0', method: 'notifications/message' });
    expect(rig.take()).toMatchObject([{ method: 'notifications/message' }]);
  });

  it('a cancellation drops an answer that the handler returns all the same', async () => {
    let answer: () => void = () => undefined;
    const rig = new RelayRig({
      handler: ({ message }) =>
        message.kind !== 'request'
          ? Promise.resolve({ kind: 'accepted' })
          : new Promise((resolve) => {
              const text = '{"jsonrpc":"2.0","id":0,"result":{}}';
              const json = JSON.parse(text);
              const response = { kind: 'response', text, json, id: 0, outcome: 'result' } as const;
              answer = () => resolve({ kind: 'answer', message: response });
            }),
    });
    await rig.receive({ id: 0, method: 'tools/call' });
    await rig.receive(cancel(0));
    answer();
    await rig.receive({ method: 'notifications/x' });
    expect(rig.take()).toEqual([]);
  });
});

const CLAIM = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };

describe('a cancellation of a request without a session', () => {
  it.each([0, '', -1, '0'])(
    'a cancellation of the stateless request %j ends its call, and posts nothing',
    async (id) => {
      const rig = new RelayRig();
      const call = await rig.request(id, 'tools/call', CLAIM);
      await rig.receive(cancel(id === '0' ? 0 : id === 0 ? '0' : 7));
      expect(call.call.signal.aborted).toBe(false);
      await rig.receive(cancel(id));
      expect(call.call.signal.aborted).toBe(true);
      await call.emit({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: id } });
      expect(rig.methods).toEqual(['tools/call']);
      expect(rig.take()).toEqual([]);
      expect(rig.clock.timers).toBe(0);
      expect(await rig.idle()).toBe(true);
    },
  );

  it('a cancellation has the era of the request that it names, whatever it claims itself', async () => {
    const rig = new RelayRig();
    await rig.request(0);
    const claiming = cancel(0);
    await rig.receive({ ...claiming, params: { ...claiming.params, ...CLAIM } });
    expect(rig.methods).toEqual(['tools/call', 'notifications/cancelled']);
    const stateless = await rig.request(1, 'tools/call', CLAIM);
    await rig.receive(cancel(1));
    expect(stateless.call.signal.aborted).toBe(true);
    expect(rig.methods).toEqual(['tools/call', 'notifications/cancelled', 'tools/call']);
  });

  it('a stateless request whose time is over is not cancelled, because the end of its stream suffices', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0, 'tools/call', CLAIM);
    await rig.clock.advance(60_000);
    expect(call.call.signal.aborted).toBe(true);
    expect(rig.methods).toEqual(['tools/call']);
    expect(rig.take()).toMatchObject([{ id: 0, error: { data: { reason: 'timeout', mayHaveRun: true } } }]);
  });
});

describe('a subscription', () => {
  const ended = (requestId: unknown) => ({
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { requestId },
  });

  it.each([0, '', -1, 'listen:0'])(
    'the subscription %j that the server cancels ends with that notification, without an answer',
    async (id) => {
      const rig = new RelayRig();
      // Ids of two servers, so that those of servers are exchanged: the client's own are not.
      for (const profile of ['one', 'two']) {
        const call = await rig.request(profile);
        const origin = { profile, gone: new Promise<void>(() => undefined) };
        await call.emit({ jsonrpc: '2.0', id: 0, method: 'ping' }, origin);
      }
      rig.take();
      const listen = await rig.request(id, 'subscriptions/listen', CLAIM);
      await listen.emit(ended('another'));
      expect(listen.call.signal.aborted).toBe(false);
      await listen.emit(ended(id));
      expect(listen.call.signal.aborted).toBe(true);
      expect(rig.take()).toEqual([ended(id)]);
    },
  );

  it('a subscription has no time limit', async () => {
    const rig = new RelayRig();
    const listen = await rig.request(0, 'subscriptions/listen', CLAIM);
    await rig.clock.advance(365 * 24 * 3_600_000);
    expect(listen.call.signal.aborted).toBe(false);
  });
});

describe('a server request on the stream of a stateless call', () => {
  it('a server request on the stream of a stateless call does not pause its time limit', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0, 'tools/call', CLAIM);
    await call.emit({ jsonrpc: '2.0', id: 0, method: 'elicitation/create' });
    expect(rig.take()).toMatchObject([{ id: 0, method: 'elicitation/create' }]);
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([{ id: 0, error: { data: { reason: 'timeout' } } }]);
  });
});
