import { readProfileFacts } from './aws/credentials/files.ts';
import { type CredentialSource, createCredentialSource } from './aws/credentials/source.ts';
import { OperatingRegions } from './aws/operating-region.ts';
import { signingTarget } from './aws/sigv4.ts';
import { type Call, type Handler, type Layer, only, stack } from './core/call.ts';
import { ChangeFeeds } from './core/change-feeds.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { ProxyError } from './core/errors.ts';
import { Events } from './core/events.ts';
import { isToolsChanged } from './core/list-changes.ts';
import { fillTools } from './core/tool-list.ts';
import { Tools } from './core/tools.ts';
import { backpressure, Limiters } from './layers/backpressure.ts';
import { Breaker, breaker } from './layers/breaker.ts';
import { clientName } from './layers/client-name.ts';
import { lazy } from './layers/lazy.ts';
import { metadata, metadataOf } from './layers/metadata.ts';
import { profile } from './layers/profile.ts';
import { burstOf, rateLimit, TokenBuckets } from './layers/rate-limit.ts';
import { retry } from './layers/retry.ts';
import { toolCache } from './layers/tool-cache.ts';
import { isUnfiltered, toolFilter } from './layers/tool-filter.ts';
import { toolKnowledge } from './layers/tool-knowledge.ts';
import { poolLimits } from './pool/options.ts';
import { Places } from './pool/places.ts';
import { HttpRelay } from './relay/http-relay.ts';
import type { Send } from './relay/outlet.ts';
import { Relay } from './relay/relay.ts';
import type { Settings } from './settings.ts';
import { SnapshotFiles } from './snapshot/files.ts';
import { cacheFolder } from './snapshot/folder.ts';
import { passageHeaders } from './upstream/passage/headers.ts';
import { Passages } from './upstream/passage/passage.ts';
import { createRoads, type Road, type Roads } from './upstream/uplink/roads.ts';
import { Upstream } from './upstream/upstream.ts';
import { VERSION } from './version.ts';

export interface ProxyDeps {
  /** The system's, unless given. */
  readonly clock?: Clock;
  /** Where to observe what happens; the proxy itself logs nothing. */
  readonly events?: Events;
}

const isOfStdio = ({ passage }: Call): boolean => passage === undefined;

const milliseconds = (seconds: number | undefined): number | undefined => seconds && seconds * 1_000;

const isInitialize = ({ message }: Call): boolean =>
  message.kind === 'request' && message.method === 'initialize';

/**
 * The proxy without its front ends: give it a way to send, get a connection to feed. What fails is told to the client as a JSON-RPC
 * error; nothing here throws.
 */
export class McpProxy {
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #credentials = new Map<string, CredentialSource>();
  readonly #roads: Roads;
  readonly #upstream: Upstream;
  readonly #passages: Passages;
  readonly #handler: Handler;
  /** Past every layer that keeps lists; what it brings is learned, and compared with what the client was shown. */
  readonly #learning: Handler;
  readonly #limiters: Limiters | undefined;
  readonly #buckets: TokenBuckets | undefined;
  readonly #snapshots: SnapshotFiles | undefined;
  readonly #tools = new Map<string, Tools>();
  readonly #withMetadata = metadata((profile) => this.#metadataOf(profile));
  readonly #feeds = new ChangeFeeds();
  readonly #openings = new Map<string, readonly Layer[]>();
  readonly #named: Readonly<Record<string, string>>;
  readonly #regions: OperatingRegions;
  #headers: Readonly<Record<string, string>>;
  #clients = 0;

