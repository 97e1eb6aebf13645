import type { ListenPrivately } from '../client/http/open-server.ts';
import type { Readiness } from '../client/http/readiness.ts';
import type { TlsMaterial, TlsPaths } from '../client/http/tls-files.ts';
import type { WatchedFiles } from '../client/http/watched-files.ts';
import { causeText } from '../core/errors/errors.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { Peers } from '../core/pipeline/peers.ts';
import type { ListenerState } from '../core/pipeline/proxy-state.ts';
import { systemClock } from '../core/time/clock.ts';
import { sleep } from '../core/time/waits.ts';
import type { IdentityProxies } from '../identity-proxies.ts';
import { connectListener, openUsers } from '../listener-wiring.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

export interface RunningListener {
  readonly url: string;
  readonly state: () => ListenerState;
  /**
   * Fails readiness checks and serves requests for --drain-delay. Resolves when no new connection
   * is accepted.
   */
  announce(): Promise<void>;
  /**
   * Accepts no new requests; requests in flight may finish within the drain time. Resolves when the
   * last answer is sent.
   */
  drain(): Promise<void>;
  /** The users of --identity-map; undefined without it: one identity serves all. */
  readonly identities: IdentityProxies | undefined;
}

/** The parts of a worker that its listener uses. */
export interface WorkerOfListener {
  readonly listenPrivately: ListenPrivately;
  readonly peers: Peers;
}

/**
 * Serves the clients of --listen.
 * @throws Error with a message for the user if the address cannot be used.
 */
export async function listen(
  settings: Settings & { readonly listener: NonNullable<Settings['listener']> },
  proxy: McpProxy,
  events: Events,
  readinessOf: () => Promise<Readiness>,
  worker?: WorkerOfListener,
): Promise<RunningListener> {
  const { address, tls: tlsFiles, identityMap, drainTimeout, drainDelayMs } = settings.listener;
  const drainMs = drainTimeout * 1_000;
  // Loaded here, so that serving stdio starts faster.
  const [{ HttpListener }, { openTokens }, readiness] = await Promise.all([
    import('../client/http/server.ts'),
    import('../client/http/open-tokens.ts'),
    readinessOf(),
  ]);
  const tokens = await openTokens(settings.listener, { clock: systemClock, events });
  const tls = tlsFiles && (await openTls(tlsFiles, events));
  const users = await openUsers(settings.listener, {
    connectorOf: () => proxy.profileTransport(settings.defaultProfile).connect,
    clock: systemClock,
    events,
  });
  const connected = connectListener(proxy, settings, settings.listener, {
    ...{ tokens, users, peers: worker?.peers },
  });
  const { limits, handlers: relay, paths, forwardedHeaders } = connected;
  const identities =
    identityMap === undefined
      ? undefined
      : await (await import('../identity-proxies.ts')).openIdentities({
          ...{ settings, path: identityMap, proxy, limits, drainMs, clock: systemClock, events },
        });
  const server = await HttpListener.open({
    ...settings.listener,
    forwardedHeaders,
    tokens,
    tls,
    privately: worker?.listenPrivately,
    peers: worker?.peers,
    users,
    clock: systemClock,
    handlers: relay,
    paths,
    route: identities?.route,
    unreadyReason: () => readiness.reason(),
    onRefused: (refusal) => events.emit({ type: 'client.refused', ...refusal }),
    onHandshakeFailed: (from, message) =>
      events.emit({ type: 'client.handshake-failed', address: from, message }),
    onDisconnected: (from) => events.emit({ type: 'client.disconnected', address: from }),
    onSessionEnded: (reason, ageMs) => events.emit({ type: 'client.session-ended', reason, ageMs }),
  }).catch((error: unknown) => {
    const where = 'socketPath' in address ? address.socketPath : `${address.host}:${address.port}`;
    throw new Error(`cannot listen on ${where}: ${causeText(error)}. Name another address with --listen.`);
  });
  events.emit({ type: 'listener.opened', url: server.url });
  return {
    url: server.url,
    state: () => ({
      url: server.url,
      connections: server.connections,
      requests: server.requests,
      streams: relay.streams,
    }),
    async announce() {
      if (drainDelayMs === 0) return;
      events.emit({ type: 'listener.leaving', delayMs: drainDelayMs });
      server.announce();
      await sleep(systemClock, drainDelayMs);
      await server.stopListening();
    },
    async drain() {
      server.leave();
      const relays = [relay, ...(paths?.values() ?? [])];
      await Promise.all([identities?.drain(), ...relays.map((each) => each.drain(drainMs))]);
      await server.close();
      tokens.close();
      tls?.close();
    },
    identities,
  };
}

async function openTls(paths: TlsPaths, events: Events): Promise<WatchedFiles<TlsMaterial>> {
  const [{ WatchedFiles }, { readTlsFiles, tlsPathsOf }] = await Promise.all([
    import('../client/http/watched-files.ts'),
    import('../client/http/tls-files.ts'),
  ]);
  return WatchedFiles.open({
    paths: tlsPathsOf(paths),
    read: () => readTlsFiles(paths, systemClock.now()),
    clock: systemClock,
    onUnusable: (problem) =>
      events.emit({
        type: 'listener.tls-unusable',
        message: `${problem}. The certificate read before stays in use.`,
      }),
  });
}
