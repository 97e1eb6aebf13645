import type { RoleOptions } from './auth/credentials/credentials.ts';
import { type HttpRefusal, listenerFull } from './client/http/admission.ts';
import type { HttpHandler } from './client/http/handler.ts';
import type { Caller, Route } from './client/http/route.ts';
import {
  type AssumedRole,
  type IdentityTarget,
  identityKey,
  type KnownCaller,
  loadIdentityMap,
  mapIdentity,
} from './client/http/users/identity-map.ts';
import type { IdentityRule } from './client/http/users/identity-rules.ts';
import { IdentityTable, MAX_IDENTITIES } from './client/http/users/identity-table.ts';
import { WatchedFiles } from './client/http/watched-files.ts';
import { ProxyError } from './core/errors/errors.ts';
import type { Events } from './core/pipeline/events.ts';
import { withUsers } from './core/pipeline/merged-state.ts';
import type { ProxyState, UserState } from './core/pipeline/proxy-state.ts';
import type { Clock } from './core/time/clock.ts';
import type { McpProxy } from './proxy.ts';
import type { Settings } from './settings.ts';

/** The parts of a proxy that belong to one identity. */
export interface IdentityParts {
  readonly settings: Settings;
  readonly role: RoleOptions | undefined;
  /** The name of the token or user. */
  readonly identity: string;
}

export interface IdentityProxiesOptions {
  readonly settings: Settings;
  readonly rules: Pick<WatchedFiles<readonly IdentityRule[]>, 'value' | 'onChange' | 'close'>;
  readonly createProxy: (parts: IdentityParts) => McpProxy;
  readonly connect: (proxy: McpProxy) => HttpHandler;
  readonly drainMs: number;
  readonly clock: Clock;
}

/** One identity in use. */
interface ServedIdentity {
  readonly caller: KnownCaller;
  /** The name of the rule. */
  readonly rule: string;
  readonly proxy: McpProxy;
  readonly handler: HttpHandler;
  readonly access: LatestToken;
}

/** The access token of the latest request, for AssumeRoleWithWebIdentity. */
interface LatestToken {
  token: string;
}

