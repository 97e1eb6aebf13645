import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { type LostForm, sendLost } from '../support/faults.ts';
import { EventWriter } from '../support/mcp-answers.ts';
import { startInitialized } from '../support/relayed.ts';

type Turn = (response: ServerResponse) => void;

/** The standalone stream as a script, one step for each GET; after the last step it stays open. */
async function startStreaming(...turns: readonly Turn[]) {
  let at = 0;
  const relayed = await startInitialized({
    on: {
      GET: (_request, response) => {
        const turn = turns[at++];
        if (turn) turn(response);
        else new EventWriter(response);
      },
    },
  });
  const gets = (count: number): Promise<void> =>
    relayed.server.until(() => relayed.server.of('GET').length === count);
  const lastIds = (): unknown[] => relayed.server.of('GET').map(({ headers }) => headers['last-event-id']);
  return { ...relayed, gets, lastIds };
}

const notice = (data: string) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { data } });

const closing =
  (eventId: string, retryMs: number): Turn =>
  (response) => {
    const events = new EventWriter(response);
    events.prime(eventId, retryMs);
    events.end();
  };

const status =
  (code: number): Turn =>
  (response) =>
    void response.writeHead(code).end();

describe('the standalone stream', () => {
  it("the standalone stream is reopened after the server's retry time with Last-Event-ID, after a clean end or a cut", async () => {
    let ended = 0;
    let cameBack = 0;
    const { server, bin, gets, lastIds } = await startStreaming(
      (response) => {
        ended = performance.now();
        closing('a', 500)(response);
      },
      (response) => {
        cameBack = performance.now();
        const events = new EventWriter(response);
        events.send(notice('one'), 'b');
        events.raw('retry: 1\n\n');
        setImmediate(() => events.destroy());
      },
      (response) => new EventWriter(response).send(notice('two'), 'c'),
    );
    await gets(3);
    // A timer may be a millisecond early.
    expect(cameBack - ended).toBeGreaterThanOrEqual(490);
    await bin.next(({ params }) => JSON.stringify(params) === '{"data":"two"}');
    expect(lastIds()).toEqual([undefined, 'a', 'b']);
    expect(bin.messages.filter(({ method }) => method === 'notifications/message')).toEqual([
      notice('one'),
      notice('two'),
    ]);
    expect(server.of('initialize')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('the standalone stream is reopened after 5xx responses and connection resets', async () => {
    const { bin, gets, lastIds } = await startStreaming(
      closing('a', 1),
      status(503),
      (response) => void response.destroy(),
      (response) => new EventWriter(response).send(notice('well again')),
    );
    await gets(4);
    await bin.next(({ method }) => method === 'notifications/message');
    expect(lastIds()).toEqual([undefined, 'a', 'a', 'a']);
  });

  it("the standalone stream is reopened with growing waits, not at the server's retry time, while GET fails", async () => {
    const { server, bin, gets } = await startStreaming(
      closing('a', 0),
      ...Array.from({ length: 100 }, () => status(503)),
    );
    await gets(2);
    await bin.request('tools/call', { name: 'sleep', arguments: { ms: 1_000 } }, 0);
    // Three waits of half a second, one and two on average: far from one every millisecond.
    expect(server.of('GET').length).toBeLessThan(20);
  });

  it('the standalone stream is reopened no sooner than the Retry-After of a throttled GET', async () => {
    const asked: number[] = [];
    const { gets } = await startStreaming(
      (response) => {
        asked.push(performance.now());
        response.writeHead(429, { 'retry-after': '2' }).end();
      },
      () => asked.push(performance.now()),
    );
    await gets(2);
    const [refused = 0, again = 0] = asked;
    expect(again - refused).toBeGreaterThanOrEqual(1_990);
  });

  it.each([405, 400, 501])('the standalone stream is not reopened after HTTP %i', async (code) => {
    const { server, bin, gets } = await startStreaming(closing('a', 1), status(code));
    await gets(2);
    await bin.request('tools/call', { name: 'sleep', arguments: { ms: 100 } }, 0);
    expect(server.of('GET')).toHaveLength(2);
    expect(server.of('initialize')).toHaveLength(1);
  });

  it.each<LostForm>([
    '404',
    '404 without a body',
    '400 no valid session id',
    '-30001 with 403',
    '-30001 with 200',
  ])(
    'a reopened standalone stream that gets %s replaces the lost session, and no call fails',
    async (form) => {
      const { server, mcp, bin, gets } = await startStreaming(closing('a', 1), (response) => {
        mcp.forgetSessions();
        sendLost(response, form, undefined);
      });
      await gets(3);
      const [, , third] = server.of('GET');
      const [id] = mcp.sessions.keys();
      expect(third?.headers).toMatchObject({ 'mcp-session-id': id });
      expect(third?.headers['last-event-id']).toBeUndefined();
      expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, '')).toHaveProperty('result');
      expect(server.of('initialize')).toHaveLength(2);
      expect(server.of('tools/call')).toHaveLength(1);
    },
  );

  it('a 404 for a standalone stream that the server never offered does not count as a session loss', async () => {
    const { server, bin } = await startStreaming(status(404));
    expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, -1)).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(1);
    expect(server.of('GET')).toHaveLength(1);
  });
});
