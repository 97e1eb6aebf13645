import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { EventWriter, type Rpc, sendJson } from './mcp-answers.ts';
import { READY_MADE_TOOLS, TOOL_DEFINITIONS, type ToolContext } from './mcp-tools.ts';
import type { Behaviour, RecordedRequest } from './scripted-server.ts';

export interface Session {
  /** undefined on a server without sessions. */
  readonly id: string | undefined;
  readonly initializeParams: Record<string, unknown>;
  initialized: boolean;
  /** The open GET streams. */
  readonly streams: Set<EventWriter>;
}

/** The means of a scripted handler of one message. */
export interface Context extends ToolContext {
  readonly method: string;
  readonly session: Session | undefined;
  readonly server: SessionServer;
  /** The behaviour of the server without the override. */
  fallback(): Promise<void>;
}

export type Handler = (
  request: RecordedRequest,
  response: ServerResponse,
  context: Context,
) => void | Promise<void>;

export interface SessionServerOptions {
  readonly answerWith?: 'json' | 'sse';
  /** false = a server without sessions; a function names each new one. */
  readonly sessionId?: false | (() => string);
  /** The revision that is negotiated; by default the client's. */
  readonly protocolVersion?: string;
  /** false answers GET with 405. */
  readonly getStream?: boolean;
  readonly tools?: readonly unknown[];
  readonly capabilities?: Record<string, unknown>;
  /**
   * Overrides by JSON-RPC method, by `GET` or `DELETE`, or `response` for answers that the client
   * posts.
   */
  readonly on?: Readonly<Record<string, Handler>>;
}

/**
 * A session-based (2025) Streamable HTTP server as state plus one function for `ScriptedServer`.
 */
export class SessionServer {
  readonly sessions = new Map<string | undefined, Session>();
  /** Ids of sessions that the client deleted. */
  readonly deleted: string[] = [];
  readonly options: SessionServerOptions;
  readonly #asked = new Map<string, (answer: Rpc) => void>();
  /** Ids of the server's own requests begin at 0, which is a real id. */
  #nextId = 0;

  constructor(options: SessionServerOptions = {}) {
    this.options = options;
  }

  readonly behaviour: Behaviour = async (request, response) => {
    if (Array.isArray(request.json)) return sendJson(response, 400, errorOf(null, -32600, 'No batches here'));
    const session = this.sessions.get(headerOf(request, 'mcp-session-id'));
    const { method, id } = request.rpc;
    const what = request.method !== 'POST' ? request.method : (method ?? 'response');
    const context = this.#context(request, response, session, what);
    if (what !== 'initialize' && !session && !this.options.on?.[what])
      return this.#noSession(request, response);
    const override = this.options.on?.[what];
    if (override) return override(request, response, context);
    if (id === undefined && request.method === 'POST') this.#accept(session, what, response);
    else await this.#readyMade(request, response, context, what);
  };

  /** Forgets every session, as a restarted server does. */
  forgetSessions(): void {
    for (const session of this.sessions.values()) for (const stream of session.streams) stream.destroy();
    this.sessions.clear();
  }

  /** Sends a message down every open GET stream. */
  broadcast(message: Rpc, eventId?: string): void {
    for (const session of this.sessions.values()) {
      for (const stream of session.streams) stream.send(message, eventId);
    }
  }

