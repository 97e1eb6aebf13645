import { toError } from '../../core/errors/errors.ts';
import { isObject } from '../../core/jsonrpc/message.ts';
import type { Incoming } from '../http/incoming.ts';
import type { OpenedExchange, TransportRequest } from '../transport/signed-transport.ts';
import { localError, localResponse, overLease } from './local-response.ts';
import { SseSession, type SseSessionDeps } from './sse-session.ts';

export type SseServerOptions = Omit<SseSessionDeps, 'onEnd' | 'maxOpenMs'>;

/** The response to GET, where no event stream of this transport came. */
export interface NoStream {
  /** Undefined where it did not come in time. */
  readonly refused: OpenedExchange | undefined;
}

/** Each has a connection for its event stream. */
const MAX_SESSIONS = 1_024;
/** A client of the listener that has gone without DELETE leaves its session behind. */
const MAX_IDLE_MS = 10 * 60_000;

interface OpenSession {
  readonly session: SseSession;
  usedAt: number;
}

/**
 * An HTTP+SSE server (revision 2024-11-05), presented as a Streamable HTTP server: `initialize`
 * opens an event stream, which becomes a session with an id.
 */
export class SseServer {
  readonly #options: SseServerOptions;
  readonly #sessions = new Map<string, OpenSession>();

  constructor(options: SseServerOptions) {
    this.#options = options;
  }

  /** Sends a request of Streamable HTTP. @throws as the transport. */
  async open(request: TransportRequest): Promise<OpenedExchange> {
    const id = request.headers['mcp-session-id'];
    const session = id === undefined ? undefined : this.#used(id);
    if (request.method === 'GET') return this.#get(request, session);
    if (request.method !== 'POST') {
      session?.close(new Error('the session was deleted'));
      return this.#local(request, session ? localResponse(200) : notFound());
    }
    const message = messageOf(request);
    if (!message) return this.#local(request, localError(400, null, -32600, 'one message is expected'));
    if (session) return this.#report(request, await session.post(request, message));
    if (message.method === 'initialize') {
      const opened = await this.initialize(request);
      if (!('refused' in opened)) return opened;
      const { refused } = opened;
      return refused ? this.#report(request, refused) : this.#local(request, notFound(message.id));
    }
    if (id !== undefined) return this.#local(request, notFound(message.id));
    return this.#local(
      request,
      localError(400, message.id, -32000, 'this server expects initialize as the first request'),
    );
  }

  /** Opens a session. @param maxOpenMs - the longest wait for it; absent: that of the request. */
  async initialize(request: TransportRequest, maxOpenMs?: number): Promise<OpenedExchange | NoStream> {
    this.#closeIdle();
    if (this.#sessions.size >= MAX_SESSIONS)
      return this.#local(request, localError(503, undefined, -32000, 'too many sessions are open'));
    const session = await SseSession.open(request, {
      ...this.#options,
      maxOpenMs,
      onEnd: ({ id }) => void this.#sessions.delete(id),
    });
    if ('refused' in session) return session;
    this.#sessions.set(session.id, { session, usedAt: this.#options.clock.monotonic() });
    try {
      const opened = await session.post(request, messageOf(request) ?? {});
      if (opened.response.status >= 300) session.close(new Error('initialize was refused'));
      return this.#report(request, opened);
    } catch (error) {
      session.close(toError(error));
      throw error;
    }
  }

  close(reason: Error): void {
    for (const { session } of [...this.#sessions.values()]) session.close(reason);
  }

  #get(request: TransportRequest, session: SseSession | undefined): OpenedExchange {
    if (session) return this.#report(request, session.standalone(request));
    const isUnknown = request.headers['mcp-session-id'] !== undefined;
    return this.#local(request, isUnknown ? notFound() : localResponse(405, undefined, { allow: 'POST' }));
  }

  #used(id: string): SseSession | undefined {
    const open = this.#sessions.get(id);
    if (open) open.usedAt = this.#options.clock.monotonic();
    return open?.session;
  }

  #closeIdle(): void {
    const since = this.#options.clock.monotonic() - MAX_IDLE_MS;
    for (const { session, usedAt } of [...this.#sessions.values()])
      if (usedAt < since && !session.inUse) session.close(new Error('the session was idle'));
  }

  /** A response without a request to the server. */
  #local(request: TransportRequest, response: Incoming): OpenedExchange {
    const sessionId = request.headers['mcp-session-id'];
    const facts = { signed: false, principal: undefined, providerName: undefined, skewMs: undefined };
    return this.#report(request, { ...facts, response, lease: overLease(), sessionId });
  }

  #report({ observer }: TransportRequest, opened: OpenedExchange): OpenedExchange {
    observer.onOpened?.(opened);
    return opened;
  }
}

/** The words of Streamable HTTP servers for a session that has ended. */
const notFound = (id?: unknown): Incoming => localError(404, id, -32001, 'Session not found');

function messageOf({ body }: TransportRequest): Readonly<Record<string, unknown>> | undefined {
  try {
    const message: unknown = JSON.parse(typeof body === 'string' ? body : Buffer.from(body ?? '').toString());
    return isObject(message) ? message : undefined;
  } catch {
    return undefined;
  }
}
