import { Capacity } from './client/http/capacity.ts';
import type { HttpHandler } from './client/http/handler.ts';
import type { ListenerSettings } from './client/http/options.ts';
import type { Tokens } from './client/http/tokens.ts';
import type { Users } from './client/http/users/users.ts';
import type { Events } from './core/pipeline/events.ts';
import type { Peers } from './core/pipeline/peers.ts';
import type { Clock } from './core/time/clock.ts';
import type { StreamLimits } from './http-clients.ts';
import { usesXray } from './observe/tracing/telemetry-variables.ts';
import type { Settings } from './settings.ts';
import type { Connector } from './upstream/http/undici.ts';

/** The part of the proxy that connects HTTP clients. */
interface HttpConnector {
  connectHttp(limits: StreamLimits, profile?: string): HttpHandler;
}

/** The handlers of a listener's clients, and what they share. */
export interface ListenerHandlers {
  readonly limits: StreamLimits;
  readonly handlers: HttpHandler;
  /** Undefined with one profile. */
  readonly paths: ReadonlyMap<string, HttpHandler> | undefined;
  /** Names of headers that are forwarded in addition to the default ones. */
  readonly forwardedHeaders: ReadonlySet<string>;
}

/** How the clients of a listener authenticate themselves, and the workers that share them. */
export interface ListenerCallers {
  readonly tokens: Tokens;
  readonly users: Users | undefined;
  readonly peers?: Peers | undefined;
}

/** Connects the clients of a listener. */
export function connectListener(
  proxy: HttpConnector,
  settings: Settings,
  { maxStreams, forwardedHeaders }: ListenerSettings,
  { tokens, users, peers }: ListenerCallers,
): ListenerHandlers {
  const limits = {
    peers,
    maxStreams,
    streams: new Capacity(maxStreams),
    soleCaller: () => !tokens.several && !users,
  };
  return {
    limits,
    handlers: proxy.connectHttp(limits),
    paths: profilePaths(settings, (profile) => proxy.connectHttp(limits, profile)),
    forwardedHeaders: usesXray(settings.env)
      ? new Set([...forwardedHeaders, 'x-amzn-trace-id'])
      : forwardedHeaders,
  };
}

/** The handlers by path; undefined with one profile. Pure. */
function profilePaths(
  { profiles, listenPath }: Settings,
  connect: (profile: string) => HttpHandler,
): ReadonlyMap<string, HttpHandler> | undefined {
  if (profiles.length < 2) return undefined;
  const path = listenPath.replace(/\/$/, '');
  return new Map(profiles.map((profile) => [`${path}/${encodeURIComponent(profile)}`, connect(profile)]));
}

/** The limits of one document of --listen-issuer: keys and metadata take a few kilobytes. */
const ISSUER_LIMITS = { ms: 5_000, bytes: 256 * 1024 };

export interface UsersDeps {
  /** The connector with the HTTP proxy and the certificates of the endpoint. */
  readonly connectorOf: () => Connector;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Verifies the access tokens of --listen-issuer, whose keys are read when the first token arrives;
 * undefined without the option.
 */
export async function openUsers(
  { users, path, tls, tokens, tokenFile }: ListenerSettings,
  { connectorOf, clock, events }: UsersDeps,
): Promise<Users | undefined> {
  if (!users) return undefined;
  const [{ Users: Opened }, { createWebFetch }] = await Promise.all([
    import('./client/http/users/users.ts'),
    import('./upstream/http/web-fetch.ts'),
  ]);
  const fetch = createWebFetch(connectorOf(), clock, ISSUER_LIMITS);
  const { issuer } = users;
  return new Opened({
    ...users,
    path,
    scheme: tls ? 'https' : 'http',
    takesTokens: tokens.length > 0 || tokenFile !== undefined,
    get: async (url, signal) => {
      const response = await fetch(url, { signal, headers: { accept: 'application/json' } });
      return { status: response.status, text: await response.text() };
    },
    clock,
    onKeysRead: (keys) => events.emit({ type: 'listener.issuer-keys-read', issuer, keys }),
    onKeysUnreadable: (problem) =>
      events.emit({
        type: 'listener.issuer-unreachable',
        message: `The keys of --listen-issuer ${issuer} cannot be read: ${problem}. Keys that were read before stay in use for a day. Without keys, requests with access tokens receive 503.`,
      }),
  });
}
