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

/** One answer of the server to one call, as the client of the listener gets it. */
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

describe('a compressed answer, which the listener has not asked for', () => {
  it('is checked like any other: JSON', async () => {
    const { status, headers, json } = await answered('', (response) =>
      compressed(response, 'application/json', '{"error":"Session store is down"}'),
    );
    expect([status, headers['content-encoding']]).toEqual([502, undefined]);
    expect(json).toMatchObject({ id: '', error: { message: expect.stringContaining('store is down') } });
  });

  it('is checked like any other: an event stream', async () => {
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

describe('the stream of a call at the listener', () => {
  it('gives the only response to the request, whatever its id is', async () => {
    const { events } = await answered(0, (response) =>
      written(response, progress, { jsonrpc: '2.0', id: 'other', result: { n: 1 } }),
    );
    expect(events).toEqual([progress, { jsonrpc: '2.0', id: 0, result: { n: 1 } }]);
  });

  it('gives none of several under other ids, but an error', async () => {
    const { events } = await answered(0, (response) =>
      written(response, { jsonrpc: '2.0', id: 'a', result: {} }, { jsonrpc: '2.0', id: 'b', result: {} }),
    );
    expect(events).toMatchObject([
      { id: 0, error: { data: { reason: 'connection-lost', mayHaveRun: true } } },
    ]);
  });

  it.each([0, '', -1])('that ends without the answer ends with an error under its id %j', async (id) => {
    const { events } = await answered(id, (response) => written(response, progress));
    expect(events).toMatchObject([progress, { id, error: { data: { reason: 'connection-lost' } } }]);
  });

  it('that breaks off ends with an error', async () => {
    const { events } = await answered(0, (response) => {
      new EventWriter(response).send(progress);
      setImmediate(() => response.destroy());
    });
    expect(events).toMatchObject([progress, { id: 0, error: { data: { reason: 'connection-lost' } } }]);
  });

  it('that breaks off after an event with an id breaks off for its client, which can resume it', async () => {
    const { url } = await startListening({
      behaviour: (_request, response) => {
        new EventWriter(response).send(progress, 'event-1');
        setImmediate(() => response.destroy());
      },
    });
    const { response } = await open(url, { body: call(0) });
    await expect(textOf(response)).rejects.toThrow('aborted');
  });

  it('that ends after the answer gets nothing more', async () => {
    const answer = { jsonrpc: '2.0', id: 0, result: {} };
    expect((await answered(0, (response) => written(response, answer))).events).toEqual([answer]);
  });

  it('is refused where a JSON body has several responses, none of them to the request', async () => {
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
