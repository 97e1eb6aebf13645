import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Id, Message, Request } from '../../../src/core/jsonrpc/message.ts';
import type { Emit, Reply } from '../../../src/core/pipeline/call.ts';
import { Exchange } from '../../../src/upstream/exchange/exchange.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { requestOf } from '../../support/make-call.ts';
import { EventWriter, sendJson } from '../../support/mcp-answers.ts';
import { errorOf } from '../../support/mcp-behaviours.ts';
import { type RecordedRequest, ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, settled } from '../http/connection-rig.ts';
import { transportTo } from '../transport/transport-rig.ts';

type Script = (response: ServerResponse, request: RecordedRequest) => void;

const resultOf = (id: Id): string => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`;
const PROGRESS =
  '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}';

/** One POST for the given requests to a server that answers as the script says. */
async function exchanging(
  script: Script,
  { ids = [0] as readonly Id[], inSession = true, occupied = false } = {},
) {
  const server = await ScriptedServer.start((request, response) => script(response, request), {
    keepAliveTimeoutMs: 0,
  });
  const clock = new FakeClock({ now: Date.now() });
  const { transport, lanes, events, dropped } = transportTo(server, { clock });
  if (occupied) lanes.request.tryLease();
  const emitted: Message[] = [];
  const elsewhere: string[] = [];
  const emit: Emit = async (message) => void emitted.push(message);
  const exchange = new Exchange(
    {
      transport,
      clock,
      events,
      origin: { profile: '', gone: new Promise(() => undefined) },
      affinity: undefined,
      resumes: true,
      readTimeoutMs: 0,
      deliverElsewhere: ({ id }) => elsewhere.push(JSON.stringify(id)) > 0 && id === 'elsewhere',
      onReadTimeout: () => undefined,
    },
    { emit },
  );
  const requests = ids.map((id) => requestOf('tools/call', { name: 'x' }, id) as Request);
  const replies = requests.map((request) => exchange.expect(request));
  for (const reply of replies) reply.catch(() => undefined);
  const run = exchange.run({
    method: 'POST',
    lane: 'request',
    headers: {
      accept: 'application/json, text/event-stream',
      ...(inSession ? { 'mcp-session-id': 's-1' } : {}),
    },
    body: `[${requests.map(({ text }) => text).join(',')}]`,
    idempotent: false,
  });
  const texts = async (): Promise<string[]> =>
    (await Promise.all(replies)).map((reply) => (reply.kind === 'answer' ? reply.message.text : reply.kind));
  return { server, clock, lanes, exchange, requests, replies, run, texts, emitted, dropped, elsewhere };
}

const failureOf = (reply: Promise<Reply> | undefined): Promise<unknown> =>
  (reply ?? Promise.reject(new Error('no reply'))).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a body of JSON', () => {
  it('a JSON body answers every request of a batch, in any order, and its other messages are passed on', async () => {
    const ids = [0, '0', '', -1];
    const { texts, run, emitted, dropped, elsewhere } = await exchanging(
      (response) =>
        sendJson(
          response,
          200,
          `[${[...ids].reverse().map(resultOf).join(',')},${PROGRESS},${resultOf('elsewhere')},${resultOf(7)}]`,
        ),
      { ids },
    );
    expect(await texts()).toEqual(ids.map(resultOf));
    await run;
    expect(emitted.map(({ text }) => text)).toEqual([PROGRESS]);
    expect(elsewhere).toEqual(['"elsewhere"', '7']);
    expect(dropped()).toMatchObject([{ reason: 'an answer to no request that is waiting' }]);
  });

  it('a JSON body that answers some requests of a batch fails the others', async () => {
    const { replies } = await exchanging((response) => sendJson(response, 200, resultOf('')), {
      ids: ['', 0],
    });
    expect(await replies[0]).toMatchObject({ kind: 'answer' });
    expect(await failureOf(replies[1])).toMatchObject({
      reason: 'unusable-answer',
      message: expect.stringContaining('does not answer the request'),
    });
  });

  it('a JSON body with an error without an id answers every request of a batch', async () => {
    const { texts } = await exchanging(
      (response) => sendJson(response, 200, '{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}'),
      { ids: [0, ''] },
    );
    expect(await texts()).toEqual(
      ['0', '""'].map((id) => `{"id":${id},"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}`),
    );
  });
});

