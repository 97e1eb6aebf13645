import * as http from 'node:http';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import {
  CallToolRequestSchema,
  ElicitResultSchema,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';
import { answerRefused, readBody, type VerifyOptions, verifyIncoming } from './scripted-server.ts';

export interface Sse2024Server {
  /** The URL of the event stream. */
  readonly url: string;
  /** `METHOD path` of each request, with the JSON-RPC method of messages. */
  readonly seen: string[];
  /** The calls that began. */
  readonly calls: string[];
  /** Ends the event streams of all sessions. */
  dropStreams(): void;
}

const TOOLS = ['add', 'steps', 'ask', 'die'].map((name) => ({
  name,
  inputSchema: { type: 'object' as const },
}));
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

/** The server of the SDK for HTTP+SSE, which verifies every signature and accepts nothing else. */
export async function startSse2024Server(verify: VerifyOptions): Promise<Sse2024Server> {
  const transports = new Map<string, SSEServerTransport>();
  const streams = new Set<http.ServerResponse>();
  const [seen, calls]: [string[], string[]] = [[], []];
  const dropStreams = (): void => {
    for (const stream of streams) stream.destroy();
  };

  async function connect(response: http.ServerResponse): Promise<void> {
    const server = new Server({ name: 'sse-2024', version: '0' }, { capabilities: { tools: {} } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: TOOLS }));
    server.setRequestHandler(
      CallToolRequestSchema,
      async ({ params: { name, arguments: args = {}, _meta } }, extra) => {
        calls.push(name);
        if (name === 'die') {
          dropStreams();
          return text('never arrives');
        }
        if (name === 'ask') {
          const params = { message: 'sure?', requestedSchema: { type: 'object' as const, properties: {} } };
          const { action } = await extra.sendRequest(
            { method: 'elicitation/create', params },
            ElicitResultSchema,
          );
          return text(action);
        }
        for (const progress of name === 'steps' ? [1, 2, 3] : [])
          await extra.sendNotification({
            method: 'notifications/progress',
            params: { progressToken: _meta?.progressToken ?? 0, progress },
          });
        return text(String(Number(args.a ?? 0) + Number(args.b ?? 0)));
      },
    );
    const transport = new SSEServerTransport('/messages', response);
    transports.set(transport.sessionId, transport);
    streams.add(response);
    response.on('close', () => {
      streams.delete(response);
      transports.delete(transport.sessionId);
    });
    await server.connect(transport);
  }

  const server = http.createServer(async (request, response) => {
    const body = await readBody(request);
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://h');
    const json = body.length > 0 ? (JSON.parse(body.toString()) as { method?: string }) : undefined;
    seen.push([request.method, pathname, json?.method].filter(Boolean).join(' '));
    const verification = verifyIncoming(request, body, verify);
    if (!verification.ok) answerRefused(response, verification);
    else if (pathname === '/sse' && request.method === 'GET') await connect(response);
    else if (pathname === '/messages' && request.method === 'POST') {
      const transport = transports.get(searchParams.get('sessionId') ?? '');
      if (transport) await transport.handlePostMessage(request, response, json);
      else response.writeHead(404).end('no such session');
    } else response.writeHead(404, { 'content-type': 'text/html' }).end(`Cannot ${request.method}`);
  });
  const connections = new Connections(server, 'connection');
  const port = await listenOnLoopback(server);
  afterThisTest(() => shut(server, connections));
  return { url: `http://127.0.0.1:${port}/sse`, seen, calls, dropStreams };
}
