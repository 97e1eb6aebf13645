import { HttpHandler, type HttpHandlerDeps } from './client/http/handler.ts';
import { timeLimits } from './client-wiring.ts';
import { ProxyError } from './core/errors/errors.ts';
import type { Response } from './core/jsonrpc/message.ts';
import type { Handler, Reply } from './core/pipeline/call.ts';
import type { BareRequest } from './core/pipeline/http-context.ts';
import type { Peers } from './core/pipeline/peers.ts';
import { isToolsChanged } from './core/tools/list-changes.ts';
import { redactForwarded } from './layers/redaction.ts';
import { isUnfiltered, visibleTools } from './layers/tool-filter/rules.ts';
import type { Settings } from './settings.ts';
import { toUpstreamHeaders } from './upstream/passthrough/headers.ts';
import { PassThrough } from './upstream/passthrough/pass-through.ts';
import { SECOND_MS, type Wiring } from './wiring.ts';

/** The limits that all HTTP clients of a listener share, and the workers that share them. */
export type StreamLimits = Pick<HttpHandlerDeps, 'maxStreams' | 'streams' | 'soleCaller' | 'peers'>;

const notResumable = (): ProxyError =>
  new ProxyError('invalid-request', 'Invalid request: this listener resumes no stream. It was not sent.', {
    sent: 'no',
  });

export interface HttpClientsDeps {
  readonly hasUserLayers: boolean;
  /** The other workers, which serve the same sessions. */
  readonly peers: Peers | undefined;
}

/**
 * The part of a proxy that serves HTTP clients. It is a separate module, because the stdio start
 * does not need it: it is a tenth of the code.
 */
export class HttpClients {
  readonly #settings: Settings;
  readonly #wiring: Wiring;
  readonly #hasUserLayers: boolean;
  readonly #passThrough: PassThrough;

  constructor(settings: Settings, wiring: Wiring, { hasUserLayers, peers }: HttpClientsDeps) {
    const { clock, events, transports } = wiring;
    this.#settings = settings;
    this.#wiring = wiring;
    this.#hasUserLayers = hasUserLayers;
    this.#passThrough = new PassThrough({
      transportOf: (profile) => transports.transportOf(profile),
      clock,
      events,
      peers,
      readTimeoutMs: settings.readTimeout * SECOND_MS,
    });
  }

  /** The innermost handler for HTTP clients. */
  get handle(): Handler {
    return this.#passThrough.handle;
  }

  /**
   * Connects HTTP clients, which keep their own sessions. One profile signs their requests.
   * @param handler - receives their requests.
   */
  connect(handler: Handler, limits: StreamLimits, profile: string): HttpHandler {
    return new HttpHandler({
      ...handlerDeps(this.#settings, this.#wiring, profile),
      ...limits,
      handler,
      forward: (request) => this.#forward(request),
    });
  }

  /** Forwards a request past the layers. Its errors are redacted too. */
  #forward(request: BareRequest): Promise<Reply> {
    // The program's layers could not change the answers in a resumed stream.
    if (this.#hasUserLayers && request.headers['last-event-id'] !== undefined) throw notResumable();
    return redactForwarded(request.pass, this.#wiring.redactor, (pass) =>
      this.#passThrough.forward({ ...request, pass, edit: this.#editReplay }),
    );
  }

  /** Filters lists of tools in a resumed stream, which passes no layer. */
  get #editReplay(): ((response: Response) => Response) | undefined {
    return isUnfiltered(this.#settings) ? undefined : (response) => visibleTools(response, this.#settings);
  }
}

/** The settings for a handler of HTTP clients. One profile signs their requests. */
function handlerDeps(
  settings: Settings,
  wiring: Wiring,
  profile: string,
): Omit<HttpHandlerDeps, 'handler' | 'forward' | 'maxStreams' | 'streams' | 'soleCaller'> {
  const { toolCacheTtl, headers: own, disableTelemetry } = settings;
  const { 'user-agent': userAgent = '' } = wiring.headersFor('');
  return {
    profile,
    clock: wiring.clock,
    events: wiring.events,
    limits: timeLimits(settings),
    keepaliveMs: settings.sseKeepalive * SECOND_MS,
    heartbeatMs: settings.progressHeartbeat * SECOND_MS,
    mergesPages: settings.pages === 'merge',
    readsLists: settings.whoamiTool || !isUnfiltered(settings) || (toolCacheTtl ?? 0) > 0,
    findTool: (name) => wiring.tools.of(profile).definitionOf(name),
    toUpstreamHeaders: (headers) =>
      toUpstreamHeaders(headers, own, { userAgent, andClient: !disableTelemetry }),
    onNotification: ({ method }) => {
      if (isToolsChanged(method)) wiring.tools.of(profile).invalidate({ clientKnows: true });
    },
  };
}
