import type { RoleOptions } from './auth/credentials/credentials.ts';
import { identityIn } from './auth/credentials/principal.ts';
import type { CredentialSource } from './auth/credentials/source.ts';
import type { HttpHandler } from './client/http/handler.ts';
import type { Send } from './client/stdio/client-writer.ts';
import { Relay } from './client/stdio/relay.ts';
import { relayDeps } from './client-wiring.ts';
import {
  type Call,
  type Client,
  compose,
  type Handler,
  type KnownSession,
  type Layer,
  when,
} from './core/pipeline/call.ts';
import { Events } from './core/pipeline/events.ts';
import type { Peers } from './core/pipeline/peers.ts';
import { PerProfile } from './core/pipeline/per-profile.ts';
import type { ProxyState } from './core/pipeline/proxy-state.ts';
import { type Clock, systemClock } from './core/time/clock.ts';
import { fillTools } from './core/tools/list-fetch.ts';
import { describeProxy } from './describe-proxy.ts';
import { sessionLifetimeAt } from './endpoint/endpoint.ts';
import type { HttpClients, StreamLimits } from './http-clients.ts';
import { filterLayers, loginElicitation, profileLayer, whoamiLayers } from './layer-wiring.ts';
import { backpressure } from './layers/backpressure.ts';
import { Breaker, breaker } from './layers/breaker.ts';
import { clientName } from './layers/client-name.ts';
import { clientSpan } from './layers/client-span.ts';
import { lazy } from './layers/lazy/lazy.ts';
import { pages } from './layers/pages.ts';
import { rateLimit } from './layers/rate-limit.ts';
import { redaction } from './layers/redaction.ts';
import { retry } from './layers/retry/retry.ts';
import { toolCache } from './layers/tool-cache/tool-cache.ts';
import { toolKnowledge } from './layers/tool-knowledge.ts';
import type { SharedLimits } from './limits/shared-limits.ts';
import { openLimitOf, poolLimits } from './pool/options.ts';
import { SessionQuota } from './pool/session-quota.ts';
import type { Settings } from './settings.ts';
import type { Affinity } from './upstream/transport/affinity.ts';
import type { ProfileIdentity } from './upstream/transport/identities.ts';
import type { SignedTransport } from './upstream/transport/signed-transport.ts';
import type { ProfileTransport } from './upstream/transport/transports.ts';
import { Upstream } from './upstream/upstream.ts';
import { type IdentityWiring, SECOND_MS, Wiring } from './wiring.ts';

/** The optional parts of a proxy. */
export interface ProxyDeps {
  /** Default: the system clock. */
  readonly clock?: Clock;
  /** Receives events; the proxy itself logs nothing. */
  readonly events?: Events;
  /** Layers of the program. */
  readonly layers?: UserLayers | undefined;
  /** Signs in place of profile and environment. */
  readonly credentials?: CredentialSource | undefined;
  /** Required where the settings have `limits`; closed with the proxy. */
  readonly sharedLimits?: SharedLimits | undefined;
  /** @internal The class that serves HTTP clients, which stdio never loads. */
  readonly HttpClients?: typeof HttpClients | undefined;
  /** @internal The other workers, which serve the same sessions. */
  readonly peers?: Peers | undefined;
  /** @internal The identity of the listener that the proxy is for; it owns nothing of others. */
  readonly identity?: IdentityWiring | undefined;
}

/** Layers of a program that embeds the proxy. */
export interface UserLayers {
  /** Next to the client, in this order: they see what the client sends and receives. */
  readonly before?: readonly Layer[] | undefined;
  /** Next to the server, in this order: they see each attempt, and what the server answers. */
  readonly after?: readonly Layer[] | undefined;
}

const isOfStdio = ({ httpContext }: Call): boolean => httpContext === undefined;

const isInitialize = ({ message }: Call): boolean =>
  message.kind === 'request' && message.method === 'initialize';

/**
 * The proxy without a client transport. Errors are returned to the client as JSON-RPC errors;
 * nothing here throws.
 */
export class McpProxy {
  readonly #settings: Settings;
  readonly #wiring: Wiring;
  readonly #sharedLimits: SharedLimits | undefined;
  /** False for an identity, which uses the shared limits of the process. */
  readonly #ownsSharedLimits: boolean;
  readonly #userLayers: UserLayers | undefined;
  readonly #withMetadata: Layer;
  readonly #openingLayers = new PerProfile((profile) => this.#createOpeningLayers(profile));
  readonly #upstream: Upstream;
  readonly #HttpClients: typeof HttpClients | undefined;
  readonly #peers: Peers | undefined;
  readonly #http: HttpClients | undefined;
  readonly #handler: Handler;
  /** Bypasses the layers that cache lists, and records what it reads. */
  readonly #learning: Handler;
  /** The same with retries, also for HTTP clients: the failure before it may last for a moment. */
  readonly #learningAgain: Handler;
  readonly #breakers = new Map<string, Breaker>();
  #clients = 0;

