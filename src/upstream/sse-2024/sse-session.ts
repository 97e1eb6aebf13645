import { randomUUID } from 'node:crypto';
import type { SigningTarget } from '../../auth/signing.ts';
import { toError } from '../../core/errors/errors.ts';
import { hasMoreContainers } from '../../core/jsonrpc/containers.ts';
import { isObject } from '../../core/jsonrpc/message.ts';
import type { ReadLimit } from '../../core/jsonrpc/read-limit.ts';
import type { Clock } from '../../core/time/clock.ts';
import { type HttpHeaders, Incoming, mediaTypeOf } from '../http/incoming.ts';
import { SseParser } from '../stream/sse.ts';
import type { OpenedExchange, TransportRequest } from '../transport/signed-transport.ts';
import { foreignSession } from '../transport/transport-errors.ts';
import { EarlyMessages } from './early-messages.ts';
import { readEndpointEvent } from './endpoint-event.ts';
import { eventOf, overLease } from './local-response.ts';

export interface SseSessionDeps {
  readonly profile: string;
  /** The URL of the event stream. */
  readonly url: URL;
  readonly readLimit: ReadLimit;
  readonly clock: Clock;
  /** The longest wait for the `endpoint` event; undefined: the time limit of the request. */
  readonly maxOpenMs: number | undefined;
  /** Sends a request of the HTTP+SSE transport, with credentials. */
  readonly send: (request: TransportRequest) => Promise<OpenedExchange>;
  readonly onDropped: (reason: string) => void;
  /** Called once, when the stream has ended. */
  readonly onEnd: (session: SseSession) => void;
}

type Json = Readonly<Record<string, unknown>>;

/** A request whose response comes on the stream of the session. */
interface AwaitedResponse {
  readonly incoming: Incoming;
  readonly progressToken: unknown;
  readonly leave: () => void;
}

const EVENT_STREAM: HttpHeaders = { 'content-type': 'text/event-stream' };
const keyOf = (id: unknown): string => `${typeof id} ${String(id)}`;

/**
 * One session of an HTTP+SSE server (2024-11-05): an event stream, which is the session, and the
 * URL that messages are posted to. Responses are handed out as those of a Streamable HTTP server.
 */
export class SseSession {
  readonly id = randomUUID();
  readonly #deps: SseSessionDeps;
  readonly #stream: OpenedExchange;
  readonly #stop: AbortController;
  readonly #waiting = new Map<string, AwaitedResponse>();
  readonly #early = new EarlyMessages();
  #standalone: Incoming | undefined;
  readonly #paused = new Set<object>();
  #resumed: (() => void) | undefined;
  #target: SigningTarget | undefined;
  #settleEndpoint: { resolve(): void; reject(error: unknown): void } | undefined;
  #over = false;

  private constructor(stream: OpenedExchange, stop: AbortController, deps: SseSessionDeps) {
    this.#stream = stream;
    this.#stop = stop;
    this.#deps = deps;
  }

