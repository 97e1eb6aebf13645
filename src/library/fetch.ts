import { signingTarget } from '../auth/signing.ts';
import { causeText } from '../core/errors/errors.ts';
import { classify } from '../core/jsonrpc/message.ts';
import { Events } from '../core/pipeline/events.ts';
import { systemClock } from '../core/time/clock.ts';
import { logTo } from '../observe/program-logger.ts';
import { type Incoming, isEncoded } from '../upstream/http/incoming.ts';
import type { Lease } from '../upstream/http/lease.ts';
import type { SignedTransport, TransportRequest } from '../upstream/transport/signed-transport.ts';
import { Wiring } from '../wiring.ts';
import { type CreateProxyOptions, PROGRAM_OPTIONS } from './create-proxy.ts';
import { OptionsError } from './options-error.ts';
import type { PROXY_OPTION_KEYS } from './proxy-options.ts';
import { settingsFrom } from './read-options.ts';

/** The options of connections, signatures and credentials: others would have no effect. */
const FETCH_OPTION_KEYS = [
  ...[
    'service',
    'region',
    'profile',
    'roleArn',
    'roleSessionName',
    'externalId',
    'skipAuth',
    'auth',
    'header',
  ],
  ...['caBundle', 'proxy', 'userAgent', 'maxConnections', 'maxKeepaliveConnections', 'keepaliveTimeout'],
  ...['connectionLifetime', 'connectTo', 'connectTimeout'],
] as const satisfies readonly (typeof PROXY_OPTION_KEYS)[number][];

/** The options of `createSigV4Fetch`. */
export interface SigV4FetchOptions
  extends Pick<
    CreateProxyOptions,
    (typeof FETCH_OPTION_KEYS)[number] | 'env' | 'credentials' | 'clock' | 'events' | 'logger'
  > {
  /** The only origin that requests may go to. Default: any https origin, and http on loopback. */
  readonly endpoint?: string | URL | undefined;
}

/** A `fetch` that signs. */
export interface SigV4Fetch {
  /** As the global `fetch`; redirects are returned and never followed. */
  (input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Closes the connections, and ends the refresh of credentials. */
  close(): void;
}

/** The maximum number of origins: each has its own connections. */
const MAX_ORIGINS = 64;
/** Headers that are not sent: the connection sets them, or decodes what they describe. */
const CONNECTION_HEADERS =
  /^(host|connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|expect|accept-encoding|proxy-.*)$/;
const NO_BODY_STATUSES: ReadonlySet<number> = new Set([101, 204, 205, 304]);
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The engine for one origin. */
type OriginTransport = Promise<{ readonly wiring: Wiring; readonly transport: SignedTransport }>;

/**
 * Creates a `fetch` that signs each request with SigV4, shares connections and refreshes
 * credentials, for `new StreamableHTTPClientTransport(url, { fetch })` and other uses. Service and
 * region come from the host, unless options name them.
 * @throws OptionsError from the first request, where an option is invalid.
 */
export function createSigV4Fetch(options: SigV4FetchOptions = {}): SigV4Fetch {
  const { endpoint, clock = systemClock, events = new Events(), credentials, logger } = options;
  if (logger) logTo(logger, events, clock);
  const only = endpoint === undefined ? undefined : originOf(endpoint);
  const origins = new Map<string, OriginTransport>();
  let closed = false;
  const transportFor = (url: URL): OriginTransport => {
    const existing = origins.get(url.origin);
    if (existing) return existing;
    if (origins.size >= MAX_ORIGINS)
      throw new TypeError(
        `fetch: requests went to ${MAX_ORIGINS} origins, the maximum; create another fetch`,
      );
    const made = createTransport(url);
    origins.set(url.origin, made);
    made.catch(() => origins.delete(url.origin));
    return made;
  };
  const createTransport = async (url: URL): Promise<Awaited<OriginTransport>> => {
    const settings = await settingsFrom(
      { ...options, endpoint: `${url.origin}${url.pathname}` },
      { what: 'createSigV4Fetch', keys: FETCH_OPTION_KEYS, others: PROGRAM_OPTIONS },
    );
    const wiring = new Wiring(settings, { clock, events, credentials });
    return { wiring, transport: wiring.transports.transportOf(settings.defaultProfile) };
  };
  const signedFetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    if (closed) throw new TypeError('fetch: it was closed by close()');
    if (only !== undefined && url.origin !== only)
      throw new TypeError(`fetch: requests may go to ${only} only, not to ${url.origin}`);
    const { transport, wiring } = await transportFor(url);
    if (closed) wiring.transports.close();
    return send(request, url, transport);
  };
  const close = (): void => {
    closed = true;
    for (const made of origins.values())
      made.then(
        ({ wiring }) => wiring.transports.close(),
        () => undefined,
      );
    origins.clear();
  };
  return Object.assign(signedFetch, { close });
}

