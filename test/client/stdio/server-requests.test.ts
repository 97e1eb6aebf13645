import { describe, expect, it } from 'vitest';
import type { Origin } from '../../../src/core/pipeline/call.ts';
import { type Handed, ORIGIN, RelayRig } from './rig.ts';

const OTHER: Origin = { profile: 'second', gone: new Promise(() => undefined) };

async function rigWithCall(): Promise<{ rig: RelayRig; call: Handed }> {
  const rig = new RelayRig();
  return { rig, call: await rig.request('call') };
}

/** With a question of one session open, so that every later one of another session has its id exchanged. */
async function rigWithTwoSessions(): Promise<{ rig: RelayRig; call: Handed }> {
  const made = await rigWithCall();
  await made.call.emit('{"jsonrpc":"2.0","id":0,"method":"first/asks"}', ORIGIN);
  await made.call.emit('{"jsonrpc":"2.0","id":0,"method":"second/asks"}', OTHER);
  return made;
}

/** The responses that were passed on for the client, newest last. */
const answers = (rig: RelayRig) =>
  rig.handed
    .filter(({ call }) => call.message.kind === 'response')
    .map(({ text, call }) => [text, call.origin, call.profile] as const);

describe('a request of the server', () => {
  it.each(['0', '""', '-1', '"1"', '1.0', '9007199254740993'])(
    'a server request with the id %s reaches the client unchanged, and its answer goes back',
    async (id) => {
      const { rig, call } = await rigWithCall();
      const question = `{"jsonrpc":"2.0","id":${id},"method":"roots/list","params":{"n":1.0}}`;
      await call.emit(question);
      expect(rig.sent).toEqual([question]);
      const answer = `{"jsonrpc":"2.0","id":${id}, "result":{"roots":[1e400]}}`;
      await rig.receive(answer);
      expect(answers(rig)).toEqual([[answer, ORIGIN, 'first']]);
    },
  );

  it('a server request is answered once, and a second answer is dropped', async () => {
    const { rig, call } = await rigWithCall();
    await call.emit({ jsonrpc: '2.0', id: 0, method: 'ping' });
    await rig.receive({ id: 0, error: { code: -32601, message: 'no' } });
    await rig.receive({ id: 0, result: {} });
    expect(answers(rig)).toHaveLength(1);
    expect(rig.eventsOf('client.response-unexpected')).toEqual([
      { type: 'client.response-unexpected', id: '0' },
    ]);
  });

  it.each(['0', '"call"', 'null'])('an answer to no server request is dropped: %s', async (id) => {
    const { rig, call } = await rigWithCall();
    await call.emit({ jsonrpc: '2.0', id: '0', method: 'ping' });
    await rig.receive(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
    expect(answers(rig)).toEqual([]);
    await call.answer();
    expect(rig.take()).toMatchObject([
      { id: '0', method: 'ping' },
      { id: 'call', result: {} },
    ]);
  });

  it('a server request may have the id of a call in flight', async () => {
    const { rig, call } = await rigWithCall();
    await call.emit({ jsonrpc: '2.0', id: 'call', method: 'ping' });
    await rig.receive({ id: 'call', result: {} });
    await call.answer();
    expect(rig.take()).toMatchObject([{ method: 'ping' }, { id: 'call', result: {} }]);
    expect(answers(rig)).toHaveLength(1);
  });

  it('a server request that repeats an id replaces the first, and pauses its call no longer', async () => {
    const { rig, call } = await rigWithCall();
    await call.emit({ jsonrpc: '2.0', id: '', method: 'roots/list' });
    await call.emit({ jsonrpc: '2.0', id: '', method: 'ping' });
    await rig.receive({ id: '', result: {} });
    await rig.receive({ id: '', result: {} });
    expect(answers(rig)).toHaveLength(1);
    expect(rig.eventsOf('client.response-unexpected')).toHaveLength(1);
    rig.take();
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([{ id: 'call', error: { code: -31008 } }]);
  });

  it('a server request may be cancelled: the client is notified, and a late answer is dropped', async () => {
    const { rig, call } = await rigWithCall();
    await call.emit('{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}');
    const word =
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993,"reason":"x"}}';
    await call.emit(word);
    expect(rig.sent[1]).toBe(word);
    await rig.receive('{"jsonrpc":"2.0","id":9007199254740993,"result":{}}');
    expect(answers(rig)).toEqual([]);
  });

  it('an answer on the stream to no request reaches nobody', async () => {
    const { rig, call } = await rigWithCall();
    await call.emit({ jsonrpc: '2.0', id: 77, result: {} });
    expect(rig.take()).toEqual([]);
  });
});

