import { shuttingDown } from '../../core/errors/errors.ts';
import { ERROR_BODY } from '../http/incoming.ts';
import { jsonRpcErrorOf } from '../transport/answer.ts';
import {
  type OpenedExchange,
  SignedTransport,
  type SignedTransportOptions,
  type TransportRequest,
} from '../transport/signed-transport.ts';
import type { SseServer } from './sse-server.ts';

export interface FallbackOptions {
  /** The URL of the endpoint. */
  readonly url: URL;
  /** `auto` prefers Streamable HTTP. */
  readonly kind: 'auto' | 'sse';
}

/**
 * A server of another kind may leave the GET open without an event: its first answer counts then.
 */
const MAX_FALLBACK_MS = 5_000;

/** The statuses that the specification names for servers without Streamable HTTP. */
const FALLBACK_STATUSES: ReadonlySet<number> = new Set([400, 404, 405]);

/**
 * The transport of `--transport auto` and `--transport sse`. `auto` decides with `initialize`:
 * where a server refuses the POST as one without Streamable HTTP does, it tries HTTP+SSE
 * (2024-11-05).
 */
export class FallbackTransport extends SignedTransport {
  readonly #options: SignedTransportOptions;
  readonly #url: URL;
  #mode: 'undecided' | 'http' | 'sse';
  #server: Promise<SseServer> | undefined;
  #closed = false;

  constructor(options: SignedTransportOptions, { url, kind }: FallbackOptions) {
    super(options);
    this.#options = options;
    this.#url = url;
    this.#mode = kind === 'sse' ? 'sse' : 'undecided';
  }

  override open(request: TransportRequest): Promise<OpenedExchange> {
    if (this.#mode === 'sse') return this.#load().then((server) => server.open(request));
    return this.#mode === 'undecided' && request.opensSession === true
      ? this.#decide(request)
      : super.open(request);
  }

  override close(): void {
    this.#closed = true;
    this.#server?.then((server) => server.close(shuttingDown())).catch(() => undefined);
    super.close();
  }

  async #decide(request: TransportRequest): Promise<OpenedExchange> {
    const { observer } = request;
    const opened = await super.open({
      ...request,
      observer: {
        onAttempt: (lease) => observer.onAttempt(lease),
        onWait: (reason) => observer.onWait?.(reason),
      },
    });
    const first = (): OpenedExchange => {
      observer.onOpened?.(opened);
      return opened;
    };
    if (opened.response.status < 400) this.#mode = 'http';
    if (!(await mayBeSse(opened))) return first();
    const answer = await (await this.#load()).initialize(request, MAX_FALLBACK_MS);
    if ('refused' in answer) {
      answer.refused?.lease.cancel(new Error('not an event stream'));
      return first();
    }
    this.#mode = 'sse';
    this.#options.events.emit({ type: 'transport.derived', profile: this.profile, transport: 'sse' });
    return answer;
  }

  #load(): Promise<SseServer> {
    if (this.#closed) return Promise.reject(shuttingDown());
    const { profile, clock, events } = this.#options;
    this.#server ??= import('./sse-server.ts').then(
      ({ SseServer }) =>
        new SseServer({
          profile,
          url: this.#url,
          clock,
          readLimit: this.readLimit,
          send: (request) => super.open(request),
          onDropped: (reason) => events.emit({ type: 'upstream.message-dropped', profile, reason }),
        }),
    );
    return this.#server;
  }
}

/** Creates the transports of `--transport`; undefined for Streamable HTTP alone. */
export const transportFactory = (
  kind: string,
  url: URL,
): ((options: SignedTransportOptions) => SignedTransport) | undefined =>
  kind === 'auto' || kind === 'sse' ? (options) => new FallbackTransport(options, { url, kind }) : undefined;

/** A JSON-RPC error comes from an MCP server, which speaks Streamable HTTP. */
async function mayBeSse({ response }: OpenedExchange): Promise<boolean> {
  if (!FALLBACK_STATUSES.has(response.status)) return false;
  const body = await response.readAll(ERROR_BODY).catch(() => undefined);
  return body !== undefined && jsonRpcErrorOf(body) === undefined;
}
