import { describe, expect, it } from 'vitest';
import { eventsOf, open } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';

const COMMENT = ': keepalive\n\n';
const EVENTS = { accept: 'text/event-stream' };
const call = (id: unknown, meta: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'any', _meta: meta },
});

/** The body of a stream as it grows. */
async function reading(url: string, question: Parameters<typeof open>[1]) {
  const { response } = await open(url, question);
  const state = { text: '', headers: response.headers, ended: false };
  response.on('data', (chunk) => {
    state.text += chunk;
  });
  response.on('end', () => {
    state.ended = true;
  });
  return state;
}

const count = (text: string): number => text.split(COMMENT).length - 1;

describe('--sse-keepalive', () => {
  it("--sse-keepalive sends a comment right after the head of a POST's response, and while the server is silent", async () => {
    const gate = makeGate();
    const { url } = await startListening({
      args: ['--sse-keepalive', '0.05'],
      behaviour: async (_request, response) => {
        const events = new EventWriter(response);
        await gate.opened;
        events.send({ jsonrpc: '2.0', id: 0, result: {} });
        events.end();
      },
    });
    const stream = await reading(url, { body: call(0) });
    await expect.poll(() => count(stream.text)).toBeGreaterThan(3);
    expect(stream.headers['x-accel-buffering']).toBe('no');
    gate.open();
    await expect.poll(() => stream.ended).toBe(true);
    expect(stream.text.replaceAll(COMMENT, '')).toBe(
      'event: message\ndata: {"jsonrpc":"2.0","id":0,"result":{}}\n\n',
    );
  });

  it('--sse-keepalive sends comments on the standalone stream of a session', async () => {
    const { url, ask, mcp } = await startListening({ args: ['--sse-keepalive', '0.05'] });
    const headers = await openSession(ask);
    const stream = await reading(url, { method: 'GET', headers: { ...headers, ...EVENTS } });
    await expect.poll(() => count(stream.text)).toBeGreaterThan(3);
    mcp.broadcast({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }, '4');
    await expect.poll(() => stream.text).toContain('id: 4\n');
  });

  it('--sse-keepalive never splits an event of the server', async () => {
    const [half, rest] = [makeGate(), makeGate()];
    const { url } = await startListening({
      args: ['--sse-keepalive', '0.05'],
      behaviour: async (request, response) => {
        const events = new EventWriter(response);
        if (request.method === 'GET') {
          // While this stream sends its comments, the other one is silent.
          return;
        }
        events.raw('id: 1\r\n');
        await half.opened;
        events.raw('data: {"jsonrpc":"2.0","id":0,\r\n');
        await rest.opened;
        events.raw('data: "result":{}}\r\n\r\n');
      },
    });
    const beside = await reading(url, { method: 'GET', headers: EVENTS });
    const stream = await reading(url, { body: call(0) });
    const later = async (): Promise<void> => {
      const before = count(beside.text);
      await expect.poll(() => count(beside.text)).toBeGreaterThan(before + 3);
    };
    await expect.poll(() => stream.text).toContain('id: 1\r\n');
    const comments = count(stream.text);
    await later();
    half.open();
    await expect.poll(() => stream.text).toContain('"id":0');
    await later();
    expect(count(stream.text)).toBe(comments);
    rest.open();
    await expect.poll(() => count(stream.text)).toBeGreaterThan(comments + 1);
    expect(stream.text).toContain('id: 1\r\ndata: {"jsonrpc":"2.0","id":0,\r\ndata: "result":{}}\r\n\r\n');
  });

  it('--sse-keepalive 0 adds nothing', async () => {
    const sent = '\uFEFFdata: {"jsonrpc":"2.0","id":0,"result":{}}\n\n';
    const { ask } = await startListening({
      args: ['--sse-keepalive', '0'],
      behaviour: (_request, response) => {
        const events = new EventWriter(response);
        events.raw(sent);
        events.end();
      },
    });
    expect((await ask({ body: call(0) })).text).toBe(sent);
  });
});