describe('requests of two sessions', () => {
  it('server requests of two sessions with one id are told apart, and each answer goes to its session', async () => {
    const { rig } = await rigWithTwoSessions();
    expect(rig.sent).toEqual([
      '{"jsonrpc":"2.0","id":0,"method":"first/asks"}',
      '{"jsonrpc":"2.0","id":"proxy-0","method":"second/asks"}',
    ]);
    await rig.receive({ id: 'proxy-0', result: 2 });
    await rig.receive({ id: 0, result: 1 });
    expect(answers(rig)).toEqual([
      ['{"jsonrpc":"2.0","id":0,"result":2}', OTHER, 'second'],
      ['{"jsonrpc":"2.0","id":0,"result":1}', ORIGIN, 'first'],
    ]);
  });

  it.each(['0', '""', '-1', '"a"', '9007199254740993', '1.0'])(
    'server requests of two sessions get back the id %s in its own spelling and type',
    async (id) => {
      const { rig, call } = await rigWithTwoSessions();
      for (const origin of [ORIGIN, OTHER]) {
        await call.emit(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`, origin);
      }
      await rig.receive({ id: 'proxy-2', result: 'other' });
      await rig.receive({ id: 'proxy-1', result: 'first' });
      expect(answers(rig)).toEqual([
        [`{"jsonrpc":"2.0","id":${id},"result":"other"}`, OTHER, 'second'],
        [`{"jsonrpc":"2.0","id":${id},"result":"first"}`, ORIGIN, 'first'],
      ]);
    },
  );

  it('server requests of two sessions are cancelled under the ids that the client knows', async () => {
    const { rig, call } = await rigWithTwoSessions();
    const word = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 0 } };
    await call.emit(word, OTHER);
    await call.emit(word, ORIGIN);
    await call.emit(word, ORIGIN);
    expect(rig.take().slice(2)).toEqual([{ ...word, params: { requestId: 'proxy-0' } }, word]);
    await rig.receive({ id: 'proxy-0', result: {} });
    await rig.receive({ id: 0, result: {} });
    expect(answers(rig)).toEqual([]);
  });

  it.each(['0', '""', '"t"', '9007199254740993'])(
    'server requests of two sessions with the progress token %s get distinct tokens, restored in progress',
    async (token) => {
      const { rig, call } = await rigWithTwoSessions();
      const params = `"params":{"_meta":{"progressToken":${token}}}`;
      await call.emit(`{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage",${params}}`, OTHER);
      expect(rig.sent.at(-1)).toBe(
        '{"jsonrpc":"2.0","id":"proxy-1","method":"sampling/createMessage","params":{"_meta":{"progressToken":"proxy-1-progress"}}}',
      );
      await rig.receive({
        method: 'notifications/progress',
        params: { progressToken: 'proxy-1-progress', progress: 1 },
      });
      expect(rig.last('notifications/progress').text).toBe(
        `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":1}}`,
      );
      expect(rig.last('notifications/progress').call).toMatchObject({ origin: OTHER, profile: 'second' });
    },
  );

  it('server requests of two sessions never get an id that a session chose itself', async () => {
    const { rig, call } = await rigWithCall();
    await call.emit({ jsonrpc: '2.0', id: 'proxy-0', method: 'ping' }, ORIGIN);
    await call.emit({ jsonrpc: '2.0', id: 0, method: 'ping' }, OTHER);
    const [own, exchanged] = rig.take() as { id: string }[];
    expect(own?.id).toBe('proxy-0');
    expect(exchanged?.id).not.toBe('proxy-0');
    await rig.receive({ id: 'proxy-0', result: {} });
    await rig.receive({ id: exchanged?.id, result: {} });
    expect(answers(rig).map(([, origin]) => origin)).toEqual([ORIGIN, OTHER]);
  });

  it('server requests of two sessions drop their tokens when they are answered', async () => {
    const { rig, call } = await rigWithTwoSessions();
    const params = { _meta: { progressToken: 't' } };
    await call.emit({ jsonrpc: '2.0', id: 5, method: 'x', params }, OTHER);
    await rig.receive({ id: 'proxy-1', result: {} });
    const late = { method: 'notifications/progress', params: { progressToken: 'proxy-1-progress' } };
    await rig.receive(late);
    expect(rig.last('notifications/progress').call).not.toHaveProperty('origin');
  });
});

describe('limits of server requests', () => {
  it('a server request over the limit of a line is refused to the server, and the call goes on', async () => {
    const rig = new RelayRig({ maxLineBytes: 100_000 });
    const call = await rig.request(0);
    await call.emit({ jsonrpc: '2.0', id: '', method: 'x', params: { text: 'y'.repeat(100_000) } });
    expect(rig.take()).toEqual([]);
    const [[text = '', origin] = []] = answers(rig);
    expect(origin).toBe(ORIGIN);
    expect(JSON.parse(text)).toEqual({
      jsonrpc: '2.0',
      id: '',
      error: {
        code: -31010,
        message:
          'x is 100059 bytes long, more than the 100000 bytes that MCP clients take in one message (--max-line). It was not passed on.',
        data: {
          source: 'mcp-sigv4-proxy',
          reason: 'line-too-long',
          mayHaveRun: false,
          bytes: 100_059,
          limit: 100_000,
        },
      },
    });
    await rig.clock.advance(60_000);
    expect(rig.take()).toMatchObject([{ id: 0, error: { code: -31008 } }]);
  });

  it('a server request over the limit of open requests is refused to the server', async () => {
    const { rig, call } = await rigWithCall();
    for (let id = 0; id < 4_096; id++) void call.emit({ jsonrpc: '2.0', id, method: 'ping' });
    await call.emit({ jsonrpc: '2.0', id: 'one more', method: 'ping' });
    expect(rig.sent).toHaveLength(4_096);
    expect(JSON.parse(answers(rig)[0]?.[0] ?? '')).toMatchObject({
      id: 'one more',
      error: { code: -31012, data: { reason: 'too-many-waiting', mayHaveRun: false } },
    });
    await rig.receive({ id: 0, result: {} });
    await call.emit({ jsonrpc: '2.0', id: 'again', method: 'ping' });
    expect(rig.sent).toHaveLength(4_097);
  });
});