/** @throws OptionsError */
function originOf(endpoint: string | URL): string {
  if (URL.canParse(String(endpoint))) return new URL(endpoint).origin;
  throw new OptionsError('createSigV4Fetch', [{ field: 'endpoint', message: 'endpoint must be a URL' }]);
}

async function send(request: Request, url: URL, transport: SignedTransport): Promise<Response> {
  const { method, signal } = request;
  const headers: Record<string, string> = {};
  for (const [name, value] of request.headers) {
    if (name === 'authorization' || name.startsWith('x-amz-'))
      throw new TypeError(`fetch: the header ${name} is set by the signature; remove it`);
    if (!CONNECTION_HEADERS.test(name) && name !== 'content-type') headers[name] = value;
  }
  const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer());
  const contentType = request.headers.get('content-type') ?? 'application/octet-stream';
  let lease: Lease | undefined;
  try {
    const { response } = await transport.open({
      method,
      target: signingTarget(url),
      lane: laneOf(request, body),
      headers,
      body,
      contentType,
      idempotent: SAFE_METHODS.has(method),
      signal,
      observer: {
        onAttempt: (attempt) => {
          lease = attempt;
          attempt.cancelOn(signal);
        },
      },
    });
    return toResponse(response, () => lease);
  } catch (error) {
    signal.throwIfAborted();
    throw new TypeError(`fetch failed: ${causeText(error)}`, { cause: error });
  }
}

/** Separates streams and control messages from requests, so that they never wait behind them. */
function laneOf({ method, headers }: Request, body: Uint8Array | undefined): TransportRequest['lane'] {
  if (method === 'GET' && headers.get('accept')?.includes('text/event-stream')) return 'stream';
  if (method === 'DELETE' && headers.has('mcp-session-id')) return 'deletion';
  if (method !== 'POST' || !body || !headers.get('content-type')?.includes('json')) return 'request';
  try {
    const text = Buffer.from(body).toString();
    const message = classify(text, JSON.parse(text));
    return typeof message === 'string' || message.kind === 'request' ? 'request' : 'control';
  } catch {
    return 'request';
  }
}

function toResponse(incoming: Incoming, leaseOf: () => Lease | undefined): Response {
  const headers = new Headers();
  const decoded = isEncoded(incoming.headers);
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (decoded && (name === 'content-encoding' || name === 'content-length')) continue;
    for (const each of Array.isArray(value) ? value : [value ?? '']) headers.append(name, each);
  }
  const init = { status: incoming.status, headers };
  if (NO_BODY_STATUSES.has(incoming.status)) {
    void incoming.drain().catch(() => undefined);
    return new Response(null, init);
  }
  const chunks = incoming.chunks()[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
    cancel(reason: unknown) {
      leaseOf()?.cancel(reason instanceof Error ? reason : new Error('cancelled'));
    },
  });
  return new Response(stream, init);
}
