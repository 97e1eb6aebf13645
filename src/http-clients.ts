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
 * The part of a proxy that serves HTTP clients. A module of its own, because stdio does not need
 * it: it is a tenth of the code that a start compiles.
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
   * Connects clients, which keep their own sessions, and whose requests a profile signs.
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

  /** Forwards a request that passes no layer; its errors are redacted all the same. */
  #forward(request: BareRequest): Promise<Reply> {
    // Answers that are repeated would miss what the program's layers change.
    if (this.#hasUserLayers && request.headers['last-event-id'] !== undefined) throw notResumable();
    return redactForwarded(request.pass, this.#wiring.redactor, (pass) =>
      this.#passThrough.forward({ ...request, pass, edit: this.#editReplay }),
    );
  }

  /** A stream that a client resumes may repeat a list of tools, which no layer sees. */
  get #editReplay(): ((response: Response) => Response) | undefined {
    return isUnfiltered(this.#settings) ? undefined : (response) => visibleTools(response, this.#settings);
  }
}

/** The settings for a handler of HTTP clients, whose requests a profile signs. */
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