describe('a non-2xx answer', () => {
  it('a JSON-RPC error in a non-2xx answer answers what was posted, whatever its id', async () => {
    const { texts } = await exchanging((response) => sendJson(response, 400, errorOf('x', -32602, 'bad')), {
      ids: [-1],
    });
    expect(await texts()).toEqual(['{"jsonrpc":"2.0","id":-1,"error":{"code":-32602,"message":"bad"}}']);
  });

  it.each([
    [true, 'session-lost'],
    [false, 'http-status'],
  ])(
    'a non-2xx answer is a lost session only if it was sent in one: in a session %s -> %s',
    async (inSession, reason) => {
      const { replies } = await exchanging((response) => void response.writeHead(404).end(), { inSession });
      expect(await failureOf(replies[0])).toMatchObject({ reason, sent: 'refused' });
    },
  );
});

describe('an event stream', () => {
  it('an event stream emits messages before its answer in order, and drops late answers to no request', async () => {
    const { texts, emitted, exchange, requests, replies, run, dropped } = await exchanging(
      (response) => {
        const events = new EventWriter(response);
        events.send(PROGRESS);
        events.send(resultOf(0));
        events.send(resultOf('gone'));
        events.end();
      },
      { ids: [0, 'gone'] },
    );
    exchange.abandon(requests[1] as Request, new Error('cancelled'));
    await failureOf(replies[1]);
    await run;
    expect((await texts().catch(() => [])).length + emitted.length).toBe(1);
    expect(await replies[0]).toMatchObject({ kind: 'answer' });
    expect(dropped()).toMatchObject([{ reason: 'a late answer to a request that was cancelled' }]);
  });

  it('an event stream without ids that breaks off is an error that the call may have run', async () => {
    const { replies } = await exchanging((response) => {
      const events = new EventWriter(response);
      events.raw(': hello\n\n');
      setImmediate(() => events.destroy());
    });
    expect(await failureOf(replies[0])).toMatchObject({ reason: 'connection-lost', sent: 'maybe' });
  });
});

describe('an abandoned request', () => {
  it('an abandoned request does not end the exchange while another of its batch waits', async () => {
    let response: ServerResponse | undefined;
    const { server, exchange, requests, replies, lanes, clock } = await exchanging(
      (held) => {
        response = held;
      },
      { ids: [0, ''] },
    );
    await server.until(() => response !== undefined);
    exchange.abandon(requests[0] as Request, new Error('cancelled'));
    exchange.endIfIdle(new Error('cancelled'));
    await clock.advance(10_000);
    expect(lanes.request.active).toBe(1);
    if (response) sendJson(response, 200, resultOf(''));
    expect(await replies[1]).toMatchObject({ kind: 'answer' });
  });

  it('a request abandoned before it has a connection did not run, and is never sent', async () => {
    const { server, exchange, requests, replies, run } = await exchanging(() => undefined, {
      occupied: true,
    });
    exchange.abandon(
      requests[0] as Request,
      new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'did not run' }),
    );
    expect(await failureOf(replies[0])).toMatchObject({ message: 'did not run', sent: 'no' });
    await run;
    expect(server.requests).toHaveLength(0);
  });

  it('an abandoned request keeps its connection for a second, so that the cancellation arrives first', async () => {
    const { server, exchange, requests, lanes, clock, run } = await exchanging(() => undefined);
    await server.until(() => server.requests.length === 1);
    exchange.abandon(requests[0] as Request, new Error('cancelled'));
    expect(lanes.request.active).toBe(0);
    expect(await settled(run)).toBe(false);
    await clock.advance(1_000);
    await run;
    await comesTrue(() => server.requests[0]?.socket.destroyed === true, 'cut');
    expect(clock.timers).toBe(0);
  });
});
