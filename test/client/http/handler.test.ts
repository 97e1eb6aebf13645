import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { answerOf, messageOf, requestOf } from '../../support/make-call.ts';
import { ClientExchange, httpRig, methodOf, PASSED } from './handler-rig.ts';

const ORIGIN = { profile: 'dev', gone: new Promise<void>(() => undefined) };
const SESSION = { 'mcp-session-id': 'one' };
const call = (id: unknown, params: object = {}) => ({
  id,
  method: 'tools/call',
  params: { name: 'n', ...params },
});

describe('a request', () => {
  it.each([0, '', -1, '1'])(
    'an HTTP request with id %j becomes a call with its text, its headers and an exchange',
    async (id) => {
      const { post, last } = httpRig();
      const text = `{"jsonrpc":"2.0", "id":${JSON.stringify(id)},"method":"tools/call","params":{"name":"n","x":1.0}}`;
      const { exchange, done } = await post(text, SESSION);
      const { call: arrived, settle } = last();
      expect(arrived.message.text).toBe(text);
      expect(arrived.profile).toBe('dev');
      expect(arrived.httpContext?.headers).toEqual({ ...SESSION, 'user-agent': 'rig' });
      await arrived.httpContext?.pass?.({ status: 201, headers: { a: 'b' } })?.write(Buffer.from('bytes'));
      settle(PASSED);
      await done;
      expect([exchange.head, exchange.text, exchange.how]).toEqual([
        { status: 201, headers: { a: 'b' } },
        'bytes',
        'ended',
      ]);
    },
  );

  it('an HTTP request belongs to the client of its session, or without one to a client of its own', async () => {
    const { post, arrived } = httpRig();
    const empty = { 'mcp-session-id': '' };
    for (const headers of [SESSION, SESSION, { 'mcp-session-id': 'two' }, {}, {}, empty, empty])
      await post(call(0), headers);
    const ids = arrived.map(({ call: { client } }) => client.id);
    expect(ids[0]).toBe(ids[1]);
    expect(new Set(ids).size).toBe(6);
    expect(ids.join()).not.toContain('one');
  });

  it('an HTTP request for a list is answered with a message, which layers may have edited', async () => {
    const { post, last } = httpRig();
    const { exchange, done } = await post({ id: -1, method: 'tools/list' });
    expect(last().call.httpContext).not.toHaveProperty('pass');
    const http = { status: 200, headers: { 'mcp-session-id': 's', 'content-type': 'application/json; x=y' } };
    last().settle(answerOf({ id: -1, result: { tools: [] } }, http));
    await done;
    expect(exchange.head?.headers).toMatchObject(http.headers);
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: -1, result: { tools: [] } });
  });

  it('an HTTP request for a list passes unread if no layer reads it', async () => {
    const { post, last } = httpRig({ readsLists: false });
    await post({ id: -1, method: 'tools/list' });
    expect(last().call.httpContext).toHaveProperty('pass');
  });

  it('an HTTP request that fails is answered with a matching error and status', async () => {
    const { post, last, seen } = httpRig();
    const { exchange, done } = await post(call(''));
    last().fail(new ProxyError('rate-limited', 'slower', { sent: 'no', retryAfterMs: 2_500 }));
    await done;
    expect([exchange.status, exchange.head?.headers['retry-after']]).toEqual([429, '3']);
    expect(exchange.json).toMatchObject({ id: '', error: { code: -31013, message: 'slower' } });
    expect(seen).toContainEqual(expect.objectContaining({ type: 'call.failed', reason: 'rate-limited' }));
  });

  it('an HTTP request that meets a fault of the proxy is answered, and only the log names the fault', async () => {
    const { post, last, seen } = httpRig();
    const { exchange, done } = await post(call(0));
    last().fail(new TypeError('secret detail'));
    await done;
    expect([exchange.status, exchange.text.includes('secret')]).toEqual([500, false]);
    expect(seen).toContainEqual(
      expect.objectContaining({ type: 'internal.fault', message: 'secret detail' }),
    );
  });

  it.each([
    ['accepted' as const, { kind: 'accepted' as const }],
    ['passed to somebody else' as const, PASSED],
  ])('a reply that is %s is a fault', async (_what, reply) => {
    const { post, last } = httpRig();
    const { exchange, done } = await post(call(0));
    last().settle(reply);
    await done;
    expect(exchange.status).toBe(500);
  });

  it('a begun response that cannot be completed is broken off', async () => {
    const { post, last } = httpRig();
    const { exchange, done } = await post(call(0));
    last().call.httpContext?.pass?.({ status: 200, headers: {} });
    last().fail(new ProxyError('connection-lost', 'broke', { sent: 'maybe' }));
    await done;
    expect([exchange.begun, exchange.text, exchange.how]).toEqual([1, '', 'broken']);
  });

  it("a 401 of the server never reaches the client, because the credentials are the proxy's", async () => {
    const { post, last } = httpRig();
    const { exchange, done } = await post(call(0));
    last().settle(answerOf({ error: { code: -1, message: 'who?' } }, { status: 401 }));
    await done;
    expect(exchange.status).toBe(502);
  });
});