  /**
   * Opens the event stream and waits for its `endpoint` event.
   * @returns the response to GET, where it is no event stream; undefined after `maxOpenMs`.
   * @throws ProxyError as the transport; unusable-answer for an invalid endpoint event.
   */
  static async open(
    { headers, signal, admits, affinity, record, span, share, observer }: TransportRequest,
    deps: SseSessionDeps,
  ): Promise<SseSession | { readonly refused: OpenedExchange | undefined }> {
    const stop = new AbortController();
    const leave = (): void => stop.abort(signal.reason);
    const { clock, maxOpenMs } = deps;
    let late = false;
    const timer =
      maxOpenMs === undefined
        ? undefined
        : clock.schedule(maxOpenMs, () => {
            late = true;
            stop.abort(new Error('no endpoint event came in time'));
          });
    signal.throwIfAborted();
    signal.addEventListener('abort', leave, { once: true });
    try {
      const opened = await deps.send({
        method: 'GET',
        lane: 'stream',
        headers: { ...withoutSession(headers), accept: 'text/event-stream' },
        idempotent: true,
        signal: stop.signal,
        ...{ admits, affinity, record, span, share },
        observer: { onAttempt: () => undefined, onWait: (reason) => observer.onWait?.(reason) },
      });
      const { response } = opened;
      if (response.status !== 200 || mediaTypeOf(response.headers) !== 'text/event-stream')
        return { refused: opened };
      const session = new SseSession(opened, stop, deps);
      const endpoint = new Promise<void>((resolve, reject) => {
        session.#settleEndpoint = { resolve, reject };
      });
      void session.#read();
      const onStop = (): void => session.close(new Error('the opening was stopped'));
      stop.signal.addEventListener('abort', onStop, { once: true });
      await endpoint;
      return session;
    } catch (error) {
      stop.abort(error);
      signal.throwIfAborted();
      if (late) return { refused: undefined };
      throw error;
    } finally {
      timer?.cancel();
      signal.removeEventListener('abort', leave);
    }
  }

  /** True while requests wait for responses, or a client reads the stream. */
  get inUse(): boolean {
    return this.#waiting.size > 0 || this.#standalone !== undefined;
  }

  /** Posts a message. The response to a request is an event stream that ends with it. */
  async post(request: TransportRequest, message: Json): Promise<OpenedExchange> {
    const waiting = 'method' in message && 'id' in message ? this.#wait(request, message) : undefined;
    let opened: OpenedExchange;
    try {
      opened = await this.#send(request);
    } catch (error) {
      waiting?.leave();
      throw error;
    }
    const { response } = opened;
    const isAccepted = response.status >= 200 && response.status < 300;
    if (response.status === 404) this.close(new Error('the server does not know the session'));
    if (!waiting || !isAccepted) {
      waiting?.leave();
      return { ...opened, sessionId: this.id };
    }
    // The connection is free for the next message.
    await response.drain().catch(() => undefined);
    return { ...opened, response: waiting.incoming, sessionId: this.id };
  }

