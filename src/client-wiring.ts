import { Capacity } from './client/http/capacity.ts';
import type { HttpHandler, HttpHandlerDeps } from './client/http/handler.ts';
import type { ListenerSettings } from './client/http/options.ts';
import type { Tokens } from './client/http/tokens.ts';
import type { Users } from './client/http/users/users.ts';
import type { RelayDeps } from './client/stdio/relay-deps.ts';
import type { TimeLimits } from './client/time-limit.ts';
import type { Events } from './core/pipeline/events.ts';
import type { Clock } from './core/time/clock.ts';
import { isToolsChanged } from './core/tools/list-changes.ts';
import { isUnfiltered } from './layers/tool-filter/rules.ts';
import { usesXray } from './observe/tracing/asks.ts';
import type { Settings } from './settings.ts';
import type { Connector } from './upstream/http/undici.ts';
import { toUpstreamHeaders } from './upstream/passthrough/headers.ts';
import { SECOND_MS, type Wiring } from './wiring.ts';

function timeLimits({ timeout, toolTimeout, initializeTimeout }: Settings): TimeLimits {
  return {
    timeoutMs: timeout * SECOND_MS,
    toolTimeoutMs: toolTimeout * SECOND_MS,
    initializeTimeoutMs: initializeTimeout * SECOND_MS,
  };
}

/** The settings for the relay of a stdio client. */
export function relayDeps(
  settings: Settings,
  { clock, events }: Wiring,
): Omit<RelayDeps, 'handler' | 'client' | 'send'> {
  return {
    profile: settings.defaultProfile,
    clock,
    events,
    limits: { ...timeLimits(settings), maxLineBytes: settings.maxLine },
    heartbeatMs: settings.progressHeartbeat * SECOND_MS,
  };
}

/** The settings for a handler of HTTP clients, whose requests a profile signs. */
export function httpHandlerDeps(
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

type StreamLimits = Pick<HttpHandlerDeps, 'maxStreams' | 'streams' | 'soleCaller'>;

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

/** Connects the clients of a listener. @param tokens - how its clients authenticate themselves. */
export function connectListener(
  proxy: HttpConnector,
  settings: Settings,
  { maxStreams, forwardedHeaders }: ListenerSettings,
  { tokens, users }: { readonly tokens: Tokens; readonly users: Users | undefined },
): ListenerHandlers {
  const limits = {
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

/** The handlers of the path of each profile, where the listener signs with several. Pure. */
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
  /** The connector over the HTTP proxy, and with the certificates, of the endpoint. */
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
        message: `The keys of --listen-issuer ${issuer} cannot be read: ${problem}. Keys read before stay in use for a day; without any, requests with access tokens are answered 503.`,
      }),
  });
}