describe('notifications and responses', () => {
  it.each([
    ['a notification', { method: 'notifications/progress', params: { progressToken: 0 } }],
    ['a response', { id: 0, result: {} }],
  ])('an HTTP client gets 202 for %s that a layer handled', async (_what, message) => {
    const { post, last } = httpRig();
    const { exchange, done } = await post(message);
    last().settle({ kind: 'accepted' });
    await done;
    expect([exchange.status, exchange.text, exchange.how]).toEqual([202, '', 'ended']);
  });

  it("an HTTP client's notification that fails is answered without an id", async () => {
    const { post, last } = httpRig();
    const { exchange, done } = await post({ method: 'notifications/initialized' });
    last().fail(new ProxyError('connect-failed', 'nobody', { sent: 'no' }));
    await done;
    expect(exchange.status).toBe(502);
    expect(exchange.json).not.toHaveProperty('id');
  });
});

describe('the time limit of an HTTP request', () => {
  it('a tool call over HTTP gets 504 after its limit, and its session receives the cancellation', async () => {
    const { post, last, clock, arrived } = httpRig();
    const { exchange, done } = await post(call(0), { ...SESSION, 'mcp-name': 'n' });
    const late = last();
    late.call.httpContext?.onSend?.();
    await clock.advance(5_000);
    await done;
    expect(exchange.status).toBe(504);
    expect(exchange.json).toMatchObject({ id: 0, error: { code: -31008, data: { mayHaveRun: true } } });
    expect(late.call.signal.aborted).toBe(true);
    const told = arrived.at(-1)?.call;
    expect(told && methodOf(told.message)).toBe('notifications/cancelled');
    expect(told?.httpContext?.headers).toMatchObject(SESSION);
    expect(told?.httpContext?.headers).not.toHaveProperty('mcp-name');
    last().settle(PASSED);
    await clock.advance(0);
    expect(clock.timers).toBe(0);
  });

  it('a timeout over HTTP sends no cancellation for unsent calls, initialize or the stateless era', async () => {
    const { post, arrived, clock } = httpRig();
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    const unsent = await post(call(0));
    await post({ id: 1, method: 'initialize', params: {} });
    await post(call(2, { _meta }));
    for (const { call: sent } of arrived.slice(1)) sent.httpContext?.onSend?.();
    await clock.advance(5_000);
    expect(arrived.map(({ call: { message } }) => methodOf(message))).toEqual([
      'tools/call',
      'initialize',
      'tools/call',
    ]);
    expect(unsent.exchange.json).toMatchObject({ error: { data: { mayHaveRun: false } } });
  });

  it('the time limit over HTTP pauses in a queue, restarts with progress, and is off for a subscription', async () => {
    const { post, arrived, clock } = httpRig();
    const queued = await post(call(0));
    const release = arrived[0]?.call.deadline.hold();
    const moving = await post(call(1, { _meta: { progressToken: 0 } }), SESSION);
    const listening = await post({ id: 2, method: 'subscriptions/listen', params: {} });
    await clock.advance(4_000);
    const progress = messageOf({ method: 'notifications/progress', params: { progressToken: 0 } });
    await arrived[1]?.call.emit(progress, ORIGIN);
    await clock.advance(4_000);
    expect([queued, moving, listening].map(({ exchange }) => exchange.how)).toEqual(['open', 'open', 'open']);
    release?.();
    await clock.advance(1_000);
    expect(moving.exchange.status).toBe(504);
    await clock.advance(4_000);
    expect([queued.exchange.status, listening.exchange.status]).toEqual([504, undefined]);
  });

  it('the time limit over HTTP pauses until the client has answered the server, or the stream goes on', async () => {
    const { post, last, arrived, clock } = httpRig();
    const { exchange } = await post(call(0), SESSION);
    const asked = last();
    const question = requestOf('elicitation/create', {}, 0);
    await asked.call.emit(question, ORIGIN);
    await clock.advance(60_000);
    expect(exchange.how).toBe('open');
    // A response to another request, or of another client, does not answer this one.
    await post({ id: '0', result: {} }, SESSION);
    await post({ id: 0, result: {} }, { 'mcp-session-id': 'two' });
    await clock.advance(900);
    expect(exchange.how).toBe('open');
    await post({ id: 0, result: {} }, SESSION);
    await clock.advance(4_000);
    await asked.call.emit(question, ORIGIN);
    await clock.advance(60_000);
    const log = messageOf({ method: 'notifications/message', params: {} });
    await asked.call.emit(log, ORIGIN);
    expect(exchange.how).toBe('open');
    await clock.advance(1_000);
    expect(exchange.status).toBe(504);
    expect(arrived.length).toBeGreaterThan(3);
  });

  it('the time limit over HTTP ends a notification that the server does not accept', async () => {
    const { post, clock } = httpRig();
    const { exchange } = await post({ method: 'notifications/initialized' });
    await clock.advance(1_000);
    expect(exchange.status).toBe(504);
  });

  it('a read timeout over HTTP sends a cancellation too', async () => {
    const { post, last, arrived, clock } = httpRig();
    const { exchange } = await post(call(0), SESSION);
    last().fail(new ProxyError('timeout', 'silent', { sent: 'maybe', details: { limit: 'read-timeout' } }));
    await clock.advance(0);
    expect(exchange.status).toBe(504);
    expect(arrived.map(({ call: { message } }) => methodOf(message)).at(-1)).toBe('notifications/cancelled');
  });
});

