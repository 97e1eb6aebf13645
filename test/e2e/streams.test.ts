import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { EventWriter, type Rpc, sendJson } from '../support/mcp-answers.ts';
import { errorOf } from '../support/mcp-behaviours.ts';
import { startInitialized } from '../support/relayed.ts';

const passing = (data: string) => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
});

const answerTo = (id: unknown) => ({ jsonrpc: '2.0', id, result: { content: [] } });

interface Resumption {
  readonly response: ServerResponse;
  /** The Last-Event-ID. */
  readonly last: string;
  /** Starts at 1. */
  readonly at: number;
}

/** A call's stream as `begin` writes it, and what each GET with Last-Event-ID then returns. */
async function startResumed(
  begin: (events: EventWriter, id: unknown) => void,
  resume: (asked: Resumption) => void,
) {
  const lasts: string[] = [];
  const relayed = await startInitialized({
    on: {
      'tools/call': (request, response) => {
        begin(new EventWriter(response), request.rpc.id);
      },
      GET: (request, response, context) => {
        const last = request.headers['last-event-id'];
        if (typeof last !== 'string') return context.fallback();
        lasts.push(last);
        return resume({ response, last, at: lasts.length });
      },
    },
  });
  return { ...relayed, lasts };
}

/** Ends a stream with this message. */
function finish(response: ServerResponse, message: Rpc, eventId?: string): void {
  const events = new EventWriter(response);
  events.send(message, eventId);
  events.end();
}

/** An event with an id and a retry time only, then a clean end. */
function poll(events: EventWriter, eventId: string, retryMs?: number): void {
  events.prime(eventId, retryMs);
  events.end();
}

