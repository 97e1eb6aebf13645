import type { RoleOptions } from './auth/credentials/credentials.ts';
import { usesKeyVariables } from './auth/credentials/plan.ts';
import { identityIn } from './auth/credentials/principal.ts';
import { profileIn, readProfileFacts } from './auth/credentials/shared-files.ts';
import type { CredentialSource } from './auth/credentials/source.ts';
import type { LoginOffers } from './auth/oauth/login-offers.ts';
import { invalidRegion, isRegionName } from './auth/region-name.ts';
import { signingTarget } from './auth/signing.ts';
import { createAuthorizer, foreseenPrincipal } from './authorizers.ts';
import { configuredSecrets } from './config/configured-secrets.ts';
import { Redactor } from './core/errors/redact.ts';
import type { Layer, RequestHeaders } from './core/pipeline/call.ts';
import type { Events } from './core/pipeline/events.ts';
import { PerProfile } from './core/pipeline/per-profile.ts';
import type { ProfileState } from './core/pipeline/proxy-state.ts';
import type { Clock } from './core/time/clock.ts';
import { ToolCatalog } from './core/tools/catalog.ts';
import { ChangeStreams } from './core/tools/change-streams.ts';
import { OperatingRegions } from './endpoint/operating-region.ts';
import type { LoginOffer } from './layers/login-elicitation/login-elicitation.ts';
import { metadata, readMetadata } from './layers/metadata.ts';
import type { RetryDeps } from './layers/retry/retried-call.ts';
import type { ToolCacheDeps } from './layers/tool-cache/tool-cache.ts';
import { ProxyLimits } from './limit-wiring.ts';
import type { LimitKeyDeps } from './limits/keyed-limiters.ts';
import type { LimitKey } from './limits/options.ts';
import type { SharedLimits } from './limits/shared-limits.ts';
import type { Settings } from './settings.ts';
import { SnapshotFiles } from './snapshot/files.ts';
import { cacheFolder } from './snapshot/folder.ts';
import { readConnectAddress } from './upstream/http/connect.ts';
import { transportFactory } from './upstream/sse-2024/fallback-transport.ts';
import { Identities } from './upstream/transport/identities.ts';
import { createTransports, type Transports } from './upstream/transport/transports.ts';
import { VERSION } from './version.ts';

export const SECOND_MS = 1_000;

export interface WiringDeps {
  /** Loaded where --limits is set. */
  readonly sharedLimits?: SharedLimits | undefined;
  readonly clock: Clock;
  readonly events: Events;
  /** Signs in place of profile and environment. */
  readonly credentials?: CredentialSource | undefined;
  /** Undefined for the proxy of the process. */
  readonly identity?: IdentityWiring | undefined;
}

/** The parts of a proxy that serves one identity of --identity-map. */
export interface IdentityWiring {
  /** The name of its token or user. */
  readonly name: string;
  /** In place of --role-arn. */
  readonly role: RoleOptions | undefined;
  /** That of the process, so that a proxy that is closed leaves no observer behind. */
  readonly redactor: Redactor;
}

/** Builds what layers and upstream share, once per process or once per profile. */
export class Wiring {
  readonly clock: Clock;
  readonly events: Events;
  readonly transports: Transports;
  readonly identities: Identities;
  readonly tools = new PerProfile(() => new ToolCatalog());
  readonly changeStreams = new ChangeStreams();
  /** Knows all secrets of the settings and credentials. */
  readonly redactor: Redactor;
  readonly limits: ProxyLimits;
  /** Undefined without --lazy. */
  readonly snapshots: SnapshotFiles | undefined;
  readonly #settings: Settings;
  readonly #credentials: CredentialSource | undefined;
  readonly #sharedKind = { kind: undefined };
  readonly #identity: IdentityWiring | undefined;
  #headers: RequestHeaders;
  /** Undefined until a client is offered a login. */
  #logins: LoginOffers | undefined;

