import { describe, expect, it } from 'vitest';
import { ORIGIN, RelayRig } from './rig.ts';

const ADVICE: Readonly<Record<string, string>> = {
  'tool-timeout': ' If the tool needs longer, raise --tool-timeout; 0 = no limit.',
  timeout: ' If the server needs longer, raise --timeout; 0 = no limit.',
};

const timeoutOf = (method: string, seconds: number, limit: string, how: string, mayHaveRun = true) => ({
  code: -31008,
  message: `No answer to ${method} within ${seconds} s (--${limit}). ${how}${mayHaveRun ? ADVICE[limit] : ''}`,
  data: { source: 'mcp-sigv4-proxy', reason: 'timeout', mayHaveRun, limit, seconds },
});
const TOLD = 'A cancellation was sent to the server; the request may have run.';

describe('a request that is not answered in time', () => {
  it.each([
    ['tools/call', 60, 'tool-timeout'],
    ['tasks/result', 60, 'tool-timeout'],
    ['tools/list', 10, 'timeout'],
    ['ping', 10, 'timeout'],
    ['vendor/unknown', 10, 'timeout'],
  ])(
    'a request of %s gets a timeout after %i s by --%s, and the server receives a cancellation',
    async (method, seconds, limit) => {
      const rig = new RelayRig();
      const call = await rig.request('', method);
      await rig.clock.advance(seconds * 1_000 - 1);
      expect(rig.take()).toEqual([]);
      await rig.clock.advance(1);
      expect(rig.take()).toEqual([
        { jsonrpc: '2.0', id: '', error: timeoutOf(method, seconds, limit, TOLD) },
      ]);
      expect(call.call.signal.aborted).toBe(true);
      expect(rig.last('notifications/cancelled').text).toBe(
        `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"","reason":"timed out after ${seconds} s"}}`,
      );
      await rig.last('notifications/cancelled').accept();
      expect(rig.clock.timers).toBe(0);
      expect(rig.eventsOf('call.cancelled')).toMatchObject([{ by: 'deadline' }]);
    },
  );

  it('a request that times out is cancelled under the id as its client spelled it', async () => {
    const rig = new RelayRig();
    await rig.receive('{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}');
    await rig.clock.advance(10_000);
    expect(rig.sent[0]).toContain('"id":9007199254740993,');
    expect(rig.last('notifications/cancelled').text).toContain('"requestId":9007199254740993,');
  });

  it('a timeout of initialize sends no cancellation, because the protocol forbids it', async () => {
    const rig = new RelayRig();
    await rig.request(0, 'initialize');
    await rig.clock.advance(10_000);
    const error = timeoutOf('initialize', 10, 'timeout', 'The request may have run.');
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, error }]);
    expect(rig.methods).toEqual(['initialize']);
  });

  it('a request that times out before its turn was not sent, and the server receives nothing', async () => {
    const rig = new RelayRig({ timeoutMs: 0 });
    const initialize = await rig.request(0, 'initialize');
    await rig.receive({ id: -1, method: 'tools/call' });
    await rig.clock.advance(60_000);
    const how = 'It was not sent, because it waited for the answer to initialize all the time.';
    expect(rig.take()).toEqual([
      { jsonrpc: '2.0', id: -1, error: timeoutOf('tools/call', 60, 'tool-timeout', how, false) },
    ]);
    await initialize.answer();
    expect(rig.methods).toEqual(['initialize']);
  });

  it('a request that timed out gets no second answer', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0, 'ping');
    await rig.clock.advance(10_000);
    await call.answer();
    expect(rig.take()).toHaveLength(1);
  });
});

describe('no limit', () => {
  it('a time limit of 0 is no limit, for each option alone', async () => {
    const rig = new RelayRig({ timeoutMs: 0 });
    await rig.request(0, 'ping');
    await rig.request(1, 'tools/call');
    await rig.clock.advance(1_000_000);
    expect(rig.take()).toMatchObject([{ id: 1, error: { code: -31008 } }]);
    const other = new RelayRig({ toolTimeoutMs: 0 });
    await other.request(0, 'ping');
    await other.request(1, 'tools/call');
    await other.clock.advance(1_000_000);
    expect(other.take()).toMatchObject([{ id: 0, error: { code: -31008 } }]);
  });

  it('subscriptions/listen has no time limit', async () => {
    const rig = new RelayRig();
    await rig.request(0, 'subscriptions/listen');
    await rig.clock.advance(100_000_000);
    expect(rig.take()).toEqual([]);
  });
});

