import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GivenBody } from '../client/http/given-body.ts';
import type { HttpHandler } from '../client/http/handler.ts';
import type { HttpListener } from '../client/http/server.ts';
import type { Tokens } from '../client/http/tokens.ts';
import { Events } from '../core/pipeline/events.ts';
import type { ListenerState } from '../core/pipeline/proxy-state.ts';
import { systemClock } from '../core/time/clock.ts';
import type { IdentityProxies } from '../identity-proxies.ts';
import { connectListener, openUsers } from '../listener-wiring.ts';
import { type CreateProxyOptions, PROGRAM_OPTIONS, proxyOf } from './create-proxy.ts';
import { HANDLER_OPTION_KEYS, type HandlerOptions } from './handler-options.ts';
import type { ObservedProxy } from './observed-proxy.ts';
import { PROXY_OPTION_KEYS } from './proxy-options.ts';
import { settingsFrom } from './read-options.ts';

/** The options of `createListener`. */
export interface CreateListenerOptions extends CreateProxyOptions, HandlerOptions {
  /**
   * True where the program authenticates each client before it calls the handler. By default, the
   * handler without `listenToken` serves clients on loopback addresses only, because it signs
   * their requests with the credentials of the program.
   */
  readonly authenticated?: boolean | undefined;
}

/** Handles one request of an HTTP server. */
export type ListenerHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  /** The raw body, where a framework has read it; other values are ignored. */
  body?: GivenBody | ((error?: unknown) => void),
) => void;

/** MCP clients of an HTTP server of the program, relayed to one endpoint. */
export interface Listener {
  /**
   * Handles a request: pass it to `http.createServer`, or mount it in Express, Hono or Fastify,
   * before middleware that reads bodies. It needs no `this`.
   */
  readonly handler: ListenerHandler;
  /** The proxy behind, for its metrics and its state. */
  readonly proxy: ObservedProxy;
  /** The connections, requests and streams at this moment. */
  state(): Omit<ListenerState, 'url'>;
  /**
   * Ends streams, lets requests in flight finish within `drainTimeout`, and closes the proxy. The
   * server stays open: close it first, so that no new request arrives. Never throws.
   */
  close(): Promise<void>;
  /** As `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Creates a handler that serves MCP over Streamable HTTP on a server of the program, with the
 * checks and limits of `--listen`. TLS, time limits and the number of connections are
 * those of the server.
 * @throws OptionsError with all problems.
 */
export async function createListener(options: CreateListenerOptions = {}): Promise<Listener> {
  const { authenticated = false, clock = systemClock, events = new Events() } = options;
  const settings = await settingsFrom(options as Readonly<Record<string, unknown>>, {
    what: 'createListener',
    keys: [...PROXY_OPTION_KEYS, ...HANDLER_OPTION_KEYS],
    others: [...PROGRAM_OPTIONS, 'authenticated'],
    // Makes settings of a listener; nothing listens there.
    fixed: { listen: ['127.0.0.1:0'] },
  });
  const { listener } = settings;
  if (!listener) throw new TypeError('createListener: the settings have no listen address');
  const [{ HttpListener: Server }, { openTokens }, { HttpClients }] = await Promise.all([
    import('../client/http/server.ts'),
    import('../client/http/open-tokens.ts'),
    import('../http-clients.ts'),
  ]);
  const proxy = await proxyOf(settings, { ...options, clock, events }, HttpClients);
  let tokens: Tokens | undefined;
  try {
    tokens = await openTokens(listener, { clock, events });
    const connectorOf = () => proxy.profileTransport(settings.defaultProfile).connect;
    const users = await openUsers(listener, { connectorOf, clock, events });
    const connected = connectListener(proxy, settings, listener, { tokens, users });
    const { limits, handlers: relay, paths, forwardedHeaders } = connected;
    const drainMs = listener.drainTimeout * 1_000;
    const { identityMap: path } = listener;
    const identities =
      path === undefined
        ? undefined
        : await (await import('../identity-proxies.ts')).openIdentities({
            settings,
            path,
            proxy,
            limits,
            drainMs,
            clock,
            events,
          });
    const server = Server.attach({
      ...listener,
      forwardedHeaders,
      tls: undefined,
      tokens,
      users,
      clock,
      handlers: relay,
      paths,
      route: identities?.route,
      loopbackOnly: !authenticated && !tokens.required && !users,
      unreadyReason: async () => undefined,
      onRefused: (refusal) => events.emit({ type: 'client.refused', ...refusal }),
      onDisconnected: (address) => events.emit({ type: 'client.disconnected', address }),
      onSessionEnded: (reason, ageMs) => events.emit({ type: 'client.session-ended', reason, ageMs }),
    });
    return listenerOf({
      proxy,
      tokens,
      identities,
      server,
      relays: [relay, ...(paths?.values() ?? [])],
      drainMs,
    });
  } catch (error) {
    tokens?.close();
    proxy.stop();
    throw error;
  }
}

interface OpenListener {
  readonly proxy: ObservedProxy;
  readonly tokens: Tokens;
  readonly identities: IdentityProxies | undefined;
  readonly server: HttpListener;
  readonly relays: readonly HttpHandler[];
  readonly drainMs: number;
}

function listenerOf({ proxy, tokens, identities, server, relays, drainMs }: OpenListener): Listener {
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      server.leave();
      await Promise.all([identities?.drain(), ...relays.map((each) => each.drain(drainMs))]);
      await server.close();
      tokens.close();
      await proxy.close();
    })();
    return closed;
  };
  return {
    handler: (request, response, body) => server.handle(request, response, body),
    proxy,
    state: () => ({
      connections: server.connections,
      requests: server.requests,
      streams: relays[0]?.streams ?? 0,
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}
