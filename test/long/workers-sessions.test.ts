import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { type HttpAnswer, open } from '../support/http-client.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import type { Behaviour, RecordedRequest } from '../support/scripted-server.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { type Connection, connectToBoth, startWorkers } from '../support/workers.ts';

const headers = { 'mcp-session-id': 'a-session', 'mcp-protocol-version': '2025-11-25' };

const call = (id: unknown) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'slow', arguments: {} },
});

const cancellation = (requestId: unknown) => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId },
});

const isCall = ({ rpc }: RecordedRequest): boolean => rpc.method === 'tools/call';

/** Two workers, and one connection to each. The server accepts what is no request. */
async function startSession(onCall: Behaviour, args: readonly string[] = [], own = headers) {
  const workers = await startWorkers({
    args,
    behaviour: (request, response) => {
      const { method, id } = request.rpc;
      if (method === 'tools/call') return onCall(request, response);
      if (id === undefined || method === undefined) response.writeHead(202).end();
      else sendJson(response, 200, { jsonrpc: '2.0', id, result: {} });
      return undefined;
    },
  });
  const [one, other] = await connectToBoth(workers.url, own);
  const begin = (connection: Connection, body: object): Promise<HttpAnswer | undefined> =>
    connection({ headers: own, body }).catch(() => undefined);
  const calls = (): unknown[] => workers.server.requests.filter(isCall).map(({ rpc }) => rpc.id);
  return { ...workers, one, other, begin, calls };
}

describe('a session on several workers', () => {
  it('a session whose call waits in one worker and is cancelled at another never sends the call', async () => {
    const gate = makeGate();
    const { one, other, begin, url, server, calls } = await startSession(
      async ({ rpc }, response) => {
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
      ['--max-concurrent', '1', '--queue-size', '8'],
    );
    const first = begin(other, call('first'));
    await server.until((requests) => requests.some(isCall));
    const waiting = begin(one, call(0));
    // Answered by the first worker after it has read the call.
    const [, spare] = await connectToBoth(url);
    expect((await spare({ headers, body: cancellation(0) })).status).toBe(202);
    await waiting;
    gate.open();
    await first;
    await begin(one, call('last'));
    expect(calls()).toEqual(['first', 'last']);
  });

  it('a session whose call runs in one worker and is cancelled at another ends the exchange', async () => {
    const closed = makeGate();
    const { one, other, begin, server } = await startSession((_request, response) => {
      new EventWriter(response).raw(': open\n\n');
      response.on('close', () => closed.open());
    });
    const cancelled = begin(one, call(''));
    await server.until((requests) => requests.some(isCall));
    expect((await other({ headers, body: cancellation('') })).status).toBe(202);
    await closed.opened;
    await cancelled;
    expect(server.requests.filter(({ rpc }) => rpc.method === 'notifications/cancelled')).toHaveLength(1);
  });

  it('a session whose server asks through one worker and is answered at another gets its time limit back', async () => {
    const { url, other } = await startSession(
      (_request, response) =>
        new EventWriter(response).send({ jsonrpc: '2.0', id: -1, method: 'elicitation/create', params: {} }),
      ['--tool-timeout', '4'],
    );
    const { response } = await open(url, { headers, body: call(0) });
    let text = '';
    const ended = new Promise((resolve) => response.on('end', resolve));
    await new Promise((resolve) =>
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
        resolve(undefined);
      }),
    );
    await other({ headers, body: { jsonrpc: '2.0', id: -1, result: { action: 'decline' } } });
    // A limit that is still held would never end the call.
    await ended;
    expect(text).toMatch(/elicitation\/create[\s\S]*"reason":"timeout"/);
  });

  it('a session whose server sets cookies returns them through every worker', async () => {
    const { one, other, server } = await startSession(({ rpc, headers: given }, response) => {
      if (given.cookie === undefined) response.setHeader('set-cookie', ['backend=a-1; Path=/', 'zone=b']);
      else if (rpc.id === 'renewed') response.setHeader('set-cookie', 'zone=c');
      sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
    });
    await one({ headers, body: call(0) });
    // The other worker may be asked before the message of the first one arrives; a ping changes nothing.
    const pings = () => server.requests.filter(({ rpc }) => rpc.method === 'ping');
    while (pings().at(-1)?.headers.cookie === undefined)
      await other({ headers, body: { jsonrpc: '2.0', id: '', method: 'ping' } });
    await other({ headers, body: call('renewed') });
    await other({ headers, body: call('last') });
    const cookies = server.requests.filter(isCall).map(({ headers: { cookie } }) => cookie);
    expect(cookies).toEqual([undefined, 'backend=a-1; zone=b', 'zone=c; backend=a-1']);
  });

  it('a session that belongs to one token is unknown to another token at every worker', async () => {
    const { write, cleanup } = await makeTempHome();
    afterThisTest(cleanup);
    const file = await write('tokens', 'ann=the-token-of-the-first-user\nbob=the-token-of-the-other-user');
    const ann = { ...headers, authorization: 'Bearer the-token-of-the-first-user' };
    const bob = { ...headers, authorization: 'Bearer the-token-of-the-other-user' };
    const { one, other, begin, server } = await startSession(
      ({ rpc }, response) => {
        if (rpc.id === 'slow') new EventWriter(response).raw(': open\n\n');
        else sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
      ['--listen-token-file', file],
      { ...ann, 'mcp-session-id': 'warm-up' },
    );
    const slow = { ...ann, 'mcp-session-id': 'another-session' };
    const flying = other({ headers: slow, body: call('slow') }).catch(() => undefined);
    await server.until((requests) => requests.some(isCall));
    expect((await one({ headers: ann, body: call(0) })).status).toBe(200);
    // Messages between workers keep their order: the end of this call shows that all have arrived.
    await one({ headers: slow, body: cancellation('slow') });
    await flying;
    expect((await begin(other, call(1)))?.status).toBe(200);
    expect((await other({ headers: bob, body: call(2) })).status).toBe(404);
    expect((await other({ headers: ann, body: call(3) })).status).toBe(200);
  });
});
