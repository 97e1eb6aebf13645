import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import {
  localhostHostValidation,
  localhostOriginValidation,
  type NodeIncomingMessageLike,
  NodeStreamableHTTPServerTransport,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import { createMcpHandler, isLegacyRequest, McpServer } from '@modelcontextprotocol/server';
import { afterThisTest } from '../cleanup.ts';
import { Connections, listenOnLoopback, shut } from '../connections.ts';
import { readBody } from '../scripted-server.ts';
import { addAskingTools, states } from './asking-tools.ts';
import { RememberedEvents } from './events.ts';
import { addPrompts, addResources } from './prompts-and-resources.ts';
import { addTools } from './tools.ts';

/**
 * Which revisions a server knows: those with sessions (up to 2025-11-25), the stateless one
 * (2026-07-28), or all.
 */
export type Eras = 'session' | 'stateless' | 'both';

export interface SuiteServer {
  readonly url: string;
  close(): Promise<void>;
}

interface Changes {
  tools(): void;
  prompts(): void;
}

function makeServer(changes: Changes): McpServer {
  const server = new McpServer(
    { name: 'suite-server', version: '0.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: states.verify },
    },
  );
  addTools(server);
  addAskingTools(server);
  addPrompts(server);
  addResources(server);
  const triggers = { test_trigger_tool_change: changes.tools, test_trigger_prompt_change: changes.prompts };
  for (const [name, change] of Object.entries(triggers)) {
    server.registerTool(name, { description: 'Says that a list has changed' }, () => {
      change();
      return { content: [{ type: 'text', text: 'changed' }] };
    });
  }
  return server;
}

/** One transport per session, found by the session's id. */
class Sessions {
  readonly #open = new Map<string, NodeStreamableHTTPServerTransport>();

  async serve(request: http.IncomingMessage, response: http.ServerResponse, body: unknown): Promise<void> {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? this.#open.get(id) : undefined;
    if (known) return known.handleRequest(request, response, body);
    if (id !== undefined) {
      response.writeHead(404).end();
      return;
    }
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new RememberedEvents(),
      retryInterval: 50,
      onsessioninitialized: (name) => void this.#open.set(name, transport),
      onsessionclosed: (name) => void this.#open.delete(name),
    });
    const server: McpServer = makeServer({
      tools: () => server.sendToolListChanged(),
      prompts: () => server.sendPromptListChanged(),
    });
    await server.connect(transport);
    await transport.handleRequest(request, response, body);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((transport) => transport.close()));
  }
}

const parsed = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
};

/**
 * A server built on the SDK with all that the published conformance suite asks a server for, on
 * loopback. The eras that it does not know it treats as the SDK does where that era was not asked
 * for.
 */
export async function startSuiteServer(eras: Eras): Promise<SuiteServer> {
  const sessions = new Sessions();
  const handler = createMcpHandler(
    () =>
      makeServer({
        tools: () => handler.notify.toolsChanged(),
        prompts: () => handler.notify.promptsChanged(),
      }),
    { legacy: 'reject' },
  );
  const stateless = toNodeHandler(handler);
  const ofSession = async (request: NodeIncomingMessageLike, body: unknown): Promise<boolean> => {
    if (eras !== 'both') return eras === 'session';
    return isLegacyRequest(await toWebRequest(request, body), body);
  };
  const hostIsLocal = localhostHostValidation();
  const originIsLocal = localhostOriginValidation();
  const serve = async (incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const request = Object.assign(incoming, { method: incoming.method ?? 'GET', url: incoming.url ?? '/' });
    if (!hostIsLocal(request, response) || !originIsLocal(request, response)) return;
    const body = request.method === 'POST' ? parsed(await readBody(request)) : undefined;
    if (await ofSession(request, body)) await sessions.serve(request, response, body);
    else await stateless(request, response, body);
  };
  const server = http.createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const connections = new Connections(server);
  const port = await listenOnLoopback(server);
  const close = async (): Promise<void> => {
    await Promise.all([handler.close(), sessions.close()]);
    await shut(server, connections);
  };
  afterThisTest(close);
  return { url: `http://127.0.0.1:${port}/mcp`, close };
}