  #accept(session: Session | undefined, method: string, response: ServerResponse): void {
    if (session && method === 'notifications/initialized') session.initialized = true;
    response.writeHead(202).end();
  }

  #noSession(request: RecordedRequest, response: ServerResponse): void {
    if (headerOf(request, 'mcp-session-id') === undefined) {
      sendJson(response, 400, errorOf(null, -32000, 'Bad Request: Mcp-Session-Id header is required'));
    } else sendJson(response, 404, errorOf(null, -32001, 'Session not found'));
  }

  async #readyMade(
    request: RecordedRequest,
    response: ServerResponse,
    context: Context,
    what: string,
  ): Promise<void> {
    switch (what) {
      case 'initialize':
        return this.#initialize(request, response, context);
      case 'GET':
        return this.#openStream(request, response, context);
      case 'DELETE':
        return this.#delete(response, context);
      case 'response':
        this.#asked.get(JSON.stringify(request.rpc.id))?.(request.rpc);
        response.writeHead(202).end();
        return;
      case 'ping':
        return context.result({});
      case 'tools/list':
        return context.result({ tools: this.options.tools ?? TOOL_DEFINITIONS });
      case 'tools/call': {
        const tool = READY_MADE_TOOLS[String(context.params.name)];
        if (tool) return tool(context, toObject(context.params.arguments));
        return context.error(-32602, `Unknown tool: ${context.params.name}`);
      }
      default:
        return context.error(-32601, `Method not found: ${what}`);
    }
  }

  #initialize(request: RecordedRequest, response: ServerResponse, context: Context): void {
    const name = this.options.sessionId ?? randomUUID;
    const id = name === false ? undefined : name();
    this.sessions.set(id, { id, initializeParams: context.params, initialized: false, streams: new Set() });
    if (id !== undefined) response.setHeader('Mcp-Session-Id', id);
    const result = {
      protocolVersion: this.options.protocolVersion ?? context.params.protocolVersion ?? '2025-11-25',
      capabilities: this.options.capabilities ?? { tools: { listChanged: true }, logging: {} },
      serverInfo: { name: 'scripted', version: '0.0.0' },
    };
    this.#answer(response, { jsonrpc: '2.0', id: request.rpc.id, result });
  }

  #openStream(request: RecordedRequest, response: ServerResponse, { session }: Context): void {
    const wanted = (headerOf(request, 'accept') ?? '').includes('text/event-stream');
    if (this.options.getStream === false || !wanted || !session) {
      response.setHeader('allow', 'POST, DELETE');
      sendJson(response, 405, errorOf(null, -32000, 'Method not allowed.'));
      return;
    }
    if (session.streams.size > 0) {
      sendJson(response, 409, errorOf(null, -32000, 'Only one SSE stream is allowed per session'));
      return;
    }
    const stream = new EventWriter(response);
    session.streams.add(stream);
    response.on('close', () => session.streams.delete(stream));
  }

  #delete(response: ServerResponse, { session }: Context): void {
    for (const stream of session?.streams ?? []) stream.end();
    this.sessions.delete(session?.id);
    if (session?.id !== undefined) this.deleted.push(session.id);
    response.writeHead(200).end();
  }

  #answer(response: ServerResponse, message: Rpc): void {
    if (this.options.answerWith === 'sse') {
      const stream = new EventWriter(response);
      stream.send(message);
      stream.end();
    } else sendJson(response, 200, message);
  }

  #context(
    request: RecordedRequest,
    response: ServerResponse,
    session: Session | undefined,
    what: string,
  ): Context {
    const { id } = request.rpc;
    const context: Context = {
      id,
      method: request.rpc.method ?? what,
      params: toObject(request.rpc.params),
      session,
      server: this,
      fallback: async () => {
        if (id === undefined && request.method === 'POST') this.#accept(session, what, response);
        else await this.#readyMade(request, response, context, what);
      },
      result: (result) => this.#answer(response, { jsonrpc: '2.0', id, result }),
      error: (code, message, data) => this.#answer(response, errorOf(id, code, message, data)),
      events: () => new EventWriter(response),
      ask: (via, method, params) =>
        new Promise((resolve) => {
          const own = this.#nextId++;
          this.#asked.set(JSON.stringify(own), resolve);
          via.send({ jsonrpc: '2.0', id: own, method, ...(params === undefined ? {} : { params }) });
        }),
    };
    return context;
  }
}

export function errorOf(id: unknown, code: number, message: string, data?: unknown): Rpc {
  return { jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}

function headerOf(request: RecordedRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

const toObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
