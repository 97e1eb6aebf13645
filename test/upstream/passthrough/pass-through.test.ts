import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import type { HttpFacts, Reply } from '../../../src/core/pipeline/call.ts';
import { PassThrough } from '../../../src/upstream/passthrough/pass-through.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { CANCELLED, makeCall, messageOf, requestOf } from '../../support/make-call.ts';
import { makeGate } from '../../support/relayed.ts';
import { type Behaviour, type RecordedRequest, ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue } from '../http/connection-rig.ts';
import { transportTo } from '../transport/transport-rig.ts';

/** The view of a client, as far as the handler shows it. */
class Received {
  readonly heads: HttpFacts[] = [];
  readonly chunks: Buffer[] = [];
  /** The promise that a write waits for. */
  room: Promise<void> = Promise.resolve();

  readonly pass = (head: HttpFacts) => {
    this.heads.push(head);
    return {
      write: (chunk: Uint8Array) => {
        this.chunks.push(Buffer.from(chunk));
        return this.room;
      },
    };
  };

  get status(): number | undefined {
    return this.heads[0]?.status;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

async function rigFor(behaviour: Behaviour, { readTimeoutMs = 0, max = 1 } = {}) {
  const server = await ScriptedServer.start(behaviour, { keepAliveTimeoutMs: 0 });
  const clock = new FakeClock({ now: Date.now() });
  const rig = transportTo(server, { clock, max });
  const passages = new PassThrough({
    transportOf: () => rig.transport,
    clock,
    events: rig.events,
    readTimeoutMs,
  });
  const emitted: Message[] = [];
  const emit = async (message: Message): Promise<void> => void emitted.push(message);
  const send = (message: Message, headers: Record<string, string> = {}, collect = false) => {
    const made = makeCall(message, { emit });
    const received = new Received();
    let attempts = 0;
    const passage = {
      headers: { accept: 'application/json, text/event-stream', ...headers },
      onSend: () => void attempts++,
      ...(collect ? {} : { pass: received.pass }),
    };
    const reply = passages.handle({ ...made.call, httpContext: passage });
    reply.catch(() => undefined);
    return { reply, received, cancel: made.cancel, attempts: () => attempts };
  };
  return { ...rig, server, clock, passages, send, emitted };
}

const say =
  (status: number, headers: Record<string, string>, body: string | Buffer): Behaviour =>
  (_request: RecordedRequest, response: ServerResponse) =>
    void response.writeHead(status, headers).end(body);

const JSON_TYPE = { 'content-type': 'application/json' };
const DONE = '{"jsonrpc":"2.0","id":0,"result":{}}';
const call = requestOf('tools/call', { name: 'add', arguments: {} }, 0);
const list = requestOf('tools/list', {}, -1);
const errorOf = (reply: Promise<Reply>): Promise<ProxyError> =>
  reply.then(
    () => Promise.reject(new Error('no failure')),
    (error: unknown) => (error instanceof ProxyError ? error : Promise.reject(error)),
  );

describe('an answer that is passed through', () => {
  it.each([
    ['JSON', JSON_TYPE, '{ "jsonrpc": "2.0",\n "id": 0, "result": {"n": 12345678901234567890, "x": 1.0} }'],
    [
      'an event stream',
      { 'content-type': 'text/event-stream' },
      ': hi\n\nid: 1\ndata:\n\ndata: {"jsonrpc":"2.0", "method":"n"}\n\n',
    ],
  ])('a passed answer keeps every byte of %s', async (_what, headers, body) => {
    const { send } = await rigFor(say(200, { ...headers, 'x-of-the-server': 'yes' }, body));
    const { reply, received } = send(call);
    expect((await reply).kind).toBe('passed');
    expect([received.status, received.text]).toEqual([200, body]);
    expect(received.heads[0]?.headers).toMatchObject({ ...headers, 'x-of-the-server': 'yes' });
  });

  it('a passed answer keeps the bytes of a compressed body, and its header', async () => {
    const packed = gzipSync('{"jsonrpc":"2.0","id":0,"result":{}}');
    const { send } = await rigFor(say(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }, packed));
    const { reply, received } = send(call);
    await reply;
    expect(Buffer.concat(received.chunks).equals(packed)).toBe(true);
    expect(received.heads[0]?.headers['content-encoding']).toBe('gzip');
  });

  it('a passed answer streams: its head before its first byte, each piece before the next', async () => {
    const gate = makeGate();
    const { send } = await rigFor(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      await gate.opened;
      response.end(`data: ${DONE}\n\n`);
    });
    const { reply, received } = send(call);
    await comesTrue(() => received.status === 200, 'the head');
    expect(received.chunks).toEqual([]);
    gate.open();
    await reply;
    expect(received.text).toBe(`data: ${DONE}\n\n`);
  });

  it('a passed answer waits for a client that does not read, and slows the server', async () => {
    const piece = Buffer.alloc(64 * 1024, 'x');
    let taken = 0;
    const { send } = await rigFor(async (request, response) => {
      response.writeHead(200, JSON_TYPE);
      if (request.rpc.method === 'ping') return void response.end(DONE);
      for (; taken < 1_600; taken++) {
        if (!response.write(piece)) await new Promise<void>((resolve) => response.once('drain', resolve));
      }
      response.end();
    });
    const { reply, received } = send(call);
    const gate = makeGate();
    received.room = gate.opened;
    await comesTrue(() => received.chunks.length === 1, 'the first piece');
    // Time enough, and more, for the server to send all that it can.
    for (let id = 1; id <= 50; id++) await send(requestOf('ping', undefined, id)).reply;
    // The buffers of two sockets and 256 KiB hold a part of the 100 MB.
    expect(taken).toBeLessThan(400);
    gate.open();
    await reply;
    expect(Buffer.concat(received.chunks).length).toBe(1_600 * 64 * 1024);
  });

  it('a passed answer that breaks off is distinct from one that ended', async () => {
    const { send } = await rigFor((_request, response) => {
      response.writeHead(200, { ...JSON_TYPE, 'content-length': '100' });
      response.write('{"jsonrpc"', () => response.destroy());
    });
    const { reply, received } = send(call);
    expect((await errorOf(reply)).reason).toBe('connection-lost');
    // Nothing of it was passed on yet: its client gets an error that says so.
    expect(received.status).toBeUndefined();
  });

  it('a passed event stream reports its messages in time', async () => {
    const said =
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}';
    const { send, emitted } = await rigFor(
      say(200, { 'content-type': 'text/event-stream' }, `data: ${said}\n\ndata: {"id":0,"result":{}}\n\n`),
    );
    await send(call).reply;
    expect(emitted.map(({ text }) => text)).toEqual([said]);
  });

