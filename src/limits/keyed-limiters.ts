import { shortKey } from '../core/jsonrpc/short-key.ts';
import type { Call } from '../core/pipeline/call.ts';
import { targetOf } from '../core/pipeline/call-record.ts';
import type { LimiterSet } from '../core/pipeline/limits.ts';
import type { LimitKey } from './options.ts';

/** The maximum number of keys with their own limiter. Calls with further keys share one. */
const MAX_KEYS = 1_000;
const OVERFLOW_KEY = 'rest';

export interface LimitKeyDeps {
  readonly limitKey: LimitKey;
  /** The identity of --identity-map; quotas of two identities are never one. */
  readonly identity?: string | undefined;
  /** Whether the server is known to have the tool: others may be invented by a client. */
  readonly isTool: (name: string, profile: string) => boolean;
  /** The account as far as it is known without a request. */
  readonly knownAccount: (profile: string) => string | undefined;
  /** @throws ProxyError as the call itself would; undefined where no account is to be had. */
  readonly accountOf: (profile: string, signal: AbortSignal) => Promise<string | undefined>;
}

const nameOf = (kind: LimitKey, ...values: readonly string[]): string =>
  shortKey([kind, ...values.map((value) => value.replaceAll(/[\s:{}%]/g, encodeURIComponent))].join(':'));

/** The text that names the limit of a call, in every replica alike. */
export function limitKeyOf(
  { limitKey, identity, isTool, knownAccount, accountOf }: LimitKeyDeps,
  name: string,
  call: Call,
): string | Promise<string> {
  const profile = identity === undefined ? name : `${name}@${identity}`;
  switch (limitKey) {
    case 'profile':
      return nameOf('profile', profile);
    case 'identity':
      return nameOf('identity', call.client.token ?? '');
    case 'tool': {
      const { message } = call;
      const isCall = message.kind === 'request' && message.method === 'tools/call';
      const tool = (isCall && targetOf(message)) || '';
      return nameOf('tool', profile, isTool(tool, name) ? tool : '');
    }
    case 'account': {
      const ofAccount = (account: string | undefined): string =>
        account === undefined ? nameOf('profile', profile) : nameOf('account', account);
      const known = knownAccount(name);
      return known === undefined ? accountOf(name, call.signal).then(ofAccount) : ofAccount(known);
    }
  }
}

/** One limiter per key of `--limit-key`, created on first use. */
export class KeyedLimiters<T> implements LimiterSet<T> {
  readonly #deps: LimitKeyDeps;
  readonly #create: (key: string) => T;
  readonly #byKey = new Map<string, T>();
  /** With the key `profile`: the limiter of each profile, so that no call builds the key again. */
  readonly #ofProfile = new Map<string, T>();
  /** The profile that used a limiter first reports its state. */
  readonly #byProfile = new Map<string, T[]>();

  constructor(deps: LimitKeyDeps, create: (key: string) => T) {
    this.#deps = deps;
    this.#create = create;
  }

  of(profile: string, call: Call): T | Promise<T> {
    const held = this.#ofProfile.get(profile);
    if (held !== undefined) return held;
    const key = limitKeyOf(this.#deps, profile, call);
    if (this.#deps.limitKey === 'profile' && typeof key === 'string') {
      const limiter = this.#get(key, profile);
      this.#ofProfile.set(profile, limiter);
      return limiter;
    }
    return typeof key === 'string' ? this.#get(key, profile) : key.then((found) => this.#get(found, profile));
  }

  all(): Iterable<T> {
    return this.#byKey.values();
  }

  /** The limiters whose state belongs to a profile. */
  usedBy(profile: string): readonly T[] {
    return this.#byProfile.get(profile) ?? [];
  }

  #get(wanted: string, profile: string): T {
    const known = this.#byKey.get(wanted);
    if (known !== undefined) return known;
    if (this.#byKey.size >= MAX_KEYS && wanted !== OVERFLOW_KEY) return this.#get(OVERFLOW_KEY, profile);
    const created = this.#create(wanted);
    this.#byKey.set(wanted, created);
    const used = this.#byProfile.get(profile);
    if (used) used.push(created);
    else this.#byProfile.set(profile, [created]);
    return created;
  }
}
