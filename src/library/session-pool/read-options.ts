import { didYouMean } from '../../config/spelling.ts';
import { type Clock, systemClock } from '../../core/time/clock.ts';
import { burstOf } from '../../layers/rate-limit.ts';
import { HEALTH_METHODS } from '../../pool/health.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { McpProxy } from '../../proxy.ts';
import { headerMemberProblem } from '../header-members.ts';
import { type OptionProblem, OptionsError } from '../options-error.ts';
import { DEFAULT_IDENTITY_HEADERS } from './identity.ts';
import { count, type GivenMembers, type NumberRule, type Numbers, seconds } from './number-rules.ts';
import type { SessionPoolOptions } from './options.ts';
import type { PoolClient } from './session.ts';

/** Valid options, with defaults, in milliseconds. */
export interface PoolConfig<C extends PoolClient> {
  readonly options: SessionPoolOptions<C>;
  readonly clock: Clock;
  readonly endpoint: string;
  /** Limits of the key without an identity; other keys keep no session open. */
  readonly limits: PoolLimits;
  readonly maxTotalSessions: number;
  readonly maxKeys: number;
  readonly keyIdleMs: number;
  readonly connectTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly retryCount: number;
  readonly retryBaseDelayMs: number;
  readonly retryMaxDelayMs: number;
  readonly breaker: { readonly threshold: number; readonly resetMs: number };
  readonly toolCacheTtlMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly identityHeaders: ReadonlySet<string>;
  readonly rate: { readonly ratePerSecond: number; readonly burst: number } | undefined;
  readonly tenants: { readonly max: number; readonly header: string | undefined } | undefined;
  readonly autoscale: AutoscaleConfig | undefined;
}

export interface AutoscaleConfig {
  readonly scaleUpMs: number;
  readonly scaleDownIdleMs: number;
  readonly cooldownMs: number;
  readonly checkMs: number;
  readonly step: number;
}

const NUMBERS = {
  minSessions: count(2, 0),
  maxSessions: count(10, 1),
  maxTotalSessions: count(undefined, 1),
  maxKeys: count(100, 1),
  keyIdle: seconds(600),
  borrowTimeout: seconds(undefined),
  connectTimeout: seconds(10, true),
  drainTimeout: seconds(30),
  sessionLifetime: seconds(3_600),
  sessionRecycleWindow: seconds(undefined),
  sessionIdle: seconds(600),
  healthInterval: seconds(30),
  healthTimeout: seconds(5, true),
  retryCount: count(2, 0),
  retryBaseDelay: seconds(0.1),
  retryMaxDelay: seconds(undefined),
  breakerThreshold: count(5, 1),
  breakerReset: seconds(30, true),
  toolCacheTtl: seconds(300),
} as const satisfies Partial<Record<keyof SessionPoolOptions, NumberRule>>;

const RATE = { requestsPerSecond: seconds(100, true), burst: count(undefined, 1) } as const;
const TENANTS = { maxConcurrent: count(5, 1) } as const;
const AUTOSCALE = {
  scaleUpThreshold: seconds(0.05, true),
  scaleDownIdle: seconds(120, true),
  cooldown: seconds(30),
  checkInterval: seconds(10, true),
  step: count(2, 1),
} as const;

const FUNCTIONS = ['transportFactory', 'clientFactory', 'warmupHook', 'healthProbe'] as const;
const OBJECTS = [
  'hooks',
  'clock',
  'proxy',
  'headers',
  'identity',
  'rateLimit',
  'tenantLimit',
  'autoscale',
] as const;
const OTHERS = ['endpoint', 'auth', 'gracefulDegradation', 'healthCheck'] as const;
const NAMES: readonly string[] = [...Object.keys(NUMBERS), ...FUNCTIONS, ...OBJECTS, ...OTHERS];

const RECYCLE_WINDOW_MS = 30_000;
const RETRY_MAX_DELAY_MS = 2_000;
const DEFAULT_MAX_TOTAL = 100;
const HEALTH_CHECK = ['ping', 'tools/list', 'skip'];

/** Reads options, and collects all their problems. */
class Reader {
  readonly problems: OptionProblem[] = [];

  add(field: string, allowed: string): void {
    this.problems.push({ field, message: `${field} ${allowed}` });
  }