  it.each([true, false])('a passed tool list is read if it is complete: %s', async (whole) => {
    const text = '{"jsonrpc":"2.0","id":-1,"result":{"tools":[]}}';
    const { send } = await rigFor((request, response) => {
      if (request.rpc.method !== 'tools/list' || whole) return say(200, JSON_TYPE, text)(request, response);
      response.writeHead(200, { ...JSON_TYPE, 'content-length': '100' });
      response.write(text, () => response.destroy());
    });
    const { reply, received } = send(list);
    if (whole) expect(await reply).toMatchObject({ kind: 'passed', answer: { text } });
    else expect((await errorOf(reply)).reason).toBe('connection-lost');
    expect(received.text).toBe(whole ? text : '');
    expect(await send(call).reply).not.toHaveProperty('answer');
  });

  it('a passed notification gets its answer too', async () => {
    const { send, server } = await rigFor(say(202, { 'x-of-the-server': 'yes' }, ''));
    const { reply, received } = send(messageOf({ method: 'notifications/initialized' }));
    expect((await reply).kind).toBe('passed');
    expect(received.status).toBe(202);
    expect(server.requests.map(({ text }) => text)).toEqual([
      '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    ]);
  });
});

describe('requests of a pass-through client', () => {
  it("a pass-through request is the text of the message, signed, with its client's headers only", async () => {
    const { send, server } = await rigFor(say(200, JSON_TYPE, DONE));
    const headers = {
      'mcp-session-id': 'session of the client',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'not/what-the-body-says',
      'mcp-param-x': '=?base64?eA==?=',
      'last-event-id': '7',
    };
    await send(call, headers).reply;
    const [request] = server.requests;
    expect(request?.text).toBe(call.text);
    expect(request?.headers).toMatchObject({ ...headers, 'content-type': 'application/json' });
    expect(request?.headers.authorization).toMatch(/^AWS4-HMAC-SHA256 /);
  });

  it('a pass-through request waits for a connection, and other messages do not', async () => {
    const gate = makeGate();
    const { send, server } = await rigFor(async (request, response) => {
      if (request.rpc.method === 'tools/call') await gate.opened;
      response.writeHead(200, JSON_TYPE).end(DONE);
    });
    const first = send(call);
    await server.until((requests) => requests.length === 1);
    const second = send(requestOf('resources/list', {}, 1));
    await send(requestOf('ping', undefined, '')).reply;
    await send(messageOf({ id: 0, result: {} })).reply;
    await send(requestOf('subscriptions/listen', {}, 2)).reply;
    expect(second.attempts()).toBe(0);
    gate.open();
    await Promise.all([first.reply, second.reply]);
    expect(second.attempts()).toBe(1);
  });
});

describe('failures of pass-through', () => {
  const error = '{"jsonrpc":"2.0","id":"server-error","error":{"code":-32020,"message":"HeaderMismatch"}}';

  it.each([400, 401, 403, 404, 405, 429, 500, 503])(
    'a passed JSON-RPC error is a message, whatever its id, byte for byte (%i)',
    async (status) => {
      const { send } = await rigFor(say(status, { ...JSON_TYPE, 'retry-after': '3' }, ` ${error}\n`));
      const { reply, received } = send(call);
      const answer = await reply;
      expect(received.heads).toEqual([]);
      expect(answer).toMatchObject({ kind: 'answer', message: { text: ` ${error}\n` }, http: { status } });
    },
  );

  it.each([404, 405, 406, 409, 410, 413, 415, 501])(
    'a final failure passes unchanged (%i)',
    async (status) => {
      const { send } = await rigFor(say(status, { 'content-type': 'text/plain' }, 'no such thing'));
      const { reply, received } = send(call);
      expect((await reply).kind).toBe('passed');
      expect([received.status, received.text]).toEqual([status, 'no such thing']);
    },
  );

  it.each([408, 429, 500, 502, 503, 504])(
    'a retryable failure does not pass, so that it can be retried (%i)',
    async (status) => {
      const { send } = await rigFor(
        say(status, { 'content-type': 'text/plain', 'retry-after': '3' }, 'busy'),
      );
      const { reply, received } = send(call);
      const failure = await errorOf(reply);
      expect(failure).toMatchObject({ reason: 'http-status', retryAfterMs: 3_000 });
      expect(failure.details.httpStatus).toBe(status);
      expect(received.heads).toEqual([]);
    },
  );

  it('a refused signature is explained, and never asks the client to log in', async () => {
    const challenge = { 'www-authenticate': 'Bearer resource_metadata="https://x"' };
    for (const status of [401, 403]) {
      const { send } = await rigFor(say(status, { ...JSON_TYPE, ...challenge }, '{"message":"Forbidden"}'));
      const { reply, received } = send(call);
      expect((await errorOf(reply)).reason).toBe('auth-rejected');
      expect(received.heads).toEqual([]);
    }
  });

  it('a request for OAuth is explained, also in a JSON-RPC error', async () => {
    const challenge = { 'www-authenticate': 'Bearer resource_metadata="https://x"' };
    const body = '{"jsonrpc":"2.0","id":0,"error":{"code":-32001,"message":"Missing Bearer token"}}';
    const { send } = await rigFor(say(401, { ...JSON_TYPE, ...challenge }, body));
    const { message } = await errorOf(send(call).reply);
    expect(message).toMatch(/OAuth access token.* The server said: Missing Bearer token/);
  });

  it('a redirect is not followed, and not repeated to the client', async () => {
    const { send } = await rigFor(say(307, { location: 'https://elsewhere.example' }, ''));
    expect((await errorOf(send(call).reply)).reason).toBe('redirected');
  });

  it('a failed connection of pass-through states that nothing was sent', async () => {
    const { send, server } = await rigFor(say(200, JSON_TYPE, DONE));
    await server.close();
    expect(await errorOf(send(call).reply)).toMatchObject({ reason: 'connect-failed', sent: 'no' });
  });
});

describe('an answer that a layer wants to read', () => {
  const result = '{"jsonrpc":"2.0","id":-1,"result":{"tools":[]}}';
  const log = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}';

  it.each([
    ['JSON', JSON_TYPE, result],
    ['compressed JSON', { ...JSON_TYPE, 'content-encoding': 'gzip' }, gzipSync(result)],
    ['an event stream', { 'content-type': 'text/event-stream' }, `data: ${log}\n\ndata: ${result}\n\n`],
  ])('a pass-through answer that a layer reads is a message out of %s', async (_what, headers, body) => {
    const { send, emitted } = await rigFor(say(200, { ...headers, 'mcp-session-id': 'mine' }, body));
    const reply = await send(list, {}, true).reply;
    expect(reply).toMatchObject({ kind: 'answer', message: { text: result }, http: { status: 200 } });
    const head = reply.kind === 'answer' ? reply.http?.headers : {};
    expect(head).toMatchObject({ 'mcp-session-id': 'mine' });
    expect(head).not.toHaveProperty('content-encoding');
    expect(head).not.toHaveProperty('content-length');
    expect(emitted.length).toBe(headers['content-type'] === 'text/event-stream' ? 1 : 0);
  });

  it('a pass-through answer that a layer reads is available before its stream ends, and the stream is cut', async () => {
    const ended = makeGate();
    const { send, clock } = await rigFor((_request, response) => {
      response.on('close', ended.open);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${result}\n\n`);
    });
    await send(list, {}, true).reply;
    await clock.advance(1_000);
    await ended.opened;
  });

  it.each([
    ['a stream that ends without it', { 'content-type': 'text/event-stream' }, ': hi\n\n', 'connection-lost'],
    ['a page', { 'content-type': 'text/html' }, '<p>', 'unusable-answer'],
    ['nothing', JSON_TYPE, '', 'unusable-answer'],
    ['JSON that is no message', JSON_TYPE, '{"error":"no such session"}', 'unusable-answer'],
    [
      'two answers to something else',
      JSON_TYPE,
      '[{"jsonrpc":"2.0","id":"a","result":{}},{"jsonrpc":"2.0","id":"b","result":{}}]',
      'unusable-answer',
    ],
  ])('a pass-through answer that a layer reads is missing in %s', async (_what, headers, body, reason) => {
    const { send } = await rigFor(say(200, headers, body));
    expect((await errorOf(send(list, {}, true).reply)).reason).toBe(reason);
  });
});

describe('a pass-through client that disconnects', () => {
  const hanging = (): { behaviour: Behaviour; closed: Promise<void> } => {
    const gate = makeGate();
    const behaviour: Behaviour = (_request, response) => {
      response.on('close', gate.open);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    };
    return { behaviour, closed: gate.opened };
  };

  it('a pass-through client that disconnects ends its exchange and frees its place', async () => {
    const { behaviour, closed } = hanging();
    const { send, lanes } = await rigFor(behaviour);
    const { reply, received, cancel } = send(call);
    await comesTrue(() => received.status === 200, 'the head');
    cancel();
    await expect(reply).rejects.toBe(CANCELLED);
    await closed;
    await comesTrue(() => lanes.request.active === 0, 'a free place');
  });

  it('a pass-through client that disconnects before its turn sends nothing', async () => {
    const gate = makeGate();
    const { send, server } = await rigFor(async (_request, response) => {
      await gate.opened;
      response.writeHead(200, JSON_TYPE).end(DONE);
    });
    const first = send(call);
    await server.until((requests) => requests.length === 1);
    const second = send(requestOf('tools/call', { name: 'b' }, 1));
    second.cancel();
    await expect(second.reply).rejects.toBe(CANCELLED);
    gate.open();
    await first.reply;
    expect([server.requests.length, second.attempts()]).toEqual([1, 0]);
  });

  it('a pass-through call that times out frees its place, and is cut a second later', async () => {
    const { behaviour, closed } = hanging();
    const { send, lanes, clock, server } = await rigFor(behaviour);
    const { reply, received, cancel } = send(call);
    await comesTrue(() => received.status === 200, 'the head');
    const over = new ProxyError('timeout', 'late', { sent: 'maybe' });
    cancel(over);
    await expect(reply).rejects.toBe(over);
    expect(lanes.request.active).toBe(0);
    expect(server.connections.open).toBe(1);
    await clock.advance(1_000);
    await closed;
  });

  it('a stateless pass-through call that is abandoned is cut at once, which is its cancellation', async () => {
    const { behaviour, closed } = hanging();
    const { send } = await rigFor(behaviour);
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    const { reply, received, cancel } = send(requestOf('tools/call', { name: 'add', _meta }, ''));
    await comesTrue(() => received.status === 200, 'the head');
    cancel(new ProxyError('timeout', 'late', { sent: 'maybe' }));
    await expect(reply).rejects.toThrow('late');
    await closed;
  });
});

describe('silence within a passed answer', () => {
  it('a server that is silent within a passed answer is given up after --read-timeout', async () => {
    const { send, clock } = await rigFor(
      (_request, response) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hi\n\n'),
      { readTimeoutMs: 5_000 },
    );
    const { reply, received } = send(call);
    await comesTrue(() => received.text === ': hi\n\n', 'the first byte');
    await clock.advance(5_000);
    expect(await errorOf(reply)).toMatchObject({ reason: 'timeout', sent: 'maybe' });
  });

  it('a server may be silent for ever on a passed subscription', async () => {
    const { send, clock } = await rigFor(
      (_request, response) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hi\n\n'),
      { readTimeoutMs: 5_000 },
    );
    const { received, reply, cancel } = send(requestOf('subscriptions/listen', {}, 'listen:0'));
    await comesTrue(() => received.text !== '', 'the first byte');
    await clock.advance(50_000);
    cancel();
    await expect(reply).rejects.toBe(CANCELLED);
  });
});

describe('GET and DELETE', () => {
  const bare = (passages: PassThrough, method: 'GET' | 'DELETE', emit = async () => undefined) => {
    const received = new Received();
    const controller = new AbortController();
    const reply = passages.forward({
      method,
      headers: { 'mcp-session-id': 'mine', accept: 'text/event-stream', 'last-event-id': '4' },
      profile: '',
      signal: controller.signal,
      pass: received.pass,
      emit,
    });
    reply.catch(() => undefined);
    return { reply, received, leave: () => controller.abort(CANCELLED) };
  };

  it("a GET or DELETE of pass-through is signed, without a body, with its client's headers", async () => {
    const { passages, server } = await rigFor(say(405, { allow: 'POST' }, 'no'));
    for (const method of ['GET', 'DELETE'] as const) {
      const { reply, received } = bare(passages, method);
      await reply;
      expect([received.status, received.text]).toEqual([405, 'no']);
      expect(received.heads[0]?.headers.allow).toBe('POST');
    }
    expect(server.requests.map(({ method, text }) => [method, text])).toEqual([
      ['GET', ''],
      ['DELETE', ''],
    ]);
    for (const { headers } of server.requests) {
      expect(headers).toMatchObject({ 'mcp-session-id': 'mine', 'last-event-id': '4' });
      expect(headers.authorization).toMatch(/^AWS4-HMAC-SHA256 /);
    }
  });

  it('a passed GET stream lasts until its client leaves, beside the connections of requests', async () => {
    const closed = makeGate();
    const { passages, send, server } = await rigFor((request, response) => {
      if (request.method === 'POST') return void response.writeHead(200, JSON_TYPE).end(DONE);
      response.on('close', closed.open);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${DONE}\n\n`);
    });
    const { reply, received, leave } = bare(passages, 'GET');
    await comesTrue(() => received.text === `data: ${DONE}\n\n`, 'the event');
    await send(call).reply;
    expect(server.connections.open).toBe(2);
    leave();
    await expect(reply).rejects.toBe(CANCELLED);
    await closed.opened;
  });
});