describe('a client that leaves', () => {
  it('an HTTP client that disconnects ends its call, and receives nothing more', async () => {
    const { post, last, clock } = httpRig();
    const { exchange, done } = await post(call(0));
    exchange.leave();
    await done;
    expect(last().call.signal.aborted).toBe(true);
    expect(clock.timers).toBe(0);
  });

  it('an HTTP client that disconnects leaves the calls of other clients alone', async () => {
    const { post, arrived } = httpRig();
    const first = await post(call(0), SESSION);
    await post(call(0), SESSION);
    first.exchange.leave();
    expect(arrived.map(({ call: { signal } }) => signal.aborted)).toEqual([true, false]);
  });
});

describe('a cancellation', () => {
  const cancel = (requestId: unknown) => ({ method: 'notifications/cancelled', params: { requestId } });

  it('a cancellation over HTTP of an unsent call ends in the proxy', async () => {
    const { post, arrived } = httpRig();
    const waiting = await post(call(0), SESSION);
    const told = await post(cancel(0), SESSION);
    await Promise.all([waiting.done, told.done]);
    expect(told.exchange.status).toBe(202);
    expect(arrived.length).toBe(1);
    expect(arrived[0]?.call.signal.aborted).toBe(true);
    // As servers do it: a stream that ends without an answer.
    expect([waiting.exchange.status, waiting.exchange.text, waiting.exchange.how]).toEqual([
      200,
      '',
      'ended',
    ]);
  });

  it('a cancellation over HTTP of a sent call reaches the server first, and then ends its exchange', async () => {
    const { post, arrived, clock } = httpRig();
    const flying = await post(call(0), SESSION);
    arrived[0]?.call.httpContext?.onSend?.();
    arrived[0]?.call.httpContext?.pass?.({ status: 200, headers: { 'content-type': 'text/event-stream' } });
    await post(cancel(0), SESSION);
    expect(arrived.length).toBe(2);
    await clock.advance(999);
    expect(flying.exchange.how).toBe('open');
    await clock.advance(1);
    await flying.done;
    expect(flying.exchange.how).toBe('ended');
  });

  it.each([
    ['another type of id', cancel('0'), SESSION],
    ['another client', cancel(0), { 'mcp-session-id': 'two' }],
    ['nothing', cancel(undefined), SESSION],
  ])(
    'a cancellation over HTTP that matches no call is passed to the server: %s',
    async (_what, message, headers) => {
      const { post, arrived, clock } = httpRig();
      await post(call(0), SESSION);
      await post(message, headers);
      arrived[1]?.settle(PASSED);
      await clock.advance(900);
      expect(arrived.map(({ call: { signal } }) => signal.aborted)).toEqual([false, false]);
    },
  );
});

