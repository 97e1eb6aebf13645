import { ProxyError } from './core/errors/errors.ts';
import type { Events } from './core/pipeline/events.ts';
import type { ConcurrencyLimiter, RateLimiter } from './core/pipeline/limits.ts';
import { PerProfile } from './core/pipeline/per-profile.ts';
import type { ProfileState } from './core/pipeline/proxy-state.ts';
import type { Clock } from './core/time/clock.ts';
import { Limiter } from './layers/backpressure.ts';
import { burstOf, TokenBucket } from './layers/rate-limit.ts';
import { AdaptiveRate } from './layers/retry/adaptive-rate.ts';
import { KeyedLimiters, type LimitKeyDeps } from './limits/keyed-limiters.ts';
import type { SharedLimits } from './limits/shared-limits.ts';
import type { Settings } from './settings.ts';

export interface ProxyLimitsDeps {
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined without --limits. */
  readonly shared: SharedLimits | undefined;
  /** How calls are counted. */
  readonly key: LimitKeyDeps;
}

/** The limits of all calls: concurrency, rate, and the rate that the server accepts. */
export class ProxyLimits {
  /** Undefined without --max-concurrent. */
  readonly limiters: KeyedLimiters<ConcurrencyLimiter> | undefined;
  /** Undefined without --rate-limit. */
  readonly buckets: KeyedLimiters<RateLimiter> | undefined;
  /** Undefined: --retry-mode standard, or no repeats. */
  readonly rates: PerProfile<AdaptiveRate> | undefined;

  constructor(settings: Settings, deps: ProxyLimitsDeps) {
    const { clock, events } = deps;
    this.limiters = createLimiters(settings, deps);
    this.buckets = createBuckets(settings, deps);
    const adapts = settings.retryMode === 'adaptive' && settings.retries > 0;
    this.rates = adapts
      ? new PerProfile((profile) => new AdaptiveRate({ profile, clock, events }))
      : undefined;
  }

  /** Refuses the calls that wait for their turn, because the client has left. */
  refuseWaiting(): void {
    const refused = (line: string): ProxyError =>
      new ProxyError('shutting-down', `The proxy is ending: this call waited ${line} and was not sent.`, {
        sent: 'no',
      });
    for (const limiter of this.limiters?.all() ?? []) limiter.refuseQueued(refused('in the queue'));
    const turn = refused('for its turn under --rate-limit');
    for (const bucket of this.buckets?.all() ?? []) bucket.refuseWaiting(turn);
    const paced = refused('for its turn at the rate that the server accepts');
    for (const rate of this.rates?.all() ?? []) rate.refuseWaiting(paced);
  }

  /** Describes the limits of a profile; creates nothing. */
  describe(profile: string): Pick<ProfileState, 'backpressure' | 'rateWaiting' | 'learnedRate'> {
    const rate = this.rates?.peek(profile);
    const counts = (this.limiters?.usedBy(profile) ?? []).map((limiter) => limiter.counts);
    const sumOf = (key: 'active' | 'queued' | 'totalRejected'): number =>
      counts.reduce((sum, each) => sum + each[key], 0);
    const waiting = (this.buckets?.usedBy(profile) ?? []).reduce((sum, each) => sum + each.waiting, 0);
    return {
      backpressure: this.limiters && {
        active: sumOf('active'),
        queued: sumOf('queued'),
        totalRejected: sumOf('totalRejected'),
      },
      rateWaiting: waiting + (rate?.waiting ?? 0),
      learnedRate: rate?.ratePerSecond,
    };
  }
}

function createLimiters(
  { maxConcurrent, queueSize, queueTimeout, overloadErrorCode: errorCode }: Settings,
  { clock, shared, key }: ProxyLimitsDeps,
): KeyedLimiters<ConcurrencyLimiter> | undefined {
  if (maxConcurrent === undefined) return undefined;
  const limits = { maxConcurrent, queueSize, queueTimeoutMs: queueTimeout * 1_000, errorCode, clock };
  return new KeyedLimiters(key, (name) => shared?.concurrency(name, limits) ?? new Limiter(limits));
}

function createBuckets(
  { rateLimit: ratePerSecond, rateBurst }: Settings,
  { clock, shared, key }: ProxyLimitsDeps,
): KeyedLimiters<RateLimiter> | undefined {
  if (ratePerSecond === undefined) return undefined;
  const rate = { ratePerSecond, burst: burstOf(ratePerSecond, rateBurst) };
  return new KeyedLimiters(key, (name) => shared?.rate(name, rate) ?? new TokenBucket({ ...rate, clock }));
}
