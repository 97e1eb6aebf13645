import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { eventsOf, open, send, textOf } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import type { SessionServerOptions } from '../support/mcp-behaviours.ts';

const MB = 1024 * 1024;
const call = (name: string, id: unknown = 0) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});

/** Resident memory of a process, in megabytes. */
function memoryOf(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024;
}

/** Keeps its connections alive, as every HTTP client does. */
function agentOf(): http.Agent {
  const agent = new http.Agent({ keepAlive: true });
  afterThisTest(() => agent.destroy());
  return agent;
}

describe('a listener client that does not read its response', () => {
  it.each(['application/json', 'text/event-stream'])(
    'an unread response of 60 MB (%s) pauses the server, takes no memory, and delays no other client',
    async (type) => {
      let taken = 0;
      const { url, ask, bin } = await startListening({
        args: ['--max-connections', '2'],
        behaviour: async (request, response) => {
          if (request.rpc.id !== 'huge')
            return sendJson(response, 200, { jsonrpc: '2.0', id: 0, result: {} });
          response.writeHead(200, { 'content-type': type });
          const piece = Buffer.alloc(
            MB,
            type === 'application/json' ? 'x' : `data: {"jsonrpc":"2.0","method":"${'x'.repeat(987)}"}\n\n`,
          );
          for (; taken < 60 && !response.destroyed; taken++) {
            if (!response.write(piece)) await new Promise<void>((resolve) => response.once('drain', resolve));
          }
          response.end();
        },
      });
      const agent = agentOf();
      await send(url, { body: call('warm-up') }, agent);
      const before = memoryOf(bin.child.pid);
      const { response } = await open(url, { body: call('any', 'huge') });
      response.pause();
      // Time for all bytes that can flow; each of these requests is served meanwhile.
      for (let count = 0; count < 100; count++) expect((await ask({ body: call('any') })).status).toBe(200);
      expect(taken).toBeLessThan(30);
      expect(memoryOf(bin.child.pid) - before).toBeLessThan(60);
      // A client that reads on gets everything.
      let read = 0;
      for await (const chunk of response) read += (chunk as Buffer).length;
      // An event stream begins with a comment, and ends with an error: it has no answer.
      const [least, most] =
        type === 'text/event-stream' ? [60 * MB + 13, 60 * MB + 1_000] : [60 * MB, 60 * MB];
      expect(read).toBeGreaterThanOrEqual(least);
      expect(read).toBeLessThanOrEqual(most);
      expect(memoryOf(bin.child.pid) - before).toBeLessThan(80);
    },
  );
});

describe('many streams at the listener', () => {
  it('one session can open three quarters of --max-streams, further ones get 503, and memory stays bounded', async () => {
    const { url, bin, server } = await startListening({
      args: ['--max-streams', '200'],
      behaviour: (request, response) => {
        if (request.method === 'GET') new EventWriter(response).raw(': open\n\n');
        else sendJson(response, 200, { jsonrpc: '2.0', id: 0, result: {} });
      },
    });
    await send(url, { body: call('warm-up') });
    const before = memoryOf(bin.child.pid);
    const statuses = new Map<number, number>();
    const opened: http.ClientRequest[] = [];
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, () =>
          open(url, { method: 'GET', headers: { accept: 'text/event-stream', 'mcp-session-id': 'greedy' } }),
        ),
      );
      for (const { request, response } of answers) {
        const status = response.statusCode ?? 0;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status === 200) opened.push(request);
        else expect(JSON.parse(await textOf(response))).toMatchObject({ error: { code: -31024 } });
      }
    }
    expect([...statuses]).toEqual([
      [200, 150],
      [503, 350],
    ]);
    // About 100 KB for each stream, on both sides.
    expect(memoryOf(bin.child.pid) - before).toBeLessThan(100);
    const accept = 'text/event-stream';
    const other = await open(url, { method: 'GET', headers: { accept, 'mcp-session-id': 'other' } });
    expect(other.response.statusCode).toBe(200);
    // Other clients are served, and closed streams free their places.
    expect((await send(url, { body: call('any') })).status).toBe(200);
    for (const request of opened) request.destroy();
    await server.until(() => server.connections.open < 10);
    const again = await open(url, { method: 'GET', headers: { accept: 'text/event-stream' } });
    expect(again.response.statusCode).toBe(200);
  });
});

it('many parallel listener clients receive only messages of their own sessions', async () => {
  const counters = new Map<string, number>();
  const on: SessionServerOptions['on'] = {
    'tools/call': ({ rpc }, response, { session }) => {
      const key = String(session?.id);
      const value = (counters.get(key) ?? 0) + 1;
      counters.set(key, value);
      const events = new EventWriter(response);
      events.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: key } });
      const content = [{ type: 'text', text: `${key} ${value}` }];
      events.send({ jsonrpc: '2.0', id: rpc.id, result: { content } });
      events.end();
    },
  };
  const { ask } = await startListening({ args: ['--max-connections', '8'], session: { on } });
  const ids = [0, '', -1, 'a', 1, '1'];
  await Promise.all(
    Array.from({ length: 24 }, async (_, client) => {
      const headers = await openSession(ask, ids[client % ids.length]);
      const session = headers['mcp-session-id'];
      for (let count = 1; count <= 10; count++) {
        const id = ids[(client + count) % ids.length];
        const { text } = await ask({ headers, body: call('count', id) });
        expect(eventsOf(text)).toMatchObject([
          { params: { data: session } },
          { id, result: { content: [{ text: `${session} ${count}` }] } },
        ]);
      }
    }),
  );
  expect(counters.size).toBe(24);
});