describe('streams', () => {
  const get = async (
    { relay, clock }: ReturnType<typeof httpRig>,
    headers: Record<string, string> = SESSION,
  ) => {
    const exchange = new ClientExchange(headers);
    const done = relay.forward('GET', exchange);
    await clock.advance(0);
    return { exchange, done };
  };

  it('a GET stream and a subscription end with the access token of their user, and a call goes on', async () => {
    const { relay, clock, arrived } = httpRig();
    const expiresAt = clock.now() + 600;
    const user = () => new ClientExchange(SESSION, { address: '192.0.2.1', token: 'user:alice', expiresAt });
    const [stream, subscription, running] = [user(), user(), user()];
    const streaming = relay.forward('GET', stream);
    const text = (method: string, id: number) => JSON.stringify({ jsonrpc: '2.0', id, method, params: {} });
    void relay.post(text('subscriptions/listen', 0), subscription);
    void relay.post(text('tools/call', 1), running);
    await clock.advance(599);
    expect([stream.how, subscription.how, relay.streams]).toEqual(['open', 'open', 2]);
    await clock.advance(1);
    await streaming;
    expect([stream.how, subscription.how, running.how]).toEqual(['broken', 'broken', 'open']);
    expect([relay.streams, arrived[1]?.call.signal.aborted]).toEqual([0, false]);
  });

  it('GET and subscription streams are bounded together, and return their places', async () => {
    const rig = httpRig({ maxStreams: 2 });
    const first = await get(rig);
    const listen = await rig.post({ id: 0, method: 'subscriptions/listen', params: {} });
    const third = await get(rig);
    expect([third.exchange.status, third.exchange.head?.headers['retry-after']]).toEqual([503, '1']);
    expect(third.exchange.json).toMatchObject({ error: { code: -31024 } });
    const fourth = await rig.post({ id: 1, method: 'subscriptions/listen', params: {} });
    expect(fourth.exchange.json).toMatchObject({ id: 1, error: { code: -31024 } });
    // Nor does a batch get around it.
    const members = [2, 3].map((id) => ({ jsonrpc: '2.0', id, method: 'subscriptions/listen' }));
    const batch = await rig.post(JSON.stringify(members));
    expect(batch.exchange.json).toMatchObject({ error: { code: -31024 } });
    // Requests are not streams.
    await rig.post(call(2));
    expect(rig.arrived.length).toBe(2);
    first.exchange.leave();
    await first.done;
    expect((await get(rig)).exchange.how).toBe('open');
    expect(listen.exchange.how).toBe('open');
  });

  it("a session's stream extends the time of its calls: progress and server requests", async () => {
    const rig = httpRig();
    await get(rig);
    const called = await rig.post(call(0, { _meta: { progressToken: '' } }), SESSION);
    const other = await rig.post(call(0, { _meta: { progressToken: '' } }), { 'mcp-session-id': 'two' });
    const [stream] = rig.bare;
    await rig.clock.advance(4_000);
    const progress = messageOf({ method: 'notifications/progress', params: { progressToken: '' } });
    await stream?.emit(progress, ORIGIN);
    await rig.clock.advance(2_000);
    expect([called.exchange.status, other.exchange.status]).toEqual([undefined, 504]);
    await stream?.emit(requestOf('sampling/createMessage', {}, 0), ORIGIN);
    await rig.clock.advance(60_000);
    expect(called.exchange.status).toBe(undefined);
    expect(rig.overheard).toEqual(['notifications/progress']);
  });

  it('a stream that the server refuses, or that fails, returns an error', async () => {
    const rig = httpRig();
    const refused = await get(rig);
    rig.bare[0]?.pass({ status: 405, headers: { allow: 'POST' } });
    rig.bare[0]?.settle(PASSED);
    await refused.done;
    expect([refused.exchange.status, refused.exchange.how]).toEqual([405, 'ended']);
    const failed = await get(rig);
    rig.bare[1]?.fail(new ProxyError('connect-failed', 'nobody', { sent: 'no' }));
    await failed.done;
    expect(failed.exchange.status).toBe(502);
    const cut = await get(rig);
    rig.bare[2]?.pass({ status: 200, headers: {} });
    rig.bare[2]?.fail(new ProxyError('connection-lost', 'broke', { sent: 'maybe' }));
    await cut.done;
    expect(cut.exchange.how).toBe('broken');
  });

  it('a DELETE over HTTP has a time limit', async () => {
    const rig = httpRig();
    const exchange = new ClientExchange(SESSION);
    const done = rig.relay.forward('DELETE', exchange);
    await rig.clock.advance(1_000);
    await done;
    expect(exchange.status).toBe(504);
  });
});