  /** Opens the stream of messages that belong to no request. */
  standalone({ signal, admits, observer, onStart }: TransportRequest): OpenedExchange {
    if (admits?.(this.#stream.principal) === false) throw foreignSession(this.#deps.profile);
    this.#standalone?.end();
    const incoming = this.#newIncoming(EVENT_STREAM);
    this.#standalone = incoming;
    for (const event of this.#early.takeAll()) incoming.push(event);
    signal.addEventListener('abort', () => {
      if (this.#standalone === incoming) this.#standalone = undefined;
      this.#discard(incoming, new Error('the client left'));
    });
    const lease = overLease();
    observer.onAttempt(lease);
    onStart?.();
    return { ...this.#stream, response: incoming, lease, skewMs: undefined, sessionId: this.id };
  }

  /** Ends the session: the server notices by the end of the stream. */
  close(reason: Error): void {
    // First, because the abort closes again.
    this.#end(reason);
    this.#stop.abort(reason);
    this.#stream.lease.cancel(reason);
  }

  #send(request: TransportRequest): Promise<OpenedExchange> {
    const { observer } = request;
    return this.#deps.send({
      ...request,
      headers: withoutSession(request.headers),
      target: this.#target,
      // The response to the request comes on the stream.
      observer: {
        onAttempt: (lease) => observer.onAttempt(lease),
        onWait: (reason) => observer.onWait?.(reason),
      },
    });
  }

  #wait({ signal, opensSession }: TransportRequest, { id, params }: Json): AwaitedResponse {
    const key = keyOf(id);
    const headers = opensSession ? { ...EVENT_STREAM, 'mcp-session-id': this.id } : EVENT_STREAM;
    const incoming = this.#newIncoming(headers);
    const onAbort = (): void => {
      leave();
      this.#discard(incoming, signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    };
    const leave = (): void => {
      signal.removeEventListener('abort', onAbort);
      if (this.#waiting.get(key)?.incoming === incoming) this.#waiting.delete(key);
    };
    const meta = isObject(params) && isObject(params._meta) ? params._meta : {};
    const waiting = { incoming, progressToken: meta.progressToken, leave };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(key, waiting);
    return waiting;
  }

  /** Reading pauses while one of the readers is slow, because all share one socket. */
  #newIncoming(headers: HttpHeaders): Incoming {
    const flow = {
      pause: () => void this.#paused.add(incoming),
      resume: () => {
        this.#paused.delete(incoming);
        if (this.#paused.size === 0) this.#resumed?.();
      },
    };
    const incoming = new Incoming(200, headers, flow);
    return incoming;
  }

  #discard(incoming: Incoming, reason: Error): void {
    incoming.fail(reason);
    incoming.takeUnread();
  }

  async #read(): Promise<void> {
    const { readLimit, url } = this.#deps;
    const sink = {
      event: ({ data }: { readonly data: Buffer | undefined }) => {
        if (data) this.#receive(data);
      },
      retry: () => undefined,
      skipped: () => this.#failAll(readLimit.tooLong()),
      other: (type: string, data: Buffer) => {
        if (type !== 'endpoint' || this.#target) return;
        this.#target = readEndpointEvent(data.toString('utf8'), url);
        this.#settleEndpoint?.resolve();
      },
    };
    const parser = new SseParser(sink, readLimit.bytes);
    try {
      for await (const chunk of this.#stream.response.chunks()) {
        parser.push(chunk);
        if (this.#paused.size > 0)
          await new Promise<void>((resolve) => {
            this.#resumed = resolve;
          });
      }
      throw new Error('the server closed the event stream of the session');
    } catch (error) {
      this.close(toError(error));
    }
  }

  #receive(data: Buffer): void {
    const { readLimit } = this.#deps;
    if (hasMoreContainers(data, readLimit.containers)) {
      this.#failAll(readLimit.tooMany());
      return;
    }
    let message: unknown;
    try {
      message = JSON.parse(data.toString('utf8'));
    } catch {
      message = undefined;
    }
    if (!isObject(message)) {
      this.#deps.onDropped('an event that is no JSON-RPC message');
      return;
    }
    if ('method' in message) this.#route(eventOf(data), message);
    else this.#answer(eventOf(data), message.id);
  }

  #answer(event: Buffer, id: unknown): void {
    const waiting = this.#waiting.get(keyOf(id));
    if (!waiting) {
      this.#deps.onDropped('a response that no request waits for');
      return;
    }
    waiting.leave();
    waiting.incoming.push(event);
    waiting.incoming.end();
  }

  /** Progress belongs to its request; the rest to the client's own stream, if it has one. */
  #route(event: Buffer, { method, params }: Json): void {
    const all = [...this.#waiting.values()];
    const token = method === 'notifications/progress' && isObject(params) ? params.progressToken : undefined;
    const owner = token === undefined ? undefined : all.find((each) => each.progressToken === token);
    const receiver = owner?.incoming ?? this.#standalone ?? all.at(-1)?.incoming;
    if (receiver) receiver.push(event);
    else if (!this.#early.keep(event))
      this.#deps.onDropped('a message before the client has opened a stream');
  }

  #failAll(error: Error): void {
    for (const { incoming, leave } of [...this.#waiting.values()]) {
      leave();
      incoming.fail(error);
    }
  }

  #end(reason: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#settleEndpoint?.reject(reason);
    this.#failAll(reason);
    this.#standalone?.end();
    this.#standalone = undefined;
    this.#paused.clear();
    this.#resumed?.();
    this.#deps.onEnd(this);
  }
}

/** The session of a client of Streamable HTTP means nothing to the server. */
function withoutSession(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { 'mcp-session-id': _, 'last-event-id': _last, ...rest } = headers;
  return rest;
}
