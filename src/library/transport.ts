import type { Relay } from '../client/stdio/relay.ts';
import { toError } from '../core/errors/errors.ts';
import type { Client, KnownSession, SendOptions } from '../core/pipeline/call.ts';
import type { McpProxy } from '../proxy.ts';
import { type CreateProxyOptions, createProxy } from './create-proxy.ts';
import { headerMemberProblem } from './header-members.ts';
import { OptionsError } from './options-error.ts';

/** The options of one message, as the MCP SDK passes them. */
export interface TransportSendOptions {
  /** Continues a request after the event with this id, in place of sending it. */
  readonly resumptionToken?: string | undefined;
  /** Receives the id of each event of the request's stream. */
  readonly onresumptiontoken?: ((token: string) => void) | undefined;
  /** Cancels the request when it aborts. */
  readonly requestSignal?: AbortSignal | undefined;
  /** Headers of the HTTP request, not signed. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** The options of a transport besides those of its proxy. */
export interface TransportSessionOptions {
  /** Continues a session of the server; the client then sends no `initialize`. */
  readonly sessionId?: string | undefined;
  /** The protocol version of that session. */
  readonly protocolVersion?: string | undefined;
  /** Headers of all requests of this transport, not signed. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** The options of a transport with a proxy of its own. */
export interface SigV4ClientTransportOptions
  extends Omit<CreateProxyOptions, 'endpoint'>,
    TransportSessionOptions {}

/** @throws OptionsError if the transport sets a header itself, or a value cannot be sent. */
function checkedHeaders(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  const checked: Record<string, string> = {};
  const problems = Object.entries(headers).flatMap(([name, value]) => {
    const isOwned = name.toLowerCase() === 'authorization' || name.toLowerCase() === 'mcp-session-id';
    const problem = isOwned
      ? `must not set ${name}: the transport owns that header`
      : headerMemberProblem(name, value);
    checked[name.toLowerCase()] = value;
    return problem === undefined ? [] : [{ field: 'headers', message: `headers ${problem}` }];
  });
  if (problems.length > 0) throw new OptionsError('SigV4ClientTransport', problems);
  return checked;
}

/**
 * A client transport for the `Client` of `@modelcontextprotocol/sdk` and of
 * `@modelcontextprotocol/client`. Signs every request, shares the connections of its proxy, and
 * opens a lost session again. As with the SDK's transports, `close` leaves the session open at the
 * server, and `terminateSession` ends it.
 */
export class SigV4ClientTransport {
  /** Called once when the transport is closed. The client sets it. */
  onclose?: (() => void) | undefined;
  /** Called for errors that belong to no request. The client sets it. */
  onerror?: ((error: Error) => void) | undefined;
  /** Receives the messages of the server. The client sets it. */
  onmessage?: ((message: object, extra?: object) => void) | undefined;
  readonly #createProxy: () => Promise<McpProxy>;
  readonly #ownsProxy: boolean;
  #headers: Record<string, string>;
  #known: KnownSession | undefined;
  #version: string | undefined;
  #state: 'new' | 'started' | 'closed' = 'new';
  #proxy: McpProxy | undefined;
  #client: Client | undefined;
  #relay: Relay | undefined;
  #notDeleted: string | undefined;
  /** Ends the streams that were resumed. */
  readonly #streams = new AbortController();

  /**
   * @param target - the endpoint, for a proxy of the transport's own, or a proxy that several
   * transports share.
   * @throws OptionsError where `headers` contains a header of the proxy. Other options are checked
   * by `start`.
   */
  constructor(target: string | URL | McpProxy, options: SigV4ClientTransportOptions = {}) {
    const { sessionId, protocolVersion, headers, ...rest } = options;
    this.#headers = checkedHeaders(headers);
    this.#version = protocolVersion;
    this.#known = sessionId === undefined ? undefined : { id: sessionId, version: protocolVersion };
    this.#ownsProxy = typeof target === 'string' || target instanceof URL;
    this.#createProxy = async () =>
      typeof target === 'string' || target instanceof URL
        ? createProxy({ ...rest, endpoint: target })
        : target;
  }