  constructor(settings: Settings, deps: WiringDeps) {
    const { clock, events, credentials, sharedLimits, identity } = deps;
    this.#identity = identity;
    this.redactor = identity?.redactor ?? new Redactor();
    this.#settings = settings;
    this.#credentials = credentials;
    this.clock = clock;
    this.events = events;
    if (!identity) this.#learnSecrets();
    this.#headers = this.headersFor('');
    this.limits = new ProxyLimits(settings, { clock, events, shared: sharedLimits, key: this.#limitKey() });
    this.snapshots = settings.lazy ? this.#createSnapshots() : undefined;
    this.transports = this.#createTransports();
    const { endpoint, scope, homeRegion, env, skipAuth: credentialsOptional } = settings;
    const profileTransport = (profile: string) => this.transports.profileTransport(profile);
    this.identities = new Identities({
      ...{ endpoint, scope, homeRegion, env, credentialsOptional, clock, profileTransport },
    });
  }

  #learnSecrets(): void {
    const { events, redactor } = this;
    events.subscribe(
      (event) => {
        if (event.type === 'secret.known') redactor.learn(event.value, event);
      },
      { detailed: false, secrets: true },
    );
    for (const value of configuredSecrets(this.#settings)) {
      events.emit({ type: 'secret.known', value, lasting: true });
    }
  }

  retryDeps(): RetryDeps {
    const { retries, retryBaseDelay, retryMaxDelay, retryMode } = this.#settings;
    return {
      options: {
        retries,
        baseDelayMs: retryBaseDelay * SECOND_MS,
        maxDelayMs: retryMaxDelay * SECOND_MS,
        adaptive: retryMode === 'adaptive',
      },
      rates: this.limits.rates,
      clock: this.clock,
      events: this.events,
      toolsOf: ({ profile }) => this.toolsKnownTo(profile),
    };
  }

  /**
   * All profiles reach the same server, so the default profile's tools hold until another list says
   * otherwise.
   */
  toolsKnownTo(profile: string): Pick<ToolCatalog, 'annotationsOf' | 'definitionOf' | 'listedAt'> {
    const own = this.tools.of(profile);
    const first = this.tools.of(this.#settings.defaultProfile);
    return {
      annotationsOf: (name) => own.annotationsOf(name) ?? first.annotationsOf(name),
      definitionOf: (name) => own.definitionOf(name) ?? first.definitionOf(name),
      listedAt: (name) => own.listedAt(name) ?? first.listedAt(name),
    };
  }

  /** The dependencies of the tool layers. */
  toolDeps(): Omit<ToolCacheDeps, 'ttlMs'> {
    return {
      toolsOf: (profile) => this.tools.of(profile),
      isIdentityInDoubt: (profile) => this.transports.profileTransport(profile).authorizer.identityMayChange,
      changeStreams: this.changeStreams,
      clock: this.clock,
      events: this.events,
    };
  }

  /** Sets the client's product for the user agent. */
  setClientInfo(client: string): void {
    if (!this.#settings.disableTelemetry) this.#headers = this.headersFor(client);
  }

  /** --header, and the user agent: the proxy, then the client that it speaks for. */
  headersFor(clientProduct: string): RequestHeaders {
    const { headers, userAgent } = this.#settings;
    const products = [`mcp-sigv4-proxy/${VERSION}`, clientProduct, userAgent ?? ''];
    return { ...headers, 'user-agent': products.filter(Boolean).join(' ') };
  }

  /** The metadata of a profile's requests; --metadata wins. */
  metadata(): Layer {
    const { endpoint, env, profiles } = this.#settings;
    const named = readMetadata(this.#settings.metadata);
    const regions = new OperatingRegions({
      endpoint,
      env,
      several: profiles.length > 1 || this.#identity !== undefined,
      keysInFiles: (profile) =>
        this.#credentials === undefined && !usesKeyVariables(profileIn(profile || undefined, env), env),
      clock: this.clock,
    });
    const withRegion = (region: string | undefined) => (region ? { AWS_REGION: region, ...named } : named);
    const checked = async (reading: Promise<string | undefined>, profile: string) => {
      const region = await reading;
      if (region !== undefined && !isRegionName(region)) throw invalidRegion(region, profile, env);
      return withRegion(region);
    };
    return metadata((profile) => {
      if ('AWS_REGION' in named) return named;
      const region = regions.of(profile);
      if (region instanceof Promise) return checked(region, profile);
      return region === undefined || isRegionName(region)
        ? withRegion(region)
        : checked(Promise.resolve(region), profile);
    });
  }

  /** Describes connections and limits of a profile; creates nothing. */
  describe(
    profile: string,
  ): Pick<ProfileState, 'connections' | 'backpressure' | 'rateWaiting' | 'learnedRate'> {
    const connections = this.transports.peek(profile)?.connections ?? [];
    return { connections, ...this.limits.describe(profile) };
  }

  #createTransports(): Transports {
    const { endpoint, scope, env, caBundle, connectTo, transport } = this.#settings;
    return createTransports({
      endpoint,
      target: signingTarget(endpoint),
      service: scope?.service,
      createAuthorizer: (profile, requestHandler, connect) =>
        createAuthorizer(profile, {
          settings: this.#settings,
          sharedKind: this.#sharedKind,
          clock: this.clock,
          events: this.events,
          requestHandler,
          connect,
          credentials: this.#credentials,
          role: this.#identity?.role,
          onIdentityChange: () => this.#forgetLists(profile),
        }),
      createTransport: transportFactory(transport, endpoint),
      readProfileCaBundle: async (profile) => (await readProfileFacts(profile || undefined, env)).caBundle,
      caBundle,
      proxy: { url: this.#settings.proxy, env },
      env,
      maxConnections: this.#settings.maxConnections,
      maxIdleConnections: this.#settings.keepConnections,
      keepAliveTimeoutMs: this.#settings.keepaliveTimeout * SECOND_MS,
      lifetimeMs: this.#settings.connectionLifetime * SECOND_MS,
      connectTo: connectTo === undefined ? undefined : readConnectAddress(connectTo),
      connectTimeoutMs: this.#settings.connectTimeout * SECOND_MS,
      manyClients: this.#settings.listener !== undefined,
      headers: () => this.#headers,
      maxLineBytes: this.#settings.maxLine,
      clock: this.clock,
      events: this.events,
    });
  }

  #limitKey(): LimitKeyDeps {
    return {
      limitKey: this.#settings.limitKey as LimitKey,
      identity: this.#identity?.name,
      isTool: (name, profile) => this.toolsKnownTo(profile).definitionOf(name) !== undefined,
      knownAccount: (profile) => {
        const { principal } = this.transports.profileTransport(profile).credentials ?? {};
        return principal === undefined ? undefined : identityIn(principal).account;
      },
      accountOf: async (profile, signal) => (await this.identities.of(profile, signal)).account ?? undefined,
    };
  }

  /** Begins a login in the browser, or returns the page of the one that is open. */
  async beginLogin(profile: string, signal: AbortSignal): Promise<LoginOffer> {
    const { createLoginOffers } = await import('./oauth-wiring.ts');
    this.#logins ??= createLoginOffers(this.#settings, {
      clock: this.clock,
      events: this.events,
      connectOf: (name) => this.transports.profileTransport(name).connect,
    });
    return this.#logins.begin(profile, signal);
  }

  /** Settles when the open login of a profile is over; undefined without one. */
  pendingLogin(profile: string): Promise<unknown> | undefined {
    return this.#logins?.pending(profile);
  }

  /** Cancels pending logins. */
  closeLogins(): void {
    this.#logins?.close();
  }

  /** The profile may have another identity now, which has other tools. */
  #forgetLists(profile: string): void {
    this.tools.of(profile).invalidate({ identityChanged: true });
    this.changeStreams.invalidate(profile);
  }

  #createSnapshots(): SnapshotFiles {
    const { endpoint, scope, profiles, defaultProfile, profileTools, roleArn, auth, env } = this.#settings;
    const { readOnly, allowTool, denyTool, bearerTokenEnv, bearerTokenFile, bearerCommand } = this.#settings;
    const tokenSource = bearerTokenEnv ?? bearerTokenFile ?? bearerCommand;
    return new SnapshotFiles({
      folder: cacheFolder(env),
      // The snapshot is what the client sees, so its key includes the options that hide or add
      // tools.
      identity: [
        ...[endpoint.href, scope, profiles, profileTools, roleArn, auth, readOnly, allowTool, denyTool],
        ...(tokenSource === undefined ? [] : [tokenSource]),
      ],
      principal: {
        foreseen: () => foreseenPrincipal(this.#settings),
        now: () => this.transports.profileTransport(defaultProfile).authorizer.principal,
      },
      events: this.events,
    });
  }
}