export interface OpenIdentitiesOptions {
  readonly settings: Settings;
  /** The file of --identity-map. */
  readonly path: string;
  /** The proxy of the process, which serves no caller itself. */
  readonly proxy: McpProxy;
  /** The limits that all identities share. */
  readonly limits: Parameters<McpProxy['connectHttp']>[0];
  readonly drainMs: number;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Reads the identity map, and again when it changes.
 * @throws Error if the file cannot be used.
 */
export async function openIdentities(options: OpenIdentitiesOptions): Promise<IdentityProxies> {
  const { settings, path, proxy, limits, drainMs, clock, events } = options;
  const rules = await WatchedFiles.open({
    paths: [path],
    read: () => loadIdentityMap(path),
    clock,
    onUnusable: (problem) =>
      events.emit({
        type: 'listener.identities-unusable',
        message: `The file of --identity-map cannot be used: ${problem}. The rules read before stay in use.`,
      }),
  });
  const report = (): void => events.emit({ type: 'listener.identities-read', rules: rules.value.length });
  report();
  rules.onChange(report);
  return new IdentityProxies({
    settings,
    rules,
    createProxy: (parts) => proxy.forIdentity(parts.settings, parts.identity, parts.role),
    connect: (own) => own.connectHttp(limits),
    drainMs,
    clock,
  });
}

interface Mapped {
  readonly key: string;
  readonly target: IdentityTarget;
}

/**
 * A proxy for each identity of --identity-map: sessions, connections, credentials, caches, breakers
 * and limits belong to one proxy, so that none of them can cross identities.
 */
export class IdentityProxies {
  readonly #options: IdentityProxiesOptions;
  readonly #table: IdentityTable<ServedIdentity>;
  /** The latest identity by the name of its token or user. */
  readonly #byName = new Map<string, ServedIdentity>();
  /** The result by claims object: a cached access token keeps its object. */
  #mapped = new WeakMap<object, Mapped | { readonly problem: string }>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: IdentityProxiesOptions) {
    this.#options = options;
    const { clock, rules } = options;
    this.#table = new IdentityTable({ clock, close: (identity) => this.#close(identity) });
    rules.onChange(() => {
      this.#mapped = new WeakMap();
      this.#table.keepOnly(({ caller }, key) => {
        const mapped = this.#map(caller);
        return 'key' in mapped && mapped.key === key;
      });
    });
  }

  get size(): number {
    return this.#table.size;
  }

  /** Routes a request to the proxy of its caller. */
  readonly route = ({ token, user }: Caller): Route => {
    const caller: KnownCaller = { name: token ?? '', claims: user?.claims };
    const mapped = this.#remembered(caller);
    if ('problem' in mapped) return noAccess(mapped.problem);
    const { key, target } = mapped;
    const place = this.#table.acquire(key, () => this.#create(caller, target));
    if (!place) return listenerFull(`The proxy serves ${MAX_IDENTITIES} users, its maximum.`);
    const { value, release } = place;
    if (user) value.access.token = user.token;
    return { handlers: value.handler, release };
  };

  /** The proxies of the users that are served now. */
  get proxies(): readonly McpProxy[] {
    return this.#table.values().map(({ proxy }) => proxy);
  }

  /** The state of the process's proxy, with the sums and the list of its users. */
  describe(own: ProxyState): ProxyState {
    const uses = this.#table.uses();
    const states = uses.map(({ value }) => value.proxy.debugSnapshot());
    const users = uses.map(({ value, requests }, at): UserState => {
      const { account, role } = value.proxy.signingIdentity(states[at]?.profiles[0]?.profile ?? '') ?? {};
      const [profile] = states[at]?.profiles ?? [];
      const connections = profile?.connections.reduce((sum, { used, idle }) => sum + used + idle, 0) ?? 0;
      const breaker = profile?.breaker.state ?? 'closed';
      const { caller, rule } = value;
      return { name: caller.name, rule, account, role, requests, connections, breaker };
    });
    return withUsers(own, states, users);
  }

  /**
   * The profiles whose credentials the rules use. Rules with `webIdentity` use none.
   */
  get baseProfiles(): readonly string[] {
    const { settings, rules } = this.#options;
    const signing = rules.value.filter(({ role }) => !role?.withToken);
    return [...new Set(signing.map(({ profile }) => profile ?? settings.defaultProfile))];
  }

  /** The proxy that signs for the holder of a token, or for a user. */
  signerOf(name: string): McpProxy | undefined {
    return this.#byName.get(name)?.proxy;
  }

  #remembered(caller: KnownCaller): Mapped | { readonly problem: string } {
    const { claims } = caller;
    if (!claims) return this.#map(caller);
    const known = this.#mapped.get(claims);
    if (known) return known;
    const mapped = this.#map(caller);
    this.#mapped.set(claims, mapped);
    return mapped;
  }

  #map(caller: KnownCaller): Mapped | { readonly problem: string } {
    const target = mapIdentity(this.#options.rules.value, caller);
    return 'problem' in target ? target : { key: identityKey(caller, target), target };
  }

  #create(caller: KnownCaller, target: IdentityTarget): ServedIdentity {
    const { settings, createProxy, connect } = this.#options;
    const access: LatestToken = { token: '' };
    const proxy = createProxy({
      settings: settingsOf(settings, target),
      role: target.role && roleOf(target.role, access),
      identity: caller.name,
    });
    const identity = { caller, rule: target.rule, proxy, handler: connect(proxy), access };
    this.#byName.set(caller.name, identity);
    return identity;
  }

  /** Closes an identity: its streams end, and calls in flight may finish. */
  #close(identity: ServedIdentity): void {
    const { caller, proxy, handler } = identity;
    if (this.#byName.get(caller.name) === identity) this.#byName.delete(caller.name);
    const closing = handler
      .drain(this.#options.drainMs)
      .then(() => proxy.stop())
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** Ends all identities. Resolves when no call is in flight. */
  async drain(): Promise<void> {
    this.#options.rules.close();
    this.#table.close();
    await Promise.all(this.#closing);
  }
}

const noAccess = (problem: string): HttpRefusal => ({
  status: 403,
  headers: {},
  error: new ProxyError('client-refused', `This user has no access: ${problem}. The request was not sent.`, {
    sent: 'no',
  }),
});

const roleOf = (
  { arn, sessionName, externalId, tags, withToken }: AssumedRole,
  access: LatestToken,
): RoleOptions => ({
  arn,
  sessionName,
  externalId,
  tags,
  ...(withToken ? { webIdentityToken: () => access.token } : {}),
});

/**
 * The settings of an identity: those of the process, with its profile, filters and limits. Pure.
 */
export function settingsOf(settings: Settings, { profile, role, policy }: IdentityTarget): Settings {
  const { readOnly, allowTool, denyTool, maxConcurrent, rateLimit, rateBurst } = policy;
  const defaultProfile = profile ?? settings.defaultProfile;
  return {
    ...settings,
    profiles: defaultProfile === '' ? [] : [defaultProfile],
    defaultProfile,
    // A role of the map replaces --role-arn.
    ...(role ? { roleArn: undefined, roleSessionName: undefined, externalId: undefined } : {}),
    lazy: false,
    readOnly: settings.readOnly || readOnly,
    allowTool: allowTool.length > 0 ? allowTool : settings.allowTool,
    denyTool: [...settings.denyTool, ...denyTool],
    maxConcurrent: maxConcurrent ?? settings.maxConcurrent,
    ...(rateLimit === undefined ? {} : { rateLimit, rateBurst }),
  };
}
