import { describe, expect, it } from 'vitest';
import { open, textOf } from '../support/http-client.ts';
import { startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import type { Behaviour } from '../support/scripted-server.ts';

const READS = { name: 'read_file', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } };
const WRITES = { name: 'delete_file', inputSchema: { type: 'object' } };
/** Longer than the part of an event that is checked when no filter is on. */
const LONG = { ...WRITES, description: 'x'.repeat(200_000) };

/** Answers like lenient servers: notifications too, and GET with the requested events. */
const lenient =
  (replayed: (write: (text: string) => void) => void): Behaviour =>
  (request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      replayed((text) => void response.write(text));
      return void response.end();
    }
    const { id = null, method } = request.rpc;
    const result = method === 'tools/list' ? { tools: [READS, WRITES] } : { content: [] };
    sendJson(response, 200, { jsonrpc: '2.0', id, result });
  };

const listOf = (...tools: object[]) => ({ jsonrpc: '2.0', id: 0, result: { tools, nextCursor: 'x' } });

const REPLAYS = {
  'one event': [`id: 9\ndata: ${JSON.stringify(listOf(READS, WRITES))}\n\n`],
  'a long event in two pieces': [
    `id: 9\ndata: ${JSON.stringify(listOf(READS, LONG)).slice(0, 100_000)}`,
    `${JSON.stringify(listOf(READS, LONG)).slice(100_000)}\n\n`,
  ],
  'a batch': [`id: 9\ndata: [${JSON.stringify(listOf(WRITES))},${JSON.stringify(listOf(READS))}]\n\n`],
};

const NAMES = [
  'Delete_File',
  'delete_file ',
  ' delete_file',
  'delete_file\u0000',
  '\u200bdelete_file',
  '\uff44elete_file',
  'no_such_tool',
];

const METHODS = [
  'Tools/Call',
  'tools/call ',
  'tools\u200b/call',
  'tool\u017f/call',
  '\uff54ools/call',
  'TOOLS/LIST',
];

describe.each([['--read-only'], ['--deny-tool', 'delete_*']])('a listener with %s', (...args) => {
  it('a filter at the listener does not send a call unless the list contains exactly its name', async () => {
    const { ask, server } = await startListening({ args, behaviour: lenient(() => undefined) });
    for (const name of NAMES) {
      const params = { name, arguments: {} };
      const { json } = await ask({ body: { jsonrpc: '2.0', id: 0, method: 'tools/call', params } });
      expect([name, json]).toMatchObject([name, { id: 0, error: { data: { mayHaveRun: false } } }]);
    }
    expect(server.of('tools/call')).toEqual([]);
  });

  it('a filter at the listener answers a tools/list notification with 202 and refuses methods that resemble it', async () => {
    const { ask, server } = await startListening({ args, behaviour: lenient(() => undefined) });
    const { status, text } = await ask({ body: { jsonrpc: '2.0', method: 'tools/list' } });
    expect([status, text]).toEqual([202, '']);
    for (const method of METHODS) {
      const params = { name: 'delete_file' };
      const { json } = await ask({ body: { jsonrpc: '2.0', id: -1, method, params } });
      expect([method, json]).toMatchObject([method, { id: -1, error: { code: -32600 } }]);
    }
    expect(server.requests).toHaveLength(1);
  });

  it('a filter at the listener hides tools from a resumed stream that repeats the list', async () => {
    const { url, server } = await startListening({ args });
    for (const [how, pieces] of Object.entries(REPLAYS)) {
      server.behaviour = lenient((write) => pieces.forEach(write));
      const { response } = await open(url, {
        method: 'GET',
        headers: { accept: 'text/event-stream', 'mcp-session-id': 's', 'last-event-id': '8' },
      });
      const text = await textOf(response);
      expect(text, how).toContain('id: 9\n');
      expect(text, how).toContain('read_file');
      expect(text, how).not.toContain('delete_file');
    }
  });
});

it('without a filter, a method that only resembles tools/call passes the listener', async () => {
  const { ask, server } = await startListening({ behaviour: lenient(() => undefined) });
  await ask({ body: { jsonrpc: '2.0', id: 0, method: 'Tools/Call', params: { name: 'delete_file' } } });
  expect(server.of('Tools/Call')).toHaveLength(1);
});