  /**
   * Prepares the transport; `Client.connect` calls it. Sends nothing.
   * @throws OptionsError
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('SigV4ClientTransport: start was called before');
    this.#state = 'started';
    const proxy = await this.#createProxy();
    if (this.#isClosed) {
      if (this.#ownsProxy) proxy.stop();
      throw new Error('SigV4ClientTransport: closed while it started');
    }
    const transport = this;
    this.#proxy = proxy;
    this.#client = {
      ...proxy.nextClient(),
      get headers() {
        return transport.#headers;
      },
      get session() {
        return transport.#known;
      },
      onNotDeleted: (how) => {
        transport.#notDeleted = how;
      },
    };
    this.#relay = proxy.connectClient(async (text) => this.#receive(text), this.#client);
  }

  get #isClosed(): boolean {
    return this.#state === 'closed';
  }

  get #stateText(): string {
    return `SigV4ClientTransport: ${this.#isClosed ? 'closed' : 'not started'}`;
  }

  /** Sends a message, or an array of messages. Resolves when the transport has accepted it. */
  async send(message: object | readonly object[], options: TransportSendOptions = {}): Promise<void> {
    const relay = this.#relay;
    if (!relay || this.#isClosed) throw new Error(this.#stateText);
    const { requestSignal } = options;
    const sending = sendOptionsOf(options);
    requestSignal?.throwIfAborted();
    relay.receive(JSON.stringify(message), sending);
    if (requestSignal && 'id' in message) {
      const params = { requestId: message.id };
      const cancellation = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params });
      requestSignal.addEventListener('abort', () => relay.receive(cancellation), { once: true });
    }
    await relay.overfull;
  }

  #receive(text: string): void {
    if (this.#isClosed) return;
    try {
      this.onmessage?.(JSON.parse(text) as object);
    } catch (error) {
      this.onerror?.(toError(error));
    }
  }

  /** The id of the session; undefined before it is open, or where the server gives none. */
  get sessionId(): string | undefined {
    return (this.#client && this.#proxy?.sessionOf(this.#client))?.id ?? this.#known?.id;
  }

  /** The protocol version of the session. */
  get protocolVersion(): string | undefined {
    return (this.#client && this.#proxy?.sessionOf(this.#client))?.version ?? this.#version;
  }

  /** Sets the protocol version of a continued session. `Client.connect` calls it. */
  setProtocolVersion(version: string): void {
    this.#version = version;
    if (this.#known) this.#known = { ...this.#known, version };
  }

  /**
   * Replaces the headers of all further requests.
   * @throws OptionsError as the constructor.
   */
  setHeaders(headers: Readonly<Record<string, string>>): void {
    this.#headers = checkedHeaders(headers);
  }

  /**
   * Ends the session at the server, waiting at most a second for its answer. A server that answers
   * 405 ends its sessions itself.
   * @throws Error where the server did not end the session, as the SDK's transport does.
   */
  async terminateSession(): Promise<void> {
    if (!this.#client) return;
    this.#notDeleted = undefined;
    await this.#proxy?.closeClient(this.#client, { keep: false });
    this.#known = undefined;
    if (this.#notDeleted === undefined) return;
    const error = new Error(`Failed to terminate session: ${this.#notDeleted}`);
    this.onerror?.(error);
    throw error;
  }

  /**
   * Continues a stream of the session after an event: messages that were sent later arrive again,
   * under their own ids. Resolves when the server has opened the stream.
   * @throws Error where the server does not resume it.
   */
  async resumeStream(
    lastEventId: string,
    { onresumptiontoken: onEventId }: Pick<TransportSendOptions, 'onresumptiontoken'> = {},
  ): Promise<void> {
    const proxy = this.#proxy;
    if (!proxy || this.#isClosed) throw new Error(this.#stateText);
    const session = (this.#client && proxy.sessionOf(this.#client)) ?? this.#known;
    const fail = (error: unknown): Error => {
      const known = toError(error);
      if (!this.#isClosed) this.onerror?.(known);
      return known;
    };
    const { openResumedStream } = await import('./resumed-stream.ts');
    const read = await openResumedStream({
      transport: proxy.defaultTransport,
      session,
      affinity: this.#client && proxy.affinityOf(this.#client),
      headers: this.#headers,
      lastEventId,
      signal: this.#streams.signal,
      deliver: ({ text }) => this.#receive(text),
      onEventId,
      onDropped: (reason) => this.onerror?.(new Error(`SigV4ClientTransport: dropped ${reason}`)),
    }).catch((error: unknown) => {
      throw fail(error);
    });
    void read().catch(fail);
  }

  /**
   * Cuts requests in flight. The session stays open at the server. Resolves when connections of an
   * own proxy are closed. Never throws.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#state = 'closed';
    this.#streams.abort(new Error('SigV4ClientTransport: closed'));
    this.#relay?.abandon();
    this.onclose?.();
    if (this.#client) await this.#proxy?.closeClient(this.#client, { keep: true });
    if (this.#ownsProxy) this.#proxy?.stop();
  }

  /** As `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Undefined for a message without options, to avoid an allocation. */
function sendOptionsOf({
  resumptionToken,
  onresumptiontoken: onResumptionToken,
  headers,
}: TransportSendOptions): SendOptions | undefined {
  if (resumptionToken === undefined && !onResumptionToken && !headers) return undefined;
  // The proxy derives the headers of MCP from the message.
  const own = Object.entries(headers ?? {}).filter(([name]) => !/^mcp-/i.test(name));
  return { resumptionToken, onResumptionToken, headers: checkedHeaders(Object.fromEntries(own)) };
}
