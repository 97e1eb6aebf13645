import type { Authorizer } from '../../auth/authorizer.ts';
import type { CredentialProvider } from '../../auth/credentials/caching-provider.ts';
import type { SigningTarget } from '../../auth/signing.ts';
import { causeText, toError } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { PerProfile } from '../../core/pipeline/per-profile.ts';
import type { Clock } from '../../core/time/clock.ts';
import { isAgentCore } from '../../endpoint/endpoint.ts';
import { authorityOfUrl, type ConnectAddress, createConnector } from '../http/connect.ts';
import { ConnectionPool } from '../http/connection-pool.ts';
import type { ProxySettings } from '../http/http-proxy.ts';
import { createSdkHttpHandler } from '../http/sdk-http.ts';
import { caBundleOf, trustedCertificates } from '../http/trust.ts';
import type { Connector } from '../http/undici.ts';
import { type Lane, SignedTransport, type SignedTransportOptions } from './signed-transport.ts';

/**
 * The second opens only while the first is busy, so that a response never waits for a cancellation.
 */
const MAX_CONTROL_CONNECTIONS = 2;
/** The same for the clients of a listener: one chatty client must not delay others. */
const MAX_CONTROL_CONNECTIONS_OF_LISTENER = 32;
/** Kept open beyond --max-keepalive-connections. */
const MAX_IDLE_CONTROL_CONNECTIONS = 1;

export interface TransportsOptions {
  readonly endpoint: URL;
  readonly target: SigningTarget;
  /** The service that requests are signed for; undefined if they are not, or it is unknown. */
  readonly service: string | undefined;
  /**
   * `requestHandler` goes to every AWS SDK client, so that its calls take the same HTTP proxy and
   * certificates; `connect` is for other libraries.
   */
  readonly createAuthorizer: (profile: string, requestHandler: unknown, connect: Connector) => Authorizer;
  /** Absent: Streamable HTTP only. */
  readonly createTransport?: ((options: SignedTransportOptions) => SignedTransport) | undefined;
  readonly readProfileCaBundle: (profile: string) => Promise<string | undefined>;
  readonly caBundle: string | undefined;
  readonly proxy: ProxySettings;
  readonly env: NodeJS.ProcessEnv;
  readonly maxConnections: number;
  readonly maxIdleConnections: number;
  readonly keepAliveTimeoutMs: number;
  /** 0 = no end. */
  readonly lifetimeMs: number;
  /** The address that connections to the endpoint use instead of its host. */
  readonly connectTo: ConnectAddress | undefined;
  readonly manyClients?: boolean;
  readonly connectTimeoutMs: number;
  readonly headers: () => Readonly<Record<string, string>>;
  /** Bytes of --max-line; 0 = no limit. */
  readonly maxLineBytes: number;
  readonly clock: Clock;
  readonly events: Events;
}

/** The transport of one profile with its parts. */
export interface ProfileTransport {
  readonly transport: SignedTransport;
  /** Opens sockets as requests do; credential calls use it too. */
  readonly connect: Connector;
  readonly authorizer: Authorizer;
  /** The AWS credentials that sign; undefined where none do. */
  readonly credentials: CredentialProvider | undefined;
}

export interface Transports {
  /** Created on first use; nothing is opened, read or resolved earlier. */
  profileTransport(profile: string): ProfileTransport;
  transportOf(profile: string): SignedTransport;
  /** The transport of a profile, if it was created. */
  peek(profile: string): SignedTransport | undefined;
  /** Closes all connections and credential providers. */
  close(): void;
}

/** One transport per profile, because AWS ties sessions and limits to the identity. */
export function createTransports(options: TransportsOptions): Transports {
  const transports = new PerProfile((profile) => openTransport(profile, options));
  return {
    profileTransport: (profile) => transports.of(profile),
    transportOf: (profile) => transports.of(profile).transport,
    peek: (profile) => transports.peek(profile)?.transport,
    close() {
      for (const { transport, authorizer } of transports.all()) {
        authorizer.close();
        transport.close();
      }
    },
  };
}

const awaitedText = (max: number): string =>
  `a request waited because every connection was busy (--max-connections ${max}): raise it if the server takes more requests at once. This is logged once for each profile`;

function openTransport(profile: string, options: TransportsOptions): ProfileTransport {
  const { endpoint, target, service, events, clock } = options;
  const connect = lazyConnector(() => profileConnector(profile, options));
  const lane = (name: Lane, max: number, keep: number, onWait?: () => void): ConnectionPool =>
    new ConnectionPool({
      origin: endpoint.origin,
      connect,
      max,
      maxIdle: keep,
      keepAliveTimeoutMs: options.keepAliveTimeoutMs,
      lifetimeMs: options.lifetimeMs,
      clock,
      onOpen: () => events.emit({ type: 'connection.opened', profile, lane: name }),
      onClose: () => events.emit({ type: 'connection.closed', profile, lane: name }),
      ...(onWait ? { onWait } : {}),
    });
  let hasWaited = false;
  const onWait = (): void => {
    // Once: with more calls than connections, each of them waits.
    if (hasWaited) return;
    hasWaited = true;
    events.emit({ type: 'connection.awaited', profile, message: awaitedText(options.maxConnections) });
  };
  const authorizer = options.createAuthorizer(profile, createSdkHttpHandler(connect, clock), connect);
  const create = options.createTransport ?? ((given) => new SignedTransport(given));
  const transport = create({
    profile,
    host: endpoint.host,
    target,
    authorizer,
    lanes: {
      request: lane('request', options.maxConnections, options.maxIdleConnections, onWait),
      control: lane(
        'control',
        options.manyClients ? MAX_CONTROL_CONNECTIONS_OF_LISTENER : MAX_CONTROL_CONNECTIONS,
        MAX_IDLE_CONTROL_CONNECTIONS,
      ),
      // One per session, which lives as long as the session.
      stream: lane('stream', Number.POSITIVE_INFINITY, 0),
    },
    affinity: { url: endpoint.href, routes: isAgentCore(endpoint, service) },
    headers: options.headers,
    maxLineBytes: options.maxLineBytes,
    clock,
    events,
  });
  return {
    transport,
    connect,
    authorizer,
    get credentials() {
      return authorizer.credentials;
    },
  };
}

/** The CA bundle may be named in the profile's file, which is read only when needed. */
async function profileConnector(profile: string, options: TransportsOptions): Promise<Connector> {
  const { caBundle, env, proxy, connectTimeoutMs, connectTo } = options;
  const named = caBundleOf({ caBundle, profileCaBundle: undefined, env });
  const needsTls = options.endpoint.protocol === 'https:';
  const profileCaBundle = named || !needsTls ? undefined : await options.readProfileCaBundle(profile);
  const trust = { caBundle, profileCaBundle, env };
  try {
    return createConnector({
      proxy,
      ca: trustedCertificates(trust),
      timeoutMs: connectTimeoutMs,
      // For the endpoint only, not for credential calls.
      redirect: connectTo && { of: authorityOfUrl(options.endpoint), to: connectTo },
    });
  } catch (error) {
    const bundle = caBundleOf(trust);
    throw new Error(`the CA file of ${bundle?.from} cannot be read: ${causeText(error)}`, { cause: error });
  }
}

function lazyConnector(make: () => Promise<Connector>): Connector {
  let made: Promise<Connector> | undefined;
  return (options, callback) => {
    made ??= make().catch((error: unknown) => {
      // A missing file may exist at the next attempt.
      made = undefined;
      throw error;
    });
    made.then(
      (connect) => connect(options, callback),
      (error: unknown) => callback(toError(error), null),
    );
  };
}
