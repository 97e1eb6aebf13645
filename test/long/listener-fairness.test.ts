import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { open, send, textOf } from '../support/http-client.ts';
import { startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';

const MIB = 1024 * 1024;
const call = (id: unknown = 0) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'any' } });
const BIG = 'the-token-of-a-big-client';
const SMALL = 'the-token-of-a-small-client';
const session = (id: string) => ({ 'mcp-session-id': id });

/** Sends the head of a POST and a part of its body, and never the rest. */
function unfinished(url: string, bytes: number): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  afterThisTest(() => void socket.destroy());
  socket.on('error', () => undefined).resume();
  const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${16 * MIB}\r\n\r\n`;
  return new Promise((resolve) => {
    socket.write(head);
    socket.write(Buffer.alloc(bytes, 0x20), () => resolve());
  });
}

describe('fairness between clients of one listener', () => {
  it.each(['application/json', 'text/event-stream'])(
    'clients do not wait for others that read %s slowly: a slow response gives up its connection',
    async (type) => {
      const { url, ask, server } = await startListening({
        args: ['--max-connections', '2'],
        behaviour: (request, response) => {
          if (typeof request.rpc.id === 'number') {
            return sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
          }
          response.writeHead(200, { 'content-type': type });
          const result = { text: 'x'.repeat(32 * MIB) };
          const text = JSON.stringify({ jsonrpc: '2.0', id: request.rpc.id, result });
          response.end(type === 'application/json' ? text : `data: ${text}\n\n`);
        },
      });
      const slow = [];
      for (const id of ['one', 'two']) {
        const { response } = await open(url, { headers: session(id), body: call(id) });
        slow.push(response.pause());
      }
      await server.until((requests) => requests.length === 2);
      expect((await ask({ headers: session('three'), body: call(-1) })).status).toBe(200);
      expect((await ask({ body: call(0) })).status).toBe(200);
      // The slow clients lose nothing: they are still served.
      for (const response of slow) {
        let bytes = 0;
        for await (const chunk of response) bytes += (chunk as Buffer).length;
        expect(bytes).toBeGreaterThanOrEqual(32 * MIB);
      }
    },
  );

  it('sessions take turns when all connections are busy', async () => {
    const gate = makeGate();
    const { ask, server, bin } = await startListening({
      args: ['--max-connections', '1', '--log-level', 'trace'],
      behaviour: async (request, response) => {
        if (request.rpc.id === 'first') await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
    });
    const ordered = async (id: string, headers: Record<string, string>) => {
      await ask({ headers, body: call(id) });
    };
    const all = [ordered('first', session('busy'))];
    await server.until((requests) => requests.length === 1);
    const names = Array.from({ length: 20 }, (_none, index) => `busy-${index}`);
    for (const name of names) all.push(ordered(name, session('busy')));
    await bin.stderrMatching(new RegExp(names.map((name) => `(?=[^]*${name}\\b)`).join('')));
    all.push(ordered('other', session('other')));
    await bin.stderrMatching(/other/);
    gate.open();
    await Promise.all(all);
    const order = server.requests.map(({ rpc }) => rpc.id);
    expect(order.indexOf('other')).toBeLessThanOrEqual(2);
  });

  it('queued sessions take turns under --max-concurrent, and a full queue refuses the largest user', async () => {
    const gate = makeGate();
    const { ask, server } = await startListening({
      args: ['--max-concurrent', '1', '--queue-size', '4', '--log-level', 'trace'],
      behaviour: async (request, response) => {
        if (request.rpc.id === 'first') await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
    });
    const first = ask({ headers: session('busy'), body: call('first') });
    await server.until((requests) => requests.length === 1);
    const refused: unknown[] = [];
    const post = async (id: string, from: string): Promise<void> => {
      const { json } = await ask({ headers: session(from), body: call(id) });
      if (json.error !== undefined) refused.push([id, (json.error as { data: object }).data]);
    };
    // One more than the queue holds: when one is refused, the others are in it.
    const busy = [1, 2, 3, 4, 5].map((n) => post(`busy-${n}`, 'busy'));
    await expect.poll(() => refused.length).toBe(1);
    const others = [post('other-1', 'other'), post('other-2', 'other')];
    await expect.poll(() => refused.length).toBe(3);
    gate.open();
    await Promise.all([first, ...busy, ...others]);
    const order = server.requests.map(({ rpc }) => String(rpc.id).replace(/-.*/, ''));
    expect(order).toEqual(['first', 'busy', 'other', 'busy', 'other']);
    expect(refused.map((each) => String(each).split('-')[0])).toEqual(['busy', 'busy', 'busy']);
    for (const [, data] of refused as [string, object][])
      expect(data).toMatchObject({ reason: 'queue_full', queued: 4, active: 1 });
  });

  it('clients take turns if the server throttles', async () => {
    const gate = makeGate();
    let throttling = true;
    const { ask, server, bin } = await startListening({
      movableClock: true,
      verify: false,
      args: ['--log-level', 'trace', '--max-connections', '64', '--tool-timeout', '120'],
      behaviour: async (request, response) => {
        const { id } = request.rpc;
        if (throttling) {
          throttling = false;
          response.writeHead(429).end();
        } else sendJson(response, 200, { jsonrpc: '2.0', id, result: {} });
        if (id === 'never') await gate.opened;
      },
    });
    const all = [ask({ headers: session('busy'), body: call('busy-0') })];
    await bin.stderrMatching(/rate\.learned/);
    const names = Array.from({ length: 20 }, (_none, index) => `busy-${index + 1}`);
    for (const name of names) all.push(ask({ headers: session('busy'), body: call(name) }));
    await bin.stderrMatching(new RegExp(names.map((name) => `(?=[^]*${name}\\b)`).join('')));
    all.push(ask({ headers: session('other'), body: call('other') }));
    await bin.stderrMatching(/other/);
    const sentBefore = server.requests.length;
    let left = true;
    void Promise.all(all).then(() => {
      left = false;
    });
    while (left) await bin.advance(1_000);
    const order = server.requests.map(({ rpc }) => rpc.id);
    // Turns that came before it are not counted: how many they are depends on the machine.
    expect(order.indexOf('other') - sentBefore).toBeLessThanOrEqual(3);
    expect(order).toHaveLength(23);
  });

  it.each(['--max-clients', '--max-streams'])(
    'one token cannot take all places of %s, and its error says so',
    async (option) => {
      const { url, server } = await startListening({
        args: [option, '8', '--max-connections', '16', '--listen-token', BIG, '--listen-token', SMALL],
        behaviour: (request, response) => {
          if (request.method === 'POST' && request.headers['mcp-session-id'] !== 'hang')
            return sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
          if (request.method === 'GET')
            response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        },
      });
      const as = (token: string, id: string) => ({ authorization: `Bearer ${token}`, ...session(id) });
      const hang = (n: number) =>
        option === '--max-streams'
          ? open(url, { method: 'GET', headers: { accept: 'text/event-stream', ...as(BIG, `s${n}`) } })
          : open(url, { headers: as(BIG, 'hang'), body: call(n) });
      for (let n = 0; n < 6; n++) void hang(n).catch(() => undefined);
      await server.until((requests) => requests.length === 6);
      const { response } = await hang(7);
      expect(response.statusCode).toBe(503);
      expect(await textOf(response)).toContain(`of ${option} belong to your token`);
      const small = as(SMALL, 'other');
      expect((await send(url, { headers: small, body: call(0) })).status).toBe(200);
      const stream = await open(url, { method: 'GET', headers: { accept: 'text/event-stream', ...small } });
      expect(stream.response.statusCode).toBe(200);
    },
  );

  it('a client can post while others leave as many long bodies unfinished as memory has room for', async () => {
    const { url, ask } = await startListening({
      behaviour: (request, response) =>
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} }),
    });
    const before = [];
    for (let count = 0; count < 16; count++) before.push(unfinished(url, 16 * MIB - 1));
    await Promise.all(before);
    // After as many turns, what the system still held of the bodies has been read.
    for (let turn = 0; turn < 200; turn++) await send(new URL('/healthz', url).href, { method: 'GET' });
    expect((await ask({ body: call(0) })).status).toBe(200);
    const long = { ...call(1), filler: 'x'.repeat(MIB) };
    expect((await ask({ headers: session('other'), body: long })).status).toBe(200);
  });
});