describe('drain', () => {
  it('a drain cuts streams at once, lets calls finish, and refuses new ones', async () => {
    const rig = httpRig();
    const stream = new ClientExchange(SESSION);
    void rig.relay.forward('GET', stream);
    await rig.clock.advance(0);
    rig.bare[0]?.pass({ status: 200, headers: {} });
    const flying = await rig.post(call(0));
    const drained = rig.relay.drain(30_000);
    await rig.clock.advance(0);
    expect([stream.how, flying.exchange.how]).toEqual(['broken', 'open']);
    const late = await rig.post(call(1));
    expect(late.exchange.status).toBe(503);
    expect(late.exchange.json).toMatchObject({ id: 1, error: { data: { reason: 'shutting-down' } } });
    rig.arrived[0]?.call.httpContext?.pass?.({ status: 200, headers: {} });
    rig.arrived[0]?.settle(PASSED);
    await drained;
    expect(flying.exchange.how).toBe('ended');
    expect(rig.clock.timers).toBe(0);
  });

  it('a drain accepts what calls in flight need: responses, cancellations, DELETE', async () => {
    const rig = httpRig();
    await rig.post(call(0), SESSION);
    rig.arrived[0]?.call.httpContext?.onSend?.();
    void rig.relay.drain(30_000);
    await rig.post({ id: 0, result: {} }, SESSION);
    await rig.post({ method: 'notifications/cancelled', params: { requestId: 0 } }, SESSION);
    expect(rig.arrived.map(({ call: { message } }) => methodOf(message))).toEqual([
      'tools/call',
      'response',
      'notifications/cancelled',
    ]);
    void rig.relay.forward('DELETE', new ClientExchange(SESSION));
    await rig.clock.advance(0);
    expect(rig.bare.map(({ method }) => method)).toEqual(['DELETE']);
  });

  it('a drain ends unfinished calls at its limit, and states whether they may have run', async () => {
    const rig = httpRig({ toolTimeoutMs: 0 });
    const sent = await rig.post(call(0));
    rig.arrived[0]?.call.httpContext?.onSend?.();
    const waiting = await rig.post(call(1));
    const drained = rig.relay.drain(2_000);
    await rig.clock.advance(2_000);
    await drained;
    expect(sent.exchange.json).toMatchObject({
      error: { data: { reason: 'shutting-down', mayHaveRun: true } },
    });
    expect(waiting.exchange.json).toMatchObject({ error: { data: { mayHaveRun: false } } });
  });
});