  numbers<R extends Readonly<Record<string, NumberRule>>>(
    given: GivenMembers,
    rules: R,
    prefix = '',
  ): Numbers<R> {
    const read: Record<string, number | undefined> = {};
    for (const [name, { fallback, least, above = false, integer = false }] of Object.entries<NumberRule>(
      rules,
    )) {
      const value = given[name] ?? fallback;
      const isNumber =
        typeof value === 'number' && (integer ? Number.isSafeInteger(value) : Number.isFinite(value));
      const isValid = value === undefined || (isNumber && (above ? value > least : value >= least));
      const kind = integer ? 'an integer' : 'a number of seconds';
      if (!isValid)
        this.add(`${prefix}${name}`, `must be ${kind} ${above ? '>' : '>='} ${least}, not ${shown(value)}`);
      read[name] = isValid ? (value as number | undefined) : fallback;
    }
    return read as Numbers<R>;
  }

  types(given: GivenMembers): void {
    for (const name of Object.keys(given))
      if (!NAMES.includes(name)) this.add(name, `is not an option${didYouMean(name, [...NAMES])}`);
    for (const name of FUNCTIONS)
      if (given[name] !== undefined && typeof given[name] !== 'function')
        this.add(name, 'must be a function');
    for (const name of OBJECTS)
      if (given[name] !== undefined && (typeof given[name] !== 'object' || given[name] === null))
        this.add(name, 'must be an object');
    const { gracefulDegradation, auth } = given;
    if (gracefulDegradation !== undefined && typeof gracefulDegradation !== 'boolean')
      this.add('gracefulDegradation', 'must be true or false');
    if (auth !== undefined && typeof auth !== 'function' && (typeof auth !== 'string' || auth === ''))
      this.add('auth', 'must be a bearer token or a function');
    if (auth !== undefined && given.proxy !== undefined)
      this.add('auth', 'cannot be combined with proxy: a request has one kind of credentials');
    for (const [name, hook] of Object.entries(objectOf(given.hooks)))
      if (hook !== undefined && typeof hook !== 'function') this.add(`hooks.${name}`, 'must be a function');
  }

  endpoint({ endpoint, transportFactory, proxy }: GivenMembers): string {
    if (endpoint === undefined && (transportFactory !== undefined || isProxy(proxy))) return '';
    const isText = (typeof endpoint === 'string' && endpoint !== '') || endpoint instanceof URL;
    if (!isText) this.add('endpoint', 'must be a URL or an ARN, unless transportFactory or a proxy is given');
    return isText ? String(endpoint) : '';
  }

  headers(given: unknown, field: string): Record<string, string> {
    for (const [name, value] of Object.entries(objectOf(given))) {
      const problem = headerMemberProblem(name, value);
      if (problem) this.add(field, problem);
    }
    return { ...(objectOf(given) as Record<string, string>) };
  }

  identityHeaders({ headers = DEFAULT_IDENTITY_HEADERS, extractor }: GivenMembers): ReadonlySet<string> {
    const isList = Array.isArray(headers) && headers.every((name) => typeof name === 'string');
    if (!isList) this.add('identity.headers', 'must be a list of header names');
    if (extractor !== undefined && typeof extractor !== 'function')
      this.add('identity.extractor', 'must be a function');
    return new Set(isList ? headers.map((name: string) => name.toLowerCase()) : []);
  }

  healthMethods(given: unknown = HEALTH_CHECK): readonly string[] {
    const isList =
      Array.isArray(given) && given.length > 0 && given.every((name) => HEALTH_METHODS.includes(name));
    if (!isList) this.add('healthCheck', `must list methods of ${HEALTH_METHODS.join(', ')}`);
    return isList ? given : HEALTH_CHECK;
  }
}

const objectOf = (value: unknown): GivenMembers =>
  typeof value === 'object' && value !== null ? (value as GivenMembers) : {};

/** True for a proxy, false for the options of one. */
export const isProxy = (value: unknown): value is McpProxy =>
  typeof objectOf(value).connectClient === 'function';

const shown = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'boolean' || value === null ? String(value) : typeof value;

