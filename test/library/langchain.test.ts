import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { langchainTools } from '../../src/library/entries/langchain.ts';
import { createProxy } from '../../src/library/index.ts';
import { contentOf } from '../../src/library/langchain-content.ts';
import { PEER_MAJORS, PeerError, type PeerName, peerProblem } from '../../src/library/peers.ts';
import { type ToolResult, toolSourceOf } from '../../src/library/tool-source.ts';
import { ROOT } from '../guards/source-tree.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { startSdkServer } from '../support/sdk-servers.ts';

const PEER: PeerName = '@langchain/core';

it.each([
  [
    undefined,
    'langchainTools needs @langchain/core 1: it is not installed. Run npm install @langchain/core@1',
  ],
  [
    '0.3.72',
    'langchainTools needs @langchain/core 1: version 0.3.72 is installed. Run npm install @langchain/core@1',
  ],
  ['1.4.0', undefined],
  ['10.0.0', expect.stringContaining('version 10.0.0 is installed')],
])('the version %j of a peer is accepted, or the error names it and the remedy', (found, message) => {
  const problem = peerProblem('langchainTools', PEER, found);
  expect(problem?.message).toEqual(message);
  if (problem) expect(problem).toMatchObject({ name: 'PeerError', peer: PEER, found });
});

it('package.json names each peer with its major version, and each is optional', () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  );
  const majors = Object.entries(PEER_MAJORS);
  for (const [name, major] of majors) {
    expect(peerDependencies).toHaveProperty([name], `^${major}.0.0`);
    expect(peerDependenciesMeta).toHaveProperty([name], { optional: true });
  }
});

it('langchainTools without LangChain rejects with a PeerError, and sends nothing', async () => {
  const { proxy, server } = await start();
  await expect(langchainTools(proxy)).rejects.toBeInstanceOf(PeerError);
  expect(server.requests).toEqual([]);
});

async function start(options: SessionServerOptions = {}) {
  const server = await ScriptedServer.start(new SessionServer(options).behaviour);
  const proxy = await createProxy({ endpoint: server.url, auth: 'none' });
  afterThisTest(() => proxy.close());
  return { server, proxy };
}

describe('the tools of a proxy for an agent', () => {
  it('the source lists all pages, opens one session, and calls a tool with its arguments', async () => {
    const { server, proxy } = await start({
      on: {
        'tools/list': ({ rpc }, _response, { result }) => {
          const isFirst = rpc.params?.cursor === undefined;
          const tools = [{ name: isFirst ? 'echo' : 'other', inputSchema: { type: 'object' } }];
          result(isFirst ? { tools, nextCursor: '' } : { tools });
        },
      },
    });
    const source = toolSourceOf(proxy);
    const [listed, called] = await Promise.all([
      source.listTools(),
      source.callTool('echo', { text: 'x', n: 0 }),
    ]);
    expect(Array.isArray(listed) && listed.map(({ name }) => name)).toEqual(['echo', 'other']);
    expect(called).toEqual({ content: [{ type: 'text', text: '{"text":"x","n":0}' }] });
    expect(server.requests.filter(({ rpc }) => rpc.method === 'initialize')).toHaveLength(1);
  });

  it('a signal cancels the call of a source at the server', async () => {
    const server = await startSdkServer('v1');
    const proxy = await createProxy({ endpoint: server.url, auth: 'none' });
    afterThisTest(() => proxy.close());
    const source = toolSourceOf(proxy);
    const abort = new AbortController();
    const hanging = source.callTool('hang', { label: 'x' }, { signal: abort.signal });
    await expect.poll(() => server.hanging).toEqual(['x']);
    abort.abort();
    await expect(hanging).rejects.toThrow();
    await expect.poll(() => server.cancelled).toEqual(['x']);
  });

  it('a connection that fails is opened again by the next call', async () => {
    let refuse = true;
    const { proxy } = await start({
      on: {
        initialize: async ({ rpc }, response, { fallback }) => {
          if (!refuse) return fallback();
          refuse = false;
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(
            JSON.stringify({ jsonrpc: '2.0', id: rpc.id, error: { code: -1, message: 'not now' } }),
          );
        },
      },
    });
    const source = toolSourceOf(proxy);
    await expect(source.listTools()).rejects.toThrow('not now');
    expect(await source.callTool('echo', {})).toHaveProperty('content');
  });
});

it.each<[string, ToolResult, unknown]>([
  [
    'texts',
    {
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: '' },
      ],
    },
    'a\n',
  ],
  ['nothing', {}, ''],
  ['structured content alone', { content: [], structuredContent: { n: 0 } }, '{"n":0}'],
  [
    'an image beside a text',
    {
      content: [
        { type: 'text', text: 'a' },
        { type: 'image', data: 'AA==', mimeType: 'image/png' },
      ],
    },
    [
      { type: 'text', text: 'a' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
    ],
  ],
  ['a text resource', { content: [{ type: 'resource', resource: { uri: 'x:', text: 'b' } }] }, 'b'],
  ['an unknown block', { content: [{ type: 'audio', data: 'AA==' }] }, '{"type":"audio","data":"AA=="}'],
])('the content of a tool message for a result with %s', (_what, result, expected) => {
  expect(contentOf(result)).toEqual(expected);
});