  constructor(settings: Settings, { clock = systemClock, events = new Events() }: ProxyDeps = {}) {
    this.#settings = settings;
    this.#clock = clock;
    this.#events = events;
    this.#headers = this.#headersFor('');
    const { endpoint, env, profiles } = settings;
    this.#named = metadataOf(settings.metadata);
    this.#regions = new OperatingRegions({ endpoint, env, several: profiles.length > 1 });
    const seconds = 1_000;
    this.#roads = createRoads({
      endpoint: settings.endpoint,
      target: signingTarget(settings.endpoint),
      scope: settings.scope,
      keysOptional: settings.skipAuth,
      credentialsOf: (profile, requestHandler) => this.#credentialsOf(profile, requestHandler),
      profileCaBundleOf: async (profile) =>
        (await readProfileFacts(profile || undefined, settings.env)).caBundle,
      caBundle: settings.caBundle,
      proxy: { url: settings.proxy, env: settings.env },
      env: settings.env,
      maxConnections: settings.maxConnections,
      keepConnections: settings.keepConnections,
      keepAliveTimeoutMs: settings.keepaliveTimeout * seconds,
      connectTimeoutMs: settings.connectTimeout * seconds,
      manyClients: settings.listener !== undefined,
      headers: () => this.#headers,
      clock,
      events,
    });
    this.#passages = new Passages({
      uplinkOf: (profile) => this.#roads.uplinkOf(profile),
      clock,
      events,
      readTimeoutMs: settings.readTimeout * seconds,
    });
    const limits = poolLimits(settings);
    this.#upstream = new Upstream({
      defaultProfile: settings.defaultProfile,
      uplinkOf: (profile) => this.#roads.uplinkOf(profile),
      openingOf: (profile) => this.#openingOf(profile),
      clock,
      events,
      readTimeoutMs: settings.readTimeout * seconds,
      toolsOf: (profile) => this.#toolsKnownTo(profile),
      relearn: (call) => this.#relearn(call),
      limits,
      places: new Places(settings.maxTotalSessions),
      // The first time counted where it passed the rate.
      again: async ({ profile, signal }) => this.#buckets?.of(profile).take(signal, true),
      // What a session's server said of its tools ends with it, and nobody has told the client so far.
      replaced: (profile) => this.#toolsOf(profile).forget(),
      toolStream: (client, profile) => this.#feeds.opened({ client, profile, stateless: false }),
    });
    const { maxConcurrent, queueSize, queueTimeout, overloadErrorCode: errorCode } = settings;
    this.#limiters =
      maxConcurrent === undefined
        ? undefined
        : new Limiters({
            maxConcurrent,
            queueSize,
            queueTimeoutMs: queueTimeout * seconds,
            errorCode,
            clock,
          });
    const { rateLimit: ratePerSecond, rateBurst } = settings;
    this.#buckets =
      ratePerSecond === undefined
        ? undefined
        : new TokenBuckets({ ratePerSecond, burst: burstOf(ratePerSecond, rateBurst), clock });
    this.#snapshots = settings.lazy ? this.#snapshotFiles() : undefined;
    const { defaultProfile } = settings;
    const lazily = this.#snapshots && lazy({ store: this.#snapshots, defaultProfile, clock });
    this.#learning = stack([this.#withMetadata, toolKnowledge(this.#toolDeps())], this.#upstream.handle);
    const layers: readonly Layer[] = [
      // Outermost, because it only reads: whatever a later layer refuses, the user agent of the refusal's retry knows its client.
      // HTTP clients name themselves with each request.
      only(
        isOfStdio,
        clientName((product) => {
          if (!settings.disableTelemetry) this.#headers = this.#headersFor(product);
        }),
      ),
      // Above all that edits: what is kept is what the client is shown. HTTP clients need the session's id, which no snapshot has.
      ...(lazily ? [only(isOfStdio, lazily.start)] : []),
      // Above all that goes by the profile of a call: here it is chosen.
      ...(settings.profiles.length > 1 ? [this.#profileLayer()] : []),
      // Below, because a call of another profile need not wait for the session of the default one.
      ...(lazily ? [only(isOfStdio, lazily.need)] : []),
      // Before all that costs: a call that is not let through takes no place and no connection.
      ...this.#filter(),
      // Before any limit: what waits is what will be sent. What opens a session gets it with every opening, of each profile its own.
      only((call) => !isInitialize(call), this.#withMetadata),
      // Below what edits the request, on which the answer depends; above every limit: what is known takes no place.
      toolCache({
        ...this.#toolDeps(),
        ttlMs: milliseconds(settings.toolCacheTtl),
      }),
      // Outside the rate, whose waiting is part of a call's work: a place is for a whole call, repeats included.
      ...(this.#limiters ? [backpressure(this.#limiters)] : []),
      // Inside the place, outside the rate: a repeat waits for its turn like everything else. Opening a session has its own.
      retry(this.#retryDeps()),
      // Innermost: every attempt that goes to the server counts.
      ...(this.#buckets ? [only((call) => !isInitialize(call), rateLimit(this.#buckets))] : []),
      // Below all that edits or keeps lists: it reads what the server itself says.
      toolKnowledge(this.#toolDeps()),
    ];
    this.#handler = stack(layers, (call) =>
      isOfStdio(call) ? this.#upstream.handle(call) : this.#pass(call),
    );
  }

  /** An HTTP client opens its session itself, and a server that is down is left alone all the same. */
  readonly #pass: Handler = (call) => {
    if (!isInitialize(call)) return this.#passages.handle(call);
    return stack(this.#openingOf(call.profile), this.#passages.handle)(call);
  };

  #profileLayer(): Layer {
    const { profiles, profileTools: globs } = this.#settings;
    const toolsOf = (name: string): Tools => this.#toolsOf(name);
    return profile({ profiles, globs, toolsOf, clock: this.#clock, events: this.#events });
  }

  #retryDeps(): Parameters<typeof retry>[0] {
    const { retries, retryBaseDelay, retryMaxDelay } = this.#settings;
    return {
      options: { retries, baseDelayMs: retryBaseDelay * 1_000, maxDelayMs: retryMaxDelay * 1_000 },
      clock: this.#clock,
      events: this.#events,
      toolsOf: ({ profile }) => this.#toolsKnownTo(profile),
    };
  }

  /** One endpoint, one server: what it says of a tool to the default profile holds until it says otherwise to another. */
  #toolsKnownTo(profile: string): Pick<Tools, 'annotationsOf' | 'definitionOf'> {
    const own = this.#toolsOf(profile);
    const first = this.#toolsOf(this.#settings.defaultProfile);
    return {
      annotationsOf: (name) => own.annotationsOf(name) ?? first.annotationsOf(name),
      definitionOf: (name) => own.definitionOf(name) ?? first.definitionOf(name),
    };
  }

  #snapshotFiles(): SnapshotFiles {
    const { endpoint, scope, profiles, profileTools, roleArn, auth, readOnly, allowTool, denyTool, env } =
      this.#settings;
    return new SnapshotFiles({
      folder: cacheFolder(env),
      // What is kept is what the client was shown, so that it depends on what hides tools from it, and what adds to them.
      identity: [endpoint.href, scope, profiles, profileTools, roleArn, auth, readOnly, allowTool, denyTool],
      events: this.#events,
    });
  }

  #filter(): Layer[] {
    const { readOnly, allowTool, denyTool } = this.#settings;
    const rules = { readOnly, allowTool, denyTool };
    return isUnfiltered(rules) ? [] : [toolFilter({ ...this.#toolDeps(), rules })];
  }

  #toolDeps() {
    return {
      toolsOf: (profile: string): Tools => this.#toolsOf(profile),
      isIdentityInDoubt: (profile: string): boolean => this.#credentials.get(profile)?.inDoubt ?? false,
      feeds: this.#feeds,
      clock: this.#clock,
      events: this.#events,
    };
  }

  /** Around each initialize, the client's and those that mend a lost session: again, unless the server is known to be down. */
  #openingOf(profile: string): readonly Layer[] {
    const existing = this.#openings.get(profile);
    if (existing) return existing;
    const { breakerThreshold: threshold, breakerReset } = this.#settings;
    const circuit = new Breaker({ threshold, resetMs: breakerReset * 1_000, clock: this.#clock });
    const repeated = retry({ ...this.#retryDeps(), opening: true });
    // Who stands in line for the rate may need the session that this opens. HTTP clients open theirs themselves, each for itself.
    const rate = this.#buckets ? [only(isInitialize, rateLimit(this.#buckets, isOfStdio))] : [];
    const layers = [this.#withMetadata, repeated, breaker(circuit), ...rate];
    this.#openings.set(profile, layers);
    return layers;
  }

  #toolsOf(profile: string): Tools {
    const known = this.#tools.get(profile) ?? new Tools();
    this.#tools.set(profile, known);
    return known;
  }

  #relearn(call: Call): Promise<void> {
    return fillTools(this.#toolsOf(call.profile), this.#learning, call, this.#clock);
  }

  #credentialsOf(profile: string, requestHandler: unknown): CredentialSource {
    const existing = this.#credentials.get(profile);
    if (existing) return existing;
    const { scope, env, roleArn, roleSessionName: sessionName, externalId } = this.#settings;
    const source = createCredentialSource({
      profile: profile || undefined,
      fallbackRegion: scope?.region,
      env,
      clock: this.#clock,
      events: this.#events,
      requestHandler,
      replaced: () => this.#toolsOf(profile).forget({ stranger: true }),
      role: roleArn === undefined ? undefined : { arn: roleArn, sessionName, externalId },
    });
    this.#credentials.set(profile, source);
    return source;
  }

  #headersFor(clientProduct: string): Readonly<Record<string, string>> {
    const { headers, userAgent } = this.#settings;
    const products = [`mcp-sigv4-proxy/${VERSION}`, clientProduct, userAgent ?? ''];
    return { ...headers, 'user-agent': products.filter(Boolean).join(' ') };
  }

  /** What goes with every request of the profile; what --metadata names wins. */
  async #metadataOf(profile: string): Promise<Readonly<Record<string, string>>> {
    const named = this.#named;
    if ('AWS_REGION' in named) return named;
    const region = await this.#regions.of(profile);
    return region ? { AWS_REGION: region, ...named } : named;
  }

  /**
   * The way that a profile's requests take, to be looked at part by part: what is opened or resolved here is what they use.
   * @internal
   */
  roadOf(profile: string): Road {
    return this.#roads.roadOf(profile);
  }

  /**
   * Connects one client, who has sessions of its own. Nothing is sent, opened or resolved before its first message.
   * @param send - writes one line to it, without the newline, and resolves when it has room for more: who never resolves holds up
   * the server's answers to this client, and nobody else's.
   * @returns where its lines go: `receive` takes one, `drain` is for its end, `abandon` for when it is gone.
   */
  connect(send: Send): Relay {
    const { defaultProfile, timeout, toolTimeout, maxLine } = this.#settings;
    return new Relay({
      handler: this.#handler,
      client: { id: `client-${++this.#clients}` },
      profile: defaultProfile,
      clock: this.#clock,
      events: this.#events,
      limits: { timeoutMs: timeout * 1_000, toolTimeoutMs: toolTimeout * 1_000, maxLineBytes: maxLine },
      send,
    });
  }

  /**
   * Connects the clients of a listener, of which each keeps its own sessions.
   * @internal
   */
  connectHttp(maxStreams: number): HttpRelay {
    const { defaultProfile, timeout, toolTimeout, headers: own, disableTelemetry } = this.#settings;
    const { 'user-agent': userAgent = '' } = this.#headersFor('');
    return new HttpRelay({
      handler: this.#handler,
      bare: (request) => this.#passages.bare(request),
      profile: defaultProfile,
      clock: this.#clock,
      events: this.#events,
      limits: { timeoutMs: timeout * 1_000, toolTimeoutMs: toolTimeout * 1_000 },
      maxStreams,
      headersOf: (headers) => passageHeaders(headers, own, { userAgent, andClient: !disableTelemetry }),
      overheard: ({ method }) => {
        if (isToolsChanged(method)) this.#toolsOf(defaultProfile).forget({ told: true });
      },
    });
  }

  /** The client has left: calls that still wait in a queue, or for a session, are refused; those under way go on. */
  refuseQueued(): void {
    const inLine = (line: string): ProxyError =>
      new ProxyError('shutting-down', `The proxy is ending: this call waited ${line} and was not sent.`, {
        sent: 'no',
      });
    this.#limiters?.refuseQueued(inLine('in the queue'));
    this.#buckets?.refuseWaiting(inLine('for its turn under --rate-limit'));
    this.#upstream.refuseWaiting();
  }

  /** Replaces the sessions with new ones; no call is cut. */
  drainSessions(): void {
    this.#upstream.drain();
  }

  /**
   * Deletes the sessions, for which a server that does not answer gets a second, and closes every connection. What is still under
   * way is cut: `drain` of each connection comes first. Never throws.
   */
  async close(): Promise<void> {
    await Promise.all([this.#upstream.close(), this.#snapshots?.written()]);
    this.stop();
  }

  /** Cuts every connection and kills a running credential_process, without a word to anybody. */
  stop(): void {
    for (const source of this.#credentials.values()) source.close();
    this.#roads.close();
  }
}