/** Reads the options. @throws OptionsError with all problems. */
export function readPoolOptions<C extends PoolClient>(options: SessionPoolOptions<C>): PoolConfig<C> {
  const reader = new Reader();
  const given = objectOf(options);
  reader.types(given);
  const read = reader.numbers(given, NUMBERS);
  const endpoint = reader.endpoint(given);
  const headers = reader.headers(given.headers, 'headers');
  const identityHeaders = reader.identityHeaders(objectOf(given.identity));
  const healthMethods = reader.healthMethods(given.healthCheck);
  const { minSessions: min, maxSessions: max } = read;
  const maxTotalSessions = read.maxTotalSessions ?? Math.max(DEFAULT_MAX_TOTAL, max);
  const lifetimeMs = read.sessionLifetime * 1_000;
  const windowMs =
    read.sessionRecycleWindow === undefined
      ? Math.min(RECYCLE_WINDOW_MS, lifetimeMs / 2)
      : read.sessionRecycleWindow * 1_000;
  const retryBaseDelayMs = read.retryBaseDelay * 1_000;
  const retryMaxDelayMs =
    read.retryMaxDelay === undefined
      ? Math.max(RETRY_MAX_DELAY_MS, retryBaseDelayMs)
      : read.retryMaxDelay * 1_000;
  if (min > max) reader.add('minSessions', `must be <= maxSessions (${max}), not ${min}`);
  if (maxTotalSessions < min)
    reader.add('maxTotalSessions', `must be >= minSessions (${min}), not ${maxTotalSessions}`);
  if (lifetimeMs > 0 && windowMs >= lifetimeMs)
    reader.add(
      'sessionRecycleWindow',
      `must be < sessionLifetime (${lifetimeMs / 1_000}), not ${windowMs / 1_000}`,
    );
  if (retryMaxDelayMs < retryBaseDelayMs)
    reader.add(
      'retryMaxDelay',
      `must be >= retryBaseDelay (${read.retryBaseDelay}), not ${retryMaxDelayMs / 1_000}`,
    );
  const rate = given.rateLimit ? reader.numbers(objectOf(given.rateLimit), RATE, 'rateLimit.') : undefined;
  const tenants = given.tenantLimit
    ? reader.numbers(objectOf(given.tenantLimit), TENANTS, 'tenantLimit.')
    : undefined;
  const tenantHeader = objectOf(given.tenantLimit).header;
  if (tenantHeader !== undefined && typeof tenantHeader !== 'string')
    reader.add('tenantLimit.header', 'must be the name of a header');
  const autoscale = given.autoscale
    ? reader.numbers(objectOf(given.autoscale), AUTOSCALE, 'autoscale.')
    : undefined;
  if (reader.problems.length > 0) throw new OptionsError('SessionPool', reader.problems);
  return {
    options,
    clock: options.clock ?? systemClock,
    endpoint,
    limits: {
      min,
      max,
      callsPerItem: 1,
      waitMs: (read.borrowTimeout ?? read.connectTimeout) * 1_000,
      openingWaitMs: 0,
      lifetimeMs,
      recycleWindowMs: lifetimeMs > 0 ? windowMs : 0,
      recyclesOnly: true,
      idleMs: read.sessionIdle * 1_000,
      healthIntervalMs: read.healthInterval * 1_000,
      // A probe of the program is one method.
      healthMethods: options.healthProbe ? ['healthProbe'] : healthMethods,
      healthTimeoutMs: read.healthTimeout * 1_000,
      probesOnly: true,
      keepsOne: false,
      keepsOpen: true,
    },
    maxTotalSessions,
    maxKeys: read.maxKeys,
    keyIdleMs: read.keyIdle * 1_000,
    connectTimeoutMs: read.connectTimeout * 1_000,
    drainTimeoutMs: read.drainTimeout * 1_000,
    retryCount: read.retryCount,
    retryBaseDelayMs,
    retryMaxDelayMs,
    breaker: { threshold: read.breakerThreshold, resetMs: read.breakerReset * 1_000 },
    toolCacheTtlMs: read.toolCacheTtl * 1_000,
    headers,
    identityHeaders,
    rate: rate && {
      ratePerSecond: rate.requestsPerSecond,
      burst: burstOf(rate.requestsPerSecond, rate.burst),
    },
    tenants: tenants && {
      max: tenants.maxConcurrent,
      header: (tenantHeader as string | undefined)?.toLowerCase(),
    },
    autoscale: autoscale && {
      scaleUpMs: autoscale.scaleUpThreshold * 1_000,
      scaleDownIdleMs: autoscale.scaleDownIdle * 1_000,
      cooldownMs: autoscale.cooldown * 1_000,
      checkMs: autoscale.checkInterval * 1_000,
      step: autoscale.step,
    },
  };
}