describe('progress', () => {
  const progress = (progressToken: unknown) => ({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken, progress: 1 },
  });
  it.each([0, '', 'token', -1])(
    'progress with the token %j restarts the time limit and is passed on',
    async (token) => {
      const rig = new RelayRig();
      const call = await rig.request(0, 'tools/call', { _meta: { progressToken: token } });
      await rig.clock.advance(59_999);
      await call.emit(progress(token));
      await rig.clock.advance(59_999);
      expect(rig.take()).toEqual([progress(token)]);
      await rig.clock.advance(1);
      expect(rig.take()).toMatchObject([{ id: 0, error: { code: -31008 } }]);
    },
  );

  it.each([
    ['another type of token', '0'],
    ['a token of nobody', 7],
    ['no token', null],
  ])('progress with %s does not restart the time limit', async (_what, token) => {
    const rig = new RelayRig();
    const call = await rig.request(0, 'tools/call', { _meta: { progressToken: 0 } });
    await rig.clock.advance(30_000);
    await call.emit(progress(token));
    await rig.clock.advance(30_000);
    expect(rig.take()).toMatchObject([progress(token), { error: { code: -31008 } }]);
  });

  it('progress may arrive on another stream', async () => {
    const rig = new RelayRig();
    const initialize = await rig.request(0, 'initialize');
    await initialize.answer();
    await rig.request(1, 'tools/call', { _meta: { progressToken: 't' } });
    await rig.clock.advance(59_000);
    await initialize.emit(progress('t'));
    await rig.clock.advance(59_000);
    expect(rig.take()).toMatchObject([{ id: 0 }, progress('t')]);
  });
});

describe('the time limit while the client owes the server an answer', () => {
  const ask = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'elicitation/create', params: {} });

  it('a server request pauses the time limit of its call only', async () => {
    const rig = new RelayRig();
    const [asking, other] = [await rig.request(0), await rig.request(1)];
    await asking.emit(ask(0));
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([ask(0), { id: 1, error: { code: -31008 } }]);
    expect(other.call.signal.aborted).toBe(true);
    await rig.receive({ id: 0, result: {} });
    await rig.clock.advance(59_999);
    expect(rig.take()).toEqual([]);
    await rig.clock.advance(1);
    expect(rig.take()).toMatchObject([{ id: 0, error: { code: -31008 } }]);
  });

  it('a server request on the standalone stream pauses every call, because it names none', async () => {
    const rig = new RelayRig();
    const initialize = await rig.request('i', 'initialize');
    await initialize.answer();
    const calls = [await rig.request(0), await rig.request(1, 'ping')];
    await initialize.emit(ask(''));
    await rig.clock.advance(1_000_000);
    expect(rig.take()).toMatchObject([{ id: 'i' }, ask('')]);
    await rig.receive({ id: '', result: {} });
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([
      { id: 1, error: { code: -31008 } },
      { id: 0, error: { code: -31008 } },
    ]);
    expect(calls.every(({ call }) => call.signal.aborted)).toBe(true);
    for (const word of rig.handed.filter(({ method }) => method !== 'tools/call')) {
      if (word.call.message.kind !== 'request') await word.accept();
    }
    expect(rig.clock.timers).toBe(0);
  });

  it('a server request on the stream of one session does not pause the calls of other sessions', async () => {
    const rig = new RelayRig();
    const initialize = await rig.request('i', 'initialize');
    await initialize.answer();
    for (const id of [0, '0', -1, '']) await rig.request(id);
    await initialize.emit(ask(''), { ...ORIGIN, carries: (id) => id === 0 || id === '' });
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([
      { id: 'i' },
      ask(''),
      { id: '0', error: { code: -31008 } },
      { id: -1, error: { code: -31008 } },
    ]);
    await rig.receive({ id: '', result: {} });
    await rig.clock.advance(60_000);
    const late = { error: { code: -31008 } };
    expect(rig.take()).toMatchObject([
      { id: 0, ...late },
      { id: '', ...late },
    ]);
  });

  it('an error response or a withdrawn server request ends the pause of the time limit', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    await call.emit(ask(-1));
    await call.emit(ask(1));
    await rig.receive({ id: -1, error: { code: -1, message: 'declined' } });
    await rig.clock.advance(100_000);
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
    await call.emit(cancelled);
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([ask(-1), ask(1), cancelled, { id: 0, error: { code: -31008 } }]);
  });

  it('a server request that is repeated under its id counts once', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    await call.emit(ask(5));
    await call.emit(ask(5), ORIGIN);
    await rig.receive({ id: 5, result: {} });
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([ask(5), ask(5), { id: 0, error: { code: -31008 } }]);
  });
});