describe('a batch', () => {
  const batch = (...messages: object[]) =>
    JSON.stringify(messages.map((message) => ({ jsonrpc: '2.0', ...message })));

  it('a batch over HTTP is carried one by one and answered together, errors in their place', async () => {
    const { post, arrived } = httpRig();
    const { exchange, done } = await post(batch(call(0), { method: 'x' }, call(''), { id: 5, method: 6 }));
    expect(arrived.map(({ call: { batch: mark, httpContext } }) => [mark, httpContext?.pass])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    arrived[2]?.fail(new ProxyError('timeout', 'late', { sent: 'maybe' }));
    arrived[1]?.settle({ kind: 'accepted' });
    arrived[0]?.settle(answerOf({ id: 0, result: {} }));
    await done;
    expect(exchange.status).toBe(200);
    expect(JSON.parse(exchange.text)).toMatchObject([
      { id: 0, result: {} },
      { id: '', error: { code: -31008 } },
      { id: 5, error: { code: -32600 } },
    ]);
  });

  it('a batch over HTTP becomes a stream if a message precedes the answers', async () => {
    const { post, arrived } = httpRig();
    const { exchange, done } = await post(batch(call(0), call(1)));
    await arrived[0]?.call.emit(messageOf({ method: 'notifications/message', params: {} }), ORIGIN);
    for (const [id, { settle }] of arrived.entries()) settle(answerOf({ id, result: {} }));
    await done;
    expect(exchange.head?.headers['content-type']).toBe('text/event-stream');
    expect(exchange.text.match(/^data: /gm)?.length).toBe(3);
  });

  it('a batch over HTTP has no answer for cancelled members', async () => {
    const { post, arrived, seen } = httpRig();
    const cancel = (requestId: unknown) => ({ method: 'notifications/cancelled', params: { requestId } });
    const some = await post(batch(call(0), call('')), SESSION);
    await post(cancel(''), SESSION);
    arrived[0]?.settle(answerOf({ id: 0, result: {} }));
    await some.done;
    expect(JSON.parse(some.exchange.text)).toMatchObject([{ id: 0, result: {} }]);
    const all = await post(batch(call(0), call('')), SESSION);
    for (const id of [0, '']) await post(cancel(id), SESSION);
    await all.done;
    expect([all.exchange.status, all.exchange.text, all.exchange.how]).toEqual([200, '', 'ended']);
    const left = await post(batch(call(0), call('')));
    left.exchange.leave();
    await left.done;
    // None of it is a fault of anybody.
    expect(seen.filter(({ type }) => /fault|failed/.test(type))).toEqual([]);
  });

  it('a batch over HTTP of notifications gets 202, or the status of the first that failed', async () => {
    const { post, arrived } = httpRig();
    const told = await post(batch({ method: 'a' }, { method: 'b' }));
    for (const { settle } of arrived) settle({ kind: 'accepted' });
    await told.done;
    expect(told.exchange.status).toBe(202);
    const failed = await post(batch({ method: 'a' }, { method: 'b' }));
    arrived[2]?.settle({ kind: 'accepted' });
    arrived[3]?.fail(new ProxyError('connect-failed', 'nobody', { sent: 'no' }));
    await failed.done;
    expect(failed.exchange.status).toBe(502);
  });

  it.each([
    ['of a later revision', batch(call(0)), { 'mcp-protocol-version': '2025-06-18' }],
    [
      'with a claim',
      batch(call(0, { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } })),
      {},
    ],
    ['of too many', batch(...Array.from({ length: 101 }, (_, id) => call(id))), {}],
    ['of none', '[]', {}],
  ])('a batch over HTTP %s is refused as a whole', async (_what, text, headers) => {
    const { post, arrived } = httpRig();
    const { exchange } = await post(text, headers);
    expect([exchange.status, arrived.length]).toEqual([400, 0]);
    expect(exchange.json).toMatchObject({ error: { code: -32600 } });
  });
});
