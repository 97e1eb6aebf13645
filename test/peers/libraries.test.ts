import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';
import { Project } from './project.ts';

const { service, region } = signingVerify;
let project: Project;

beforeAll(() => {
  project = new Project();
});

afterAll(() => project.clear());

async function startServer() {
  const session = new SessionServer();
  const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
  return { session, server };
}

describe('the examples of agent libraries', () => {
  it.each(['langchain', 'vercel-ai', 'strands', 'openai-agents'])(
    'the example %s lists the tools of a server that demands signatures, and calls one',
    async (name) => {
      const { server } = await startServer();
      const args = [`${name}.mjs`, server.url, service, region, 'echo', '{"text":"x"}'];
      const { stdout } = await project.run(args, signingEnv);
      const [names, result] = stdout.split('\n');
      expect(names?.split(' ')).toContain('echo');
      expect(result).toBe('{"text":"x"}');
      expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    },
  );

  it('a tool of LangChain returns the whole result as artifact, and a failed tool becomes an error', async () => {
    const { server } = await startServer();
    const program = `import { createProxy } from 'mcp-sigv4-proxy';
import { langchainTools } from 'mcp-sigv4-proxy/langchain';
const proxy = await createProxy({ endpoint: '${server.url}', service: '${service}', region: '${region}' });
const source = {
  listTools: async () => ({ tools: [{ name: 'a.b', inputSchema: { type: 'object' } }] }),
  callTool: async (_name, { fails }) => ({ content: [{ type: 'text', text: 'said' }], isError: fails, structuredContent: { n: 0 } }),
};
const call = (args) => ({ type: 'tool_call', id: '0', name: 'a.b', args });
const [tool] = await langchainTools(source);
const { content, artifact } = await tool.invoke(call({ fails: false }));
const failure = await tool.invoke(call({ fails: true })).catch((error) => error);
const real = (await langchainTools(proxy)).find(({ name }) => name === 'echo');
const controller = new AbortController();
controller.abort();
const aborted = await real.invoke({ text: 'x' }, { signal: controller.signal }).catch(() => 'aborted');
console.log(JSON.stringify([content, artifact.structuredContent, failure.message, aborted]));
await proxy.close();
`;
    writeFileSync(join(project.folder, 'artifact.mjs'), program);
    const { stdout } = await project.run(['artifact.mjs'], signingEnv);
    expect(JSON.parse(stdout)).toEqual(['said', { n: 0 }, 'said', 'aborted']);
  });

  it('tools of LangChain share the sessions of a SessionPool', async () => {
    const { server } = await startServer();
    const program = `import { Client } from '@modelcontextprotocol/client';
import { langchainTools } from 'mcp-sigv4-proxy/langchain';
import { SessionPool } from 'mcp-sigv4-proxy/pool';
const pool = new SessionPool({
  endpoint: '${server.url}',
  proxy: { service: '${service}', region: '${region}' },
  clientFactory: () => new Client({ name: 'pooled', version: '1.0.0' }),
  maxSessions: 2,
});
await pool.start();
const tool = (await langchainTools(pool)).find(({ name }) => name === 'echo');
const results = await Promise.all(['', '0', 'x'].map((text) => tool.invoke({ text })));
console.log(JSON.stringify(results));
await pool.shutdown();
`;
    writeFileSync(join(project.folder, 'pooled.mjs'), program);
    const { stdout } = await project.run(['pooled.mjs'], signingEnv);
    const results: unknown = JSON.parse(stdout);
    expect(results).toEqual(['', '0', 'x'].map((text) => JSON.stringify({ text })));
    const opened = server.requests.filter(({ rpc }) => rpc.method === 'initialize');
    expect(opened.length).toBeLessThanOrEqual(2);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });
});

describe('the handler of a listener in web frameworks', () => {
  const programs: Readonly<Record<string, string>> = {
    hono: `import { serve } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { createListener } from 'mcp-sigv4-proxy/listener';
const [endpoint, service, region] = process.argv.slice(2);
const listener = await createListener({ endpoint, service, region });
const app = new Hono();
app.all('/mcp', ({ env }) => {
  listener.handler(env.incoming, env.outgoing);
  return RESPONSE_ALREADY_SENT;
});
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => console.log('http://127.0.0.1:' + port + '/mcp'));
`,
    fastify: `import Fastify from 'fastify';
import { createListener } from 'mcp-sigv4-proxy/listener';
const [endpoint, service, region] = process.argv.slice(2);
const listener = await createListener({ endpoint, service, region });
const app = Fastify();
app.register(async (mcp) => {
  mcp.removeAllContentTypeParsers();
  mcp.addContentTypeParser('*', (_request, _body, done) => done(null));
  mcp.all('/mcp', (request, reply) => {
    reply.hijack();
    listener.handler(request.raw, reply.raw);
  });
});
console.log((await app.listen({ port: 0, host: '127.0.0.1' })) + '/mcp');
`,
  };

  async function startProgram(file: string, endpoint: string, more: readonly string[] = []) {
    const child = spawn(process.execPath, [file, endpoint, service, region, ...more], {
      cwd: project.folder,
      env: { PATH: process.env.PATH, ...signingEnv },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { child, url };
  }

  async function checkClient(url: string): Promise<void> {
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    const { content } = await client.callTool({ name: 'echo', arguments: { text: 'x' } });
    expect(content).toEqual([{ type: 'text', text: '{"text":"x"}' }]);
    await client.close();
    const evil = await fetch(url, {
      method: 'POST',
      headers: { origin: 'https://evil.example', 'content-type': 'application/json' },
      body: '{}',
    });
    expect(evil.status).toBe(403);
  }

  async function exited(child: ChildProcess): Promise<unknown> {
    const [code] = await once(child, 'exit');
    return code;
  }

  it('the Express example serves a client of the SDK beside other routes, and ends at SIGTERM', async () => {
    const { server } = await startServer();
    const { child, url } = await startProgram('express.mjs', server.url, ['0']);
    await checkClient(url);
    expect(await (await fetch(new URL('/', url))).text()).toBe('MCP is at /mcp');
    child.kill('SIGTERM');
    expect(await exited(child)).toBe(0);
  });

  it.each(Object.keys(programs))(
    'a handler in %s serves a client of the SDK, with its checks',
    async (name) => {
      writeFileSync(join(project.folder, `${name}.mjs`), programs[name] ?? '');
      const { server } = await startServer();
      const { child, url } = await startProgram(`${name}.mjs`, server.url);
      await checkClient(url);
      child.kill('SIGKILL');
      await exited(child);
    },
  );
});