  /**
   * Opens, reads and sends nothing.
   * @param settings - from `readSettings`.
   */
  constructor(settings: Settings, deps: ProxyDeps = {}) {
    const { clock = systemClock, events = new Events(), layers, credentials, sharedLimits, identity } = deps;
    const { HttpClients: Http, peers } = deps;
    if (settings.limits !== undefined && !sharedLimits) {
      throw new TypeError('McpProxy: settings with limits need createProxy, which opens the limits');
    }
    this.#settings = settings;
    this.#sharedLimits = sharedLimits;
    this.#ownsSharedLimits = identity === undefined;
    const { before = [], after = [] } = layers ?? {};
    this.#userLayers = before.length + after.length > 0 ? layers : undefined;
    const wiring = new Wiring(settings, { clock, events, credentials, sharedLimits, identity });
    this.#wiring = wiring;
    this.#withMetadata = wiring.metadata();
    const readTimeoutMs = settings.readTimeout * SECOND_MS;
    const transportOf = (profile: string): SignedTransport => wiring.transports.transportOf(profile);
    this.#HttpClients = Http;
    this.#peers = peers;
    const hasUserLayers = this.#userLayers !== undefined;
    this.#http = Http && new Http(settings, wiring, { hasUserLayers, peers });
    this.#upstream = new Upstream({
      defaultProfile: settings.defaultProfile,
      transportOf,
      openingLayersOf: (profile) => this.#openingLayers.of(profile),
      clock,
      events,
      readTimeoutMs,
      toolsOf: (profile) => wiring.toolsKnownTo(profile),
      refreshTools: (call) => this.#fillTools(call, this.#learning),
      limits: poolLimits(settings, sessionLifetimeAt(settings.endpoint)),
      openLimit: openLimitOf(settings),
      quota: new SessionQuota(settings.maxTotalSessions),
      // The first attempt was counted by the rate limit layer.
      beforeResend: async (call) => {
        const { profile, signal, deadline } = call;
        const bucket = await wiring.limits.buckets?.of(profile, call);
        await bucket?.take(signal, { ahead: true, remainingMs: deadline.remainingMs });
      },
      // Tools belong to the session's server, and the client does not know of the change.
      onReplaced: (profile) => wiring.tools.of(profile).invalidate(),
      onToolStream: (client, profile) => wiring.changeStreams.add({ client, profile, stateless: false }),
    });
    this.#learning = compose(
      [this.#withMetadata, toolKnowledge(wiring.toolDeps()), ...after],
      this.#upstream.handle,
    );
    const bottom: Handler = (call) =>
      isOfStdio(call) ? this.#upstream.handle(call) : this.#handleHttp(call);
    this.#learningAgain = compose(
      [this.#withMetadata, retry(wiring.retryDeps()), toolKnowledge(wiring.toolDeps()), ...after],
      bottom,
    );
    const recorded: Handler = (call) => {
      call.record?.beginAttempt(clock);
      return bottom(call);
    };
    this.#handler = compose(this.#layers(before, after), recorded);
  }

  #layers(before: readonly Layer[], after: readonly Layer[]): readonly Layer[] {
    const { defaultProfile, profiles, toolCacheTtl } = this.#settings;
    const { clock, events, snapshots: store, limits } = this.#wiring;
    const { limiters, buckets } = limits;
    const { host } = this.#settings.endpoint;
    const openLimitMs = openLimitOf(this.#settings)?.ms;
    const login = loginElicitation(this.#settings, this.#wiring);
    const lazily = store && lazy({ store, defaultProfile, host, clock, events, openLimitMs });
    return [
      // Outermost: every error passes it, whichever layer or server made it.
      redaction(this.#wiring.redactor),
      // Inside the redaction, which cleans their errors too; outside all that is ours.
      ...before,
      // Outside the lazy start and the filters: needs no server.
      ...whoamiLayers(this.#settings, this.#wiring),
      // Outside the lazy start, which may answer `initialize`.
      ...(login ? [login.observe] : []),
      // Reads only. HTTP clients name themselves with each request.
      when(
        isOfStdio,
        clientName((client) => this.#wiring.setClientInfo(client)),
      ),
      // Outside all edits: the snapshot is what the client sees. HTTP clients need a real session
      // id.
      ...(lazily ? [when(isOfStdio, lazily.start)] : []),
      // Outside everything that depends on the profile, which is chosen here.
      // HTTP clients choose it by their path: their session belongs to one identity.
      ...(profiles.length > 1 ? [when(isOfStdio, profileLayer(this.#settings, this.#wiring))] : []),
      // Inside the profile layer, whose choice needs the login; outside all that may need one.
      ...(login ? [login.offer] : []),
      // Inside the profile layer: calls of other profiles need not wait for the default session.
      ...(lazily ? [when(isOfStdio, lazily.need)] : []),
      // Before all limits: a refused call takes no slot and no connection.
      ...filterLayers(this.#settings, this.#wiring),
      // Before any limit, so the queued text is final. `initialize` gets its metadata in the
      // opening stack, per profile.
      when((call) => !isInitialize(call), this.#withMetadata),
      // Inside request edits, which the answer depends on; outside every limit.
      toolCache({ ...this.#wiring.toolDeps(), ttlMs: toolCacheTtl && toolCacheTtl * SECOND_MS }),
      // Inside the cache, which keeps the complete list; outside retries, because each page is a
      // request.
      pages({ how: this.#settings.pages, maxLineBytes: this.#settings.maxLine, clock, events }),
      // Outside the rate limit: a slot covers a whole call with its retries.
      ...(limiters ? [backpressure(limiters, events)] : []),
      // Inside the slot: the queue is no part of the call to the server; its retries are.
      ...(this.#wiring.events.traces ? [clientSpan()] : []),
      // Inside the slot, outside the rate limit: a retry waits for its turn. Openings have their
      // own retry.
      retry({
        ...this.#wiring.retryDeps(),
        refreshTools: (call) => this.#fillTools(call, this.#learningAgain),
      }),
      // Every attempt counts.
      ...(buckets ? [when((call) => !isInitialize(call), rateLimit(buckets, events))] : []),
      // Innermost: sees the server's own lists.
      toolKnowledge({
        ...this.#wiring.toolDeps(),
        knownTo: (profile) => this.#wiring.toolsKnownTo(profile),
      }),
      // The layers above read the answers that these have edited.
      ...after,
    ];
  }

  /** HTTP clients open sessions themselves; the breaker applies to them too. */
  readonly #handleHttp: Handler = (call) => {
    const { handle } = this.#httpClients;
    return isInitialize(call) ? compose(this.#openingLayers.of(call.profile), handle)(call) : handle(call);
  };

  /** The layers around each `initialize`: metadata, retry, breaker, rate limit. */
  #createOpeningLayers(profile: string): readonly Layer[] {
    const { breakerThreshold: threshold, breakerReset } = this.#settings;
    const { clock, events, limits } = this.#wiring;
    const { buckets } = limits;
    const resetMs = breakerReset * SECOND_MS;
    const circuit = new Breaker({ profile, threshold, resetMs, clock, events });
    this.#breakers.set(profile, circuit);
    const repeated = retry({ ...this.#wiring.retryDeps(), opening: true });
    // Callers in the queue may depend on this session, so `initialize` goes first. HTTP clients
    // open theirs independently.
    const rate = buckets ? [when(isInitialize, rateLimit(buckets, events, isOfStdio))] : [];
    return [this.#withMetadata, repeated, breaker(circuit), ...rate];
  }

  #fillTools(call: Call, handler: Handler): Promise<void> {
    const { tools, clock } = this.#wiring;
    return fillTools(tools.of(call.profile), handler, call, clock);
  }

  /**
   * The transport of a profile, for checks of its parts: they are the ones that requests use.
   * @internal
   */
  profileTransport(profile: string): ProfileTransport {
    return this.#wiring.transports.profileTransport(profile);
  }

  /**
   * The signed transport of the default profile.
   * @internal
   */
  get defaultTransport(): SignedTransport {
    return this.profileTransport(this.#settings.defaultProfile).transport;
  }

  /**
   * The identity that signs for a profile, as far as it is known without a request.
   * @internal
   */
  signingIdentity(profile: string): { readonly account?: string; readonly role?: string } | undefined {
    const principal = this.profileTransport(profile).authorizer.principal;
    return principal === undefined ? undefined : identityIn(principal);
  }

  /**
   * Connects one client with sessions of its own. Nothing is sent, opened or resolved before its
   * first message.
   * @param send - writes one line to the client, without the newline. Resolves when the client has
   * room for more; until then, the server's answers to this client wait. Must not reject: call
   * `abandon` of the returned relay when the client is gone.
   * @returns the relay that receives the client's lines.
   */
  connect(send: Send): Relay {
    return this.connectClient(send, this.nextClient());
  }

  /** @internal */
  nextClient(): Client {
    return { id: `client-${++this.#clients}` };
  }

  /**
   * As `connect`, for a client that adds headers or continues a session.
   * @internal
   */
  connectClient(send: Send, client: Client): Relay {
    return new Relay({ ...relayDeps(this.#settings, this.#wiring), handler: this.#handler, client, send });
  }

  /**
   * The session of a client; undefined before it is open, or where the server gave it no id.
   * @internal
   */
  sessionOf(client: Client): KnownSession | undefined {
    return this.#upstream.sessionOf(client);
  }

  /**
   * The affinity of that session; undefined where no message was sent on it.
   * @internal
   */
  affinityOf(client: Client): Affinity | undefined {
    return this.#upstream.affinityOf(client);
  }

  /**
   * Ends the sessions of one client, while others go on. `keep`: they stay open at the server.
   * Never throws.
   * @internal
   */
  closeClient(client: Client, { keep }: { readonly keep: boolean }): Promise<void> {
    return this.#upstream.closeClient(client, { keep });
  }

  /**
   * Connects clients of a listener, which keep their own sessions, and whose requests a profile
   * signs.
   * @internal
   */
  connectHttp(limits: StreamLimits, profile = this.#settings.defaultProfile): HttpHandler {
    return this.#httpClients.connect(this.#handler, limits, profile);
  }

  get #httpClients(): HttpClients {
    if (!this.#http) throw new TypeError('McpProxy: HTTP clients need the class that serves them');
    return this.#http;
  }

  /**
   * A proxy for one identity of the listener. It shares observers, --limits and the layers of the
   * program with this one, and nothing else; `stop` closes it.
   * @internal
   */
  forIdentity(settings: Settings, name: string, role: RoleOptions | undefined): McpProxy {
    const { clock, events, redactor } = this.#wiring;
    const identity = { name, role, redactor };
    return new McpProxy(settings, {
      clock,
      events,
      layers: this.#userLayers,
      sharedLimits: this.#sharedLimits,
      identity,
      HttpClients: this.#HttpClients,
      peers: this.#peers,
    });
  }

  /** Describes connections, sessions and limits at this moment. Opens and resolves nothing. */
  debugSnapshot(): ProxyState {
    return describeProxy(this.#settings, this.#wiring, {
      sessions: this.#upstream.describe(),
      breakerOf: (profile) => this.#breakers.get(profile)?.state,
      limits: this.#sharedLimits?.mode,
    });
  }

  /**
   * Whether the server is known to have a tool of this name.
   * @internal
   */
  isTool(name: string, profile: string): boolean {
    return this.#wiring.toolsKnownTo(profile).definitionOf(name) !== undefined;
  }

  /**
   * The AWS identity that signs for a profile, as STS names it.
   * @internal
   * @throws ProxyError no-credentials or auth-rejected.
   */
  identityOf(profile: string, signal: AbortSignal): Promise<ProfileIdentity> {
    return this.#wiring.identities.of(profile, signal);
  }

  /** The client has left: calls that wait in a queue or for a session are refused, others go on. */
  refuseQueued(): void {
    this.#wiring.limits.refuseWaiting();
    this.#upstream.refuseWaiting();
  }

  /** Replaces the sessions with new ones; no call is cut. */
  drainSessions(): void {
    this.#upstream.drain();
  }

  /**
   * Deletes the sessions, waiting at most a second for a silent server, and closes every
   * connection. Calls in flight are cut, so drain each relay first. Never throws.
   * @param beforeStop - runs while credentials and connections still work; it must not throw.
   */
  async close(beforeStop?: () => Promise<void> | undefined): Promise<void> {
    await Promise.all([this.#upstream.close(), this.#wiring.snapshots?.written()]);
    await beforeStop?.();
    if (this.#ownsSharedLimits) await this.#sharedLimits?.close();
    this.stop();
  }

  /** Closes every connection and kills a running credential_process. */
  stop(): void {
    if (this.#ownsSharedLimits) void this.#sharedLimits?.close();
    this.#wiring.identities.close();
    this.#wiring.closeLogins();
    this.#wiring.transports.close();
  }
}
