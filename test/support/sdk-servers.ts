import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  EmptyResultSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { Server as ServerV2 } from '@modelcontextprotocol/server';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';

type Json = Record<string, unknown>;

/** The means of a tool, in either generation of the SDK. */
interface ToolHost {
  readonly signal: AbortSignal;
  readonly progressToken: string | number | undefined;
  /** Tells the client, on the stream of the call. */
  tell(method: string, params: Json): Promise<void>;
  elicit(message: string): Promise<unknown>;
  sample(text: string): Promise<unknown>;
  ping(): Promise<unknown>;
  /** Tells the client on the session's own stream. */
  announce(method: string, params?: Json): Promise<void>;
}

export interface SdkServer {
  readonly url: string;
  readonly opened: readonly string[];
  /** Sessions that a DELETE has ended. */
  readonly deleted: readonly string[];
  /** Calls of the `hang` tool whose cancellation arrived. */
  readonly cancelled: readonly unknown[];
  readonly hanging: readonly unknown[];
}

const SERVER_INFO = { name: 'sdk-server', version: '0.0.0' };
const CAPABILITIES = { tools: { listChanged: true }, resources: { subscribe: true }, logging: {} };
const TOOLS = ['add', 'steps', 'ask', 'sample', 'log', 'hang', 'announce'].map((name) => ({
  name,
  inputSchema: { type: 'object' as const },
}));

interface Log {
  readonly opened: string[];
  readonly deleted: string[];
  readonly cancelled: unknown[];
  readonly hanging: unknown[];
}

async function runTool(name: string, args: Json, host: ToolHost, log: Log): Promise<string> {
  switch (name) {
    case 'add':
      return String(Number(args.a) + Number(args.b));
    case 'steps':
      for (let progress = 1; host.progressToken !== undefined && progress <= 3; progress++) {
        const params = { progressToken: host.progressToken, progress, total: 3 };
        await host.tell('notifications/progress', params);
      }
      // The SDK's clients forget the listener for progress with the result, even where both come in
      // one read.
      await host.ping();
      return 'stepped';
    case 'ask':
      return JSON.stringify(await host.elicit('Who are you?'));
    case 'sample':
      return JSON.stringify(await host.sample('Say something'));
    case 'log':
      await host.tell('notifications/message', { level: 'info', data: args.data });
      return 'logged';
    case 'hang':
      log.hanging.push(args.label);
      await new Promise<void>((resolve) => host.signal.addEventListener('abort', () => resolve()));
      log.cancelled.push(args.label);
      return 'cancelled';
    case 'announce':
      await host.announce('notifications/tools/list_changed');
      await host.announce('notifications/resources/updated', { uri: String(args.uri) });
      return 'announced';
    default:
      throw new Error(`no tool ${name}`);
  }
}

const asked = (message: string) => ({
  mode: 'form' as const,
  message,
  requestedSchema: { type: 'object' as const, properties: { name: { type: 'string' as const } } },
});
const prompted = (text: string) => ({
  maxTokens: 10,
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text } }],
});

interface Transport {
  handleRequest(request: http.IncomingMessage, response: http.ServerResponse): Promise<void>;
  close(): Promise<void>;
}

interface SessionHooks {
  readonly sessionIdGenerator: () => string;
  readonly onsessioninitialized: (id: string) => void;
  readonly onsessionclosed: (id: string) => void;
}

async function openV1(hooks: SessionHooks, log: Log): Promise<Transport> {
  const server = new ServerV1(SERVER_INFO, { capabilities: CAPABILITIES });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: TOOLS }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => ({
    contents: [{ uri, text: 'read' }],
  }));
  server.setRequestHandler(SubscribeRequestSchema, () => ({}));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const host: ToolHost = {
      signal: extra.signal,
      progressToken: params._meta?.progressToken,
      tell: (method, notified) =>
        extra.sendNotification({ method, params: notified } as Parameters<typeof extra.sendNotification>[0]),
      elicit: (message) =>
        extra.sendRequest({ method: 'elicitation/create', params: asked(message) }, ElicitResultSchema),
      sample: (text) =>
        extra.sendRequest(
          { method: 'sampling/createMessage', params: prompted(text) },
          CreateMessageResultSchema,
        ),
      ping: () => extra.sendRequest({ method: 'ping' }, EmptyResultSchema),
      announce: (method, notified) =>
        server.notification({ method, params: notified } as Parameters<typeof server.notification>[0]),
    };
    const text = await runTool(params.name, params.arguments ?? {}, host, log);
    return { content: [{ type: 'text', text }] };
  });
  const transport = new StreamableHTTPServerTransport({ ...hooks });
  await server.connect(transport as Parameters<typeof server.connect>[0]);
  return transport;
}

async function openV2(hooks: SessionHooks, log: Log): Promise<Transport> {
  const server = new ServerV2(SERVER_INFO, { capabilities: CAPABILITIES });
  server.setRequestHandler('tools/list', () => ({ tools: TOOLS }));
  server.setRequestHandler('resources/read', ({ params: { uri } }) => ({
    contents: [{ uri, text: 'read' }],
  }));
  server.setRequestHandler('resources/subscribe', () => ({}));
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const host: ToolHost = {
      signal: mcpReq.signal,
      progressToken: mcpReq._meta?.progressToken,
      tell: (method, notified) =>
        mcpReq.notify({ method, params: notified } as Parameters<typeof mcpReq.notify>[0]),
      elicit: (message) => mcpReq.send({ method: 'elicitation/create', params: asked(message) }),
      sample: (text) => mcpReq.send({ method: 'sampling/createMessage', params: prompted(text) }),
      ping: () => mcpReq.send({ method: 'ping' }),
      announce: (method, notified) =>
        server.notification({ method, params: notified } as Parameters<typeof server.notification>[0]),
    };
    const text = await runTool(params.name, params.arguments ?? {}, host, log);
    return { content: [{ type: 'text', text }] };
  });
  const transport = new NodeStreamableHTTPServerTransport({ ...hooks });
  await server.connect(transport);
  return transport;
}

/**
 * A Streamable HTTP server on loopback written with the SDK of the given generation, one SDK server
 * per session.
 */
export async function startSdkServer(generation: 'v1' | 'v2'): Promise<SdkServer> {
  const open = generation === 'v1' ? openV1 : openV2;
  const log: Log = { opened: [], deleted: [], cancelled: [], hanging: [] };
  const sessions = new Map<string, Transport>();
  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known) return known.handleRequest(request, response);
    if (id !== undefined) return void response.writeHead(404).end();
    const transport = await open(
      {
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (name) => {
          log.opened.push(name);
          sessions.set(name, transport);
        },
        onsessionclosed: (name) => {
          log.deleted.push(name);
          sessions.delete(name);
        },
      },
      log,
    );
    await transport.handleRequest(request, response);
  };
  const server = http.createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const connections = new Connections(server);
  const port = await listenOnLoopback(server);
  afterThisTest(async () => {
    await Promise.all([...sessions.values()].map((transport) => transport.close()));
    await shut(server, connections);
  });
  return { url: `http://127.0.0.1:${port}/mcp`, ...log };
}