describe("a call's stream that ends before its response", () => {
  it.each<[string, (events: EventWriter) => void]>([
    ['is closed in order', (events) => events.end()],
    ['breaks', (events) => events.destroy()],
  ])("a call's stream that %s is resumed after the server's retry time, not sooner", async (_how, end) => {
    let ended = 0;
    let resumed = 0;
    const { server, bin, lasts } = await startResumed(
      (events) => {
        events.prime('first', 700);
        setImmediate(() => {
          ended = performance.now();
          end(events);
        });
      },
      ({ response }) => {
        resumed = performance.now();
        finish(response, answerTo(0), 'second');
      },
    );
    expect(await bin.request('tools/call', { name: 'x' }, 0)).toEqual(answerTo(0));
    // A timer may be a millisecond early.
    expect(resumed - ended).toBeGreaterThanOrEqual(690);
    expect(lasts).toEqual(['first']);
    expect(server.of('tools/call')).toHaveLength(1);
    const [standalone, resume] = server.of('GET');
    expect(resume?.headers['mcp-session-id']).toBe(standalone?.headers['mcp-session-id']);
    expect(resume?.headers['mcp-protocol-version']).toBe('2025-11-25');
    expect(resume?.verification?.ok).toBe(true);
  });

  it("a call's stream is resumed from the last id, also that of an event without data, as often as necessary", async () => {
    const { server, bin, lasts } = await startResumed(
      (events) => {
        events.raw('retry: 1\n\n');
        events.send(passing('one'), 'a');
        poll(events, 'b');
      },
      ({ response, at }) => {
        if (at < 4) poll(new EventWriter(response), `b${at}`);
        else finish(response, answerTo(''), 'c');
      },
    );
    expect(await bin.request('tools/call', { name: 'x' }, '')).toEqual(answerTo(''));
    expect(lasts).toEqual(['b', 'b1', 'b2', 'b3']);
    expect(server.of('tools/call')).toHaveLength(1);
    expect(bin.messages.filter(({ method }) => method === 'notifications/message')).toEqual([passing('one')]);
  });

  it("a call's stream is resumed for as long as the server ends it cleanly with a retry time", async () => {
    const { bin, lasts } = await startResumed(
      (events) => poll(events, 'a', 1),
      ({ response, at }) => {
        if (at < 15) new EventWriter(response).end();
        else finish(response, answerTo(-1));
      },
    );
    expect(await bin.request('tools/call', { name: 'x' }, -1)).toEqual(answerTo(-1));
    expect(lasts).toEqual(Array(15).fill('a'));
  });

  it("a call's stream is given up when repeated resumptions break without an event", async () => {
    const { bin, lasts } = await startResumed(
      (events) => poll(events, 'a', 1),
      ({ response }) => {
        const events = new EventWriter(response);
        setImmediate(() => events.destroy());
      },
    );
    expect((await bin.request('tools/call', { name: 'x' }, 0)).error).toMatchObject({
      code: -31002,
      data: { reason: 'connection-lost', mayHaveRun: true },
    });
    expect(lasts).toEqual(Array(9).fill('a'));
  });

  it("a call's stream is resumed from an id in any script, sent as UTF-8", async () => {
    const { bin, lasts } = await startResumed(
      (events) => {
        events.prime('é€ 1', 1);
        // A control character cannot be in a header: this id counts as missing.
        poll(events, 'after\u0001it');
      },
      ({ response }) => finish(response, answerTo(0)),
    );
    expect(await bin.request('tools/call', { name: 'x' }, 0)).toEqual(answerTo(0));
    expect(lasts.map((last) => Buffer.from(last, 'latin1').toString())).toEqual(['é€ 1']);
  });

  it('a response that a resumed stream repeats is emitted once', async () => {
    const { bin } = await startResumed(
      (events) => poll(events, 'a', 1),
      ({ response }) => {
        new EventWriter(response).send(answerTo(-1), 'b');
        finish(response, answerTo(-1), 'c');
      },
    );
    await bin.request('tools/call', { name: 'x' }, -1);
    await bin.request('ping', {}, 'after');
    expect(bin.messages.filter(({ id }) => id === -1)).toEqual([answerTo(-1)]);
  });

  it.each([405, 404, 409, 400])(
    "a call's stream whose resumption is refused with %i returns an error at once",
    async (status) => {
      const { server, bin, lasts } = await startResumed(
        (events) => poll(events, 'a', 1),
        ({ response }) => sendJson(response, status, errorOf(null, -32000, 'no')),
      );
      expect((await bin.request('tools/call', { name: 'x' }, 0)).error).toEqual({
        code: -31002,
        message: `The connection to 127.0.0.1:${server.port} broke before the answer was complete: the stream ended without the answer, and the server did not resume it (HTTP ${status}). The call may have run; check before you repeat it.`,
        data: { source: 'mcp-sigv4-proxy', reason: 'connection-lost', mayHaveRun: true },
      });
      expect(lasts).toEqual(['a']);
      expect(server.of('tools/call')).toHaveLength(1);
      expect(await bin.request('ping', {}, '')).toMatchObject({ result: {} });
    },
  );

  it("a call's stream whose resumption gets 500 and 503 is resumed again", async () => {
    const { bin, lasts } = await startResumed(
      (events) => poll(events, 'a', 5),
      ({ response, at }) => {
        if (at < 3) response.writeHead(at === 1 ? 500 : 503).end();
        else finish(response, answerTo(0));
      },
    );
    expect(await bin.request('tools/call', { name: 'x' }, 0)).toEqual(answerTo(0));
    expect(lasts).toEqual(['a', 'a', 'a']);
  });

  it('a call that is cancelled while its stream waits is not resumed, and the client gets nothing more', async () => {
    const { server, bin, lasts } = await startResumed(
      (events, id) => {
        events.send(passing('soon over'), `of-${id}`);
        poll(events, `of-${id}`, 300);
      },
      ({ response }) => finish(response, answerTo('')),
    );
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    await bin.next(({ method }) => method === 'notifications/message');
    bin.notify('notifications/cancelled', { requestId: 0 });
    await server.until(() => server.of('notifications/cancelled').length === 1);
    // This call began to wait later, so the first one would have resumed before it.
    expect(await bin.request('tools/call', { name: 'x' }, '')).toEqual(answerTo(''));
    expect(lasts).toEqual(['of-']);
    expect(bin.messages.filter(({ id }) => id === 0)).toEqual([]);
  });

  it("a call's stream without any event id returns an error at once and is not resumed", async () => {
    const { bin, lasts } = await startResumed(
      (events) => finish(events.response, passing('one')),
      () => undefined,
    );
    expect((await bin.request('tools/call', { name: 'x' }, '')).error).toMatchObject({
      code: -31002,
      message: expect.stringContaining('the stream ended without the answer'),
      data: { reason: 'connection-lost', mayHaveRun: true },
    });
    expect(lasts).toEqual([]);
  });
});
