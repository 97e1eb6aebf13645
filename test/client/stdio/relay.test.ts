import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { RelayRig, turn } from './rig.ts';

const INTERNAL = {
  code: -32603,
  message: 'Internal error of mcp-sigv4-proxy; its log has the details.',
  data: { source: 'mcp-sigv4-proxy', reason: 'internal', mayHaveRun: true },
};

describe('a request', () => {
  it.each(['0', '""', '-1', '"1"', '1.0', '9007199254740993'])(
    'a request with the id %s is passed on and answered in the original texts',
    async (id) => {
      const rig = new RelayRig();
      const text = `{"jsonrpc":"2.0", "id":${id},"method":"x","params":{"n":1e400,"dup":1,"dup":2}}`;
      await rig.receive(text);
      expect(rig.last('x').text).toBe(text);
      await rig.last('x').answer('{"z":1.0,"a":9007199254740993}');
      expect(rig.sent).toEqual([`{"jsonrpc":"2.0","id":${id},"result":{"z":1.0,"a":9007199254740993}}`]);
    },
  );

  it('requests are answered in the order of their answers', async () => {
    const rig = new RelayRig();
    const calls = [];
    for (const id of [0, '', -1, '0']) calls.push(await rig.request(id));
    for (const call of calls.reverse()) await call.answer();
    expect(rig.take()).toMatchObject([{ id: '0' }, { id: -1 }, { id: '' }, { id: 0 }]);
    expect(await rig.idle()).toBe(true);
    expect(rig.clock.timers).toBe(0);
  });

  it('a request has the profile, the client and a signal of its own', async () => {
    const rig = new RelayRig();
    const [one, two] = [await rig.request(0), await rig.request(1)];
    expect(one.call).toMatchObject({ profile: 'default', client: { id: 'client-1' } });
    expect(one.call.signal).not.toBe(two.call.signal);
  });

  it('a request whose id is in flight is refused without an id, and the first keeps its answer', async () => {
    const rig = new RelayRig();
    const first = await rig.request(0);
    await rig.receive({ id: 0, method: 'ping' });
    expect(rig.methods).toEqual(['tools/call']);
    expect(rig.take()).toEqual([
      {
        jsonrpc: '2.0',
        error: {
          code: -32600,
          message: 'Invalid request: the id 0 is already in flight; the first request keeps its answer.',
          data: { source: 'mcp-sigv4-proxy', reason: 'invalid-request', mayHaveRun: false, id: 0 },
        },
      },
    ]);
    await first.answer();
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, result: {} }]);
  });

  it('a request may reuse the id of an answered one, and that of one in flight in another type', async () => {
    const rig = new RelayRig();
    await (await rig.request(1)).answer();
    await rig.request(1);
    await rig.request('1');
    expect(rig.handed).toHaveLength(3);
    expect(rig.take()).toHaveLength(1);
  });
});

describe('errors of a handler', () => {
  it.each([
    ['connect-failed', {}, true],
    ['connection-lost', {}, true],
    ['no-credentials', {}, true],
    ['http-status', { httpStatus: 503 }, true],
    ['http-status', { httpStatus: 429 }, true],
    ['http-status', { httpStatus: 404 }, false],
    ['unusable-answer', { httpStatus: 200 }, false],
  ] as const)(
    'an error for server/discover that says nothing of the server is logged: %s %o',
    async (reason, details, loud) => {
      const rig = new RelayRig();
      const error = new ProxyError(reason, 'Why.', { sent: 'no', details });
      await (await rig.request(0, 'server/discover')).fail(error);
      await (await rig.request(1, 'tools/list')).fail(error);
      const report = { type: 'probe.failed', reason, message: 'Why.' };
      expect(rig.eventsOf('probe.failed')).toEqual(loud ? [report] : []);
    },
  );

  it('a ProxyError of a handler becomes the answer', async () => {
    const rig = new RelayRig();
    const call = await rig.request('');
    await call.fail(new ProxyError('connect-failed', 'No route.', { sent: 'no', retryAfterMs: 5 }));
    expect(rig.take()).toEqual([
      {
        jsonrpc: '2.0',
        id: '',
        error: {
          code: -31001,
          message: 'No route.',
          data: { source: 'mcp-sigv4-proxy', reason: 'connect-failed', mayHaveRun: false, retryAfterMs: 5 },
        },
      },
    ]);
    expect(rig.eventsOf('call.failed')).toEqual([
      { type: 'call.failed', method: 'tools/call', id: '', reason: 'connect-failed', message: 'No route.' },
    ]);
    expect(rig.eventsOf('internal.fault')).toEqual([]);
  });

  it.each([
    ['an error', new TypeError('x is undefined: secret')],
    ['a text', 'secret'],
    ['nothing', undefined],
  ])('an unexpected error of a handler (%s) is named, not shown, and is logged', async (_what, error) => {
    const rig = new RelayRig();
    await (await rig.request(0)).fail(error);
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, error: INTERNAL }]);
    const [fault] = rig.eventsOf('internal.fault');
    expect(fault).toMatchObject({ where: 'tools/call' });
    if (error !== undefined) expect(fault?.message).toContain('secret');
  });

  it('an error that a handler throws synchronously becomes an answer', async () => {
    const rig = new RelayRig({
      handler: () => {
        throw new Error('not async');
      },
    });
    await rig.receive({ id: 0, method: 'ping' });
    await rig.receive({ method: 'notifications/x' });
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, error: INTERNAL }]);
    expect(rig.eventsOf('notification.failed')).toMatchObject([{ message: 'not async' }]);
  });

  it('a handler that forgets to answer causes an error response', async () => {
    const rig = new RelayRig();
    await (await rig.request(0)).accept();
    expect(rig.take()).toEqual([{ jsonrpc: '2.0', id: 0, error: INTERNAL }]);
  });

  it('an error of a handler for a notification is only logged', async () => {
    const rig = new RelayRig();
    await rig.receive({ method: 'notifications/x' });
    await rig.last('notifications/x').fail(new Error('HTTP 500'));
    expect(rig.take()).toEqual([]);
    expect(rig.eventsOf('notification.failed')).toEqual([
      { type: 'notification.failed', method: 'notifications/x', message: 'HTTP 500' },
    ]);
    expect(rig.clock.timers).toBe(0);
  });
});

