import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { eventsOf, open, send, textOf } from '../support/http-client.ts';
import { startListening } from '../support/listening.ts';
import { EventWriter, type Rpc, sendJson } from '../support/mcp-answers.ts';

const call = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'any' } });
const progress = {
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken: 1, progress: 1 },
};

/** One response of the server to one call, as the listener's client receives it. */
async function answered(id: unknown, answer: (response: ServerResponse, rpc: Rpc) => void) {
  const { url, server } = await startListening({
    behaviour: ({ rpc }, response) => answer(response, rpc),
  });
  const got = await send(url, { headers: { 'mcp-session-id': 'of-the-client' }, body: call(id) });
  expect(server.requests).toHaveLength(1);
  return { ...got, events: eventsOf(got.text) };
}

function compressed(response: ServerResponse, type: string, text: string): void {
  response.writeHead(200, { 'content-type': type, 'content-encoding': 'gzip' });
  response.end(gzipSync(text));
}

const written = (response: ServerResponse, ...messages: Rpc[]): void => {
  const events = new EventWriter(response);
  for (const message of messages) events.send(message);
  events.end();
};

describe('a compressed response that the listener did not request', () => {
  it('a compressed JSON response at the listener is checked like an uncompressed one', async () => {
    const { status, headers, json } = await answered('', (response) =>
      compressed(response, 'application/json', '{"error":"Session store is down"}'),
    );
    expect([status, headers['content-encoding']]).toEqual([502, undefined]);
    expect(json).toMatchObject({ id: '', error: { message: expect.stringContaining('store is down') } });
  });

  it('a compressed event stream at the listener is checked like an uncompressed one', async () => {
    const { headers, events } = await answered(-1, (response, { id }) =>
      compressed(
        response,
        'text/event-stream',
        [progress, { jsonrpc: '2.0', id, error: 'broken' }]
          .map((message) => `data: ${JSON.stringify(message)}\n\n`)
          .join(''),
      ),
    );
    expect(headers['content-encoding']).toBeUndefined();
    expect(events).toMatchObject([progress, { id: -1, error: { data: { reason: 'unusable-answer' } } }]);
  });
});

describe('the event stream of a call at the listener', () => {
  it("the only response in a call's stream at the listener answers the request, whatever its id is", async () => {
    const { events } = await answered(0, (response) =>
      written(response, progress, { jsonrpc: '2.0', id: 'other', result: { n: 1 } }),
    );
    expect(events).toEqual([progress, { jsonrpc: '2.0', id: 0, result: { n: 1 } }]);
  });

  it("several responses under other ids in a call's stream at the listener become an error", async () => {
    const { events } = await answered(0, (response) =>
      written(response, { jsonrpc: '2.0', id: 'a', result: {} }, { jsonrpc: '2.0', id: 'b', result: {} }),
    );
    expect(events).toMatchObject([
      { id: 0, error: { data: { reason: 'connection-lost', mayHaveRun: true } } },
    ]);
  });

  it.each([0, '', -1])(
    "a call's stream at the listener that ends without the response ends with an error under its id %j",
    async (id) => {
      const { events } = await answered(id, (response) => written(response, progress));
      expect(events).toMatchObject([progress, { id, error: { data: { reason: 'connection-lost' } } }]);
    },
  );

  it("a call's stream at the listener that breaks off ends with an error", async () => {
    const { events } = await answered(0, (response) => {
      new EventWriter(response).send(progress);
      setImmediate(() => response.destroy());
    });
    expect(events).toMatchObject([progress, { id: 0, error: { data: { reason: 'connection-lost' } } }]);
  });

  it("a call's stream at the listener that breaks after an event with an id breaks for its client too", async () => {
    const { url } = await startListening({
      behaviour: (_request, response) => {
        new EventWriter(response).send(progress, 'event-1');
        setImmediate(() => response.destroy());
      },
    });
    const { response } = await open(url, { body: call(0) });
    await expect(textOf(response)).rejects.toThrow('aborted');
  });

  it("a call's stream at the listener emits nothing after its response", async () => {
    const answer = { jsonrpc: '2.0', id: 0, result: {} };
    expect((await answered(0, (response) => written(response, answer))).events).toEqual([answer]);
  });

  it('a JSON body at the listener with several responses, all for other requests, is refused', async () => {
    const { status, json } = await answered(0, (response) =>
      sendJson(response, 200, [
        { jsonrpc: '2.0', id: 8, result: {} },
        { jsonrpc: '2.0', id: 9, result: {} },
      ]),
    );
    expect(status).toBe(502);
    expect(json).toMatchObject({ id: 0, error: { data: { reason: 'unusable-answer' } } });
  });
});

describe('an answer without a JSON-RPC message at the listener', () => {
  it.each(['text/html', 'text/plain', 'application/octet-stream'])(
    'a response of type %s at the listener becomes an error that shows its text',
    async (type) => {
      const { status, json } = await answered(
        0,
        (response) =>
          void response.writeHead(200, { 'content-type': type }).end('<title>Sign in here</title>'),
      );
      expect(status).toBe(502);
      expect(json).toMatchObject({ id: 0, error: { data: { reason: 'unusable-answer', mayHaveRun: true } } });
      expect((json.error as Rpc).message).toContain('Sign in here');
    },
  );

  it.each(['data: hello\n\n', 'id: 7\ndata: hello\n\n', 'event: message\ndata: {"a":\n\n'])(
    'an event that is not JSON does not reach a listener client: %j',
    async (event) => {
      const { text, events } = await answered('', (response, { id }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`${event}data: ${JSON.stringify({ jsonrpc: '2.0', id, result: {} })}\n\n`);
      });
      expect(text).not.toContain('hello');
      expect(events).toEqual([{ jsonrpc: '2.0', id: '', result: {} }]);
    },
  );

  it('a result of null at the listener becomes an empty result, which clients accept', async () => {
    const { json } = await answered(-1, (response, { id }) =>
      sendJson(response, 200, { jsonrpc: '2.0', id, result: null }),
    );
    expect(json).toEqual({ jsonrpc: '2.0', id: -1, result: {} });
  });
});