describe('--progress-heartbeat at the listener', () => {
  const ARGS = ['--progress-heartbeat', '0.05', '--sse-keepalive', '0'];
  const ERAS = {
    'of the session revisions': {},
    'of 2026-07-28': { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' },
  } as const;
  const progresses = (text: string) =>
    eventsOf(text)
      .filter(({ method }) => method === 'notifications/progress')
      .map(({ params }) => params as { progressToken: unknown; progress: number; message: string });

  const increases = (values: readonly number[]): boolean =>
    values.every((value, at) => at === 0 || value > (values[at - 1] ?? Number.NaN));

  describe.each(Object.entries(ERAS))('--progress-heartbeat and a request %s', (_era, meta) => {
    it.each([0, '', -1])(
      '--progress-heartbeat notifies progress of token %j while the server sends nothing at all',
      async (token) => {
        const gate = makeGate();
        const { url } = await startListening({
          args: ARGS,
          behaviour: async (request, response) => {
            await gate.opened;
            sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: { f: 1 } });
          },
        });
        const stream = await reading(url, { body: call('', { ...meta, progressToken: token }) });
        await expect.poll(() => progresses(stream.text).length).toBeGreaterThan(2);
        gate.open();
        await expect.poll(() => stream.ended).toBe(true);
        const received = progresses(stream.text);
        expect(received.every(({ progressToken }) => progressToken === token)).toBe(true);
        expect(increases(received.map(({ progress }) => progress))).toBe(true);
        expect(eventsOf(stream.text).at(-1)).toEqual({ jsonrpc: '2.0', id: '', result: { f: 1 } });
      },
    );

    it("--progress-heartbeat notifies on a silent server's stream until the first progress of the server", async () => {
      const [first, end, beside] = [makeGate(), makeGate(), makeGate()];
      const { url } = await startListening({
        args: ARGS,
        behaviour: async (request, response) => {
          const { id } = request.rpc;
          if (id === 'beside') {
            await beside.opened;
            return sendJson(response, 200, { jsonrpc: '2.0', id, result: {} });
          }
          const events = new EventWriter(response);
          events.prime('1');
          await first.opened;
          events.send({
            jsonrpc: '2.0',
            method: 'notifications/progress',
            params: { progressToken: 't', progress: 0 },
          });
          await end.opened;
          events.send({ jsonrpc: '2.0', id, result: {} }, '2');
          events.end();
        },
      });
      const stream = await reading(url, { body: call(0, { ...meta, progressToken: 't' }) });
      await expect.poll(() => progresses(stream.text).length).toBeGreaterThan(2);
      first.open();
      await expect.poll(() => progresses(stream.text).at(-1)?.progress).toBe(0);
      const before = progresses(stream.text);
      // Another call's heartbeats show that time has passed.
      const other = await reading(url, { body: call('beside', { ...meta, progressToken: 0 }) });
      await expect.poll(() => progresses(other.text).length).toBeGreaterThan(3);
      expect(progresses(stream.text)).toEqual(before);
      expect(increases(before.map(({ progress }) => progress))).toBe(true);
      end.open();
      beside.open();
      await expect.poll(() => stream.ended).toBe(true);
      expect(stream.text).toContain('id: 1\ndata:\n\n');
      expect(stream.text).toContain('id: 2\nevent: message\n');
    });

    it('--progress-heartbeat notifies nothing after the response, even if the server leaves the stream open', async () => {
      const gate = makeGate();
      const { url } = await startListening({
        args: ARGS,
        behaviour: async (request, response) => {
          const { id } = request.rpc;
          if (id === 'beside') {
            await gate.opened;
            return sendJson(response, 200, { jsonrpc: '2.0', id, result: {} });
          }
          new EventWriter(response).send({
            jsonrpc: '2.0',
            id,
            result: { 'notifications/method': '"method"' },
          });
        },
      });
      const stream = await reading(url, { body: call(0, { ...meta, progressToken: 0 }) });
      const other = await reading(url, { body: call('beside', { ...meta, progressToken: 0 }) });
      await expect.poll(() => progresses(other.text).length).toBeGreaterThan(3);
      expect(eventsOf(stream.text).at(-1)).toMatchObject({ id: 0 });
      gate.open();
    });
  });

  it('--progress-heartbeat adds nothing to a call without a progress token, nor for a JSON-only client', async () => {
    const gate = makeGate();
    const { url, ask } = await startListening({
      args: ARGS,
      behaviour: async (request, response) => {
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
    });
    const plain = ask({ body: call(0) });
    const json = ask({ headers: { accept: 'application/json' }, body: call(0, { progressToken: 0 }) });
    const other = await reading(url, { body: call('beside', { progressToken: 0 }) });
    await expect.poll(() => progresses(other.text).length).toBeGreaterThan(3);
    gate.open();
    for (const { headers, json: got } of await Promise.all([plain, json])) {
      expect([headers['content-type'], got]).toEqual([
        'application/json',
        { jsonrpc: '2.0', id: 0, result: {} },
      ]);
    }
  });

  it('--progress-heartbeat makes a later error an event, since the status has already been sent', async () => {
    const gate = makeGate();
    const { url } = await startListening({
      args: [...ARGS, '--retries', '0'],
      behaviour: async (_request, response) => {
        await gate.opened;
        response.writeHead(500).end('broken');
      },
    });
    const stream = await reading(url, { body: call(-1, { progressToken: 0 }) });
    await expect.poll(() => progresses(stream.text).length).toBeGreaterThan(0);
    gate.open();
    await expect.poll(() => stream.ended).toBe(true);
    expect(eventsOf(stream.text).at(-1)).toMatchObject({ id: -1, error: { data: { httpStatus: 500 } } });
  });
});