describe('a line that is no message', () => {
  it.each([
    ['not JSON', undefined, -32700],
    ['{"jsonrpc":"2.0","id":0}', 0, -32600],
    ['{"jsonrpc":"2.0","id":"","method":"a","method":"b"}', '', -32600],
    ['{"jsonrpc":"2.0","id":1,"id":1,"method":"a"}', undefined, -32600],
    ['[]', undefined, -32600],
  ])(
    'the invalid line %s is answered under the id it names, and the connection goes on',
    async (line, id, code) => {
      const rig = new RelayRig();
      await rig.receive(line);
      const [answer] = rig.take();
      expect(answer).toMatchObject({ jsonrpc: '2.0', error: { code } });
      expect(Object.hasOwn(answer as object, 'id') ? (answer as { id: unknown }).id : undefined).toBe(id);
      await (await rig.request(0)).answer();
      expect(rig.take()).toMatchObject([{ id: 0, result: {} }]);
      expect(rig.eventsOf('client.line-invalid')).toMatchObject([{ bytes: line.length }]);
    },
  );

  it('an invalid line with an id in flight is answered without an id, to spare the first request', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    await rig.receive('{"jsonrpc":"1.0","id":0,"method":"x"}');
    expect(rig.take()).toEqual([expect.not.objectContaining({ id: 0 })]);
    await call.answer();
    expect(rig.take()).toMatchObject([{ id: 0, result: {} }]);
  });
});

describe('a batch', () => {
  it('a batch is passed on member by member, marked as one, and answered line by line', async () => {
    const rig = new RelayRig();
    await rig.receive(
      '[{"jsonrpc":"2.0","id":0,"method":"a"},{"jsonrpc":"2.0","method":"n"}, 5 ,{"jsonrpc":"2.0","id":"","method":"b"}]',
    );
    expect(rig.methods).toEqual(['a', 'n', 'b']);
    const batches = new Set(rig.handed.map(({ call }) => call.batch));
    expect(batches.size).toBe(1);
    expect(batches.has(undefined)).toBe(false);
    expect(rig.take()).toMatchObject([{ error: { code: -32600 } }]);
    await rig.last('b').answer();
    await rig.last('a').answer();
    expect(rig.take()).toMatchObject([{ id: '' }, { id: 0 }]);
    await rig.request(1, 'c');
    expect(rig.last('c').call.batch).toBeUndefined();
  });
});

describe('a client that reads slowly', () => {
  it('a client that reads slowly slows the senders', async () => {
    const rig = new RelayRig();
    const call = await rig.request(0);
    let free: () => void = () => undefined;
    rig.room = new Promise((resolve) => {
      free = resolve;
    });
    let taken = false;
    void call.emit({ jsonrpc: '2.0', method: 'notifications/message' }).then(() => {
      taken = true;
    });
    await turn();
    expect(rig.take()).toMatchObject([{ method: 'notifications/message' }]);
    expect(taken).toBe(false);
    free();
    await turn();
    expect(taken).toBe(true);
  });
});

describe('detailed events', () => {
  it('detailed events report every message in both directions, with its original id', async () => {
    const rig = new RelayRig({ detailed: true });
    await (await rig.request('0')).answer();
    await rig.receive({ method: 'notifications/x' });
    expect(rig.eventsOf('message.received')).toMatchObject([
      { kind: 'request', method: 'tools/call', id: '"0"' },
      { kind: 'notification', method: 'notifications/x', id: undefined },
    ]);
    expect(rig.eventsOf('message.sent')).toMatchObject([{ kind: 'response', method: undefined, id: '"0"' }]);
  });
});
