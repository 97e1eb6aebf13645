import { ProxyError } from '../../core/errors/errors.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { TokenBucket } from '../../layers/rate-limit.ts';
import { type BorrowOptions, tenantOf } from './borrow.ts';
import { SessionPoolError, shuttingDown } from './errors.ts';
import type { HookCaller } from './hooks.ts';
import type { PoolCounts } from './metrics.ts';
import { Tenants } from './tenants.ts';

export interface BorrowAdmissionDeps {
  readonly clock: Clock;
  readonly rate: { readonly ratePerSecond: number; readonly burst: number } | undefined;
  readonly tenants: { readonly max: number; readonly header: string | undefined } | undefined;
  readonly counts: PoolCounts;
  readonly hooks: HookCaller;
}

/** Admits borrows by the limit of their tenant and by the rate limit. */
export class BorrowAdmission {
  readonly #deps: BorrowAdmissionDeps;
  readonly #tenants: Tenants | undefined;
  readonly #bucket: TokenBucket | undefined;

  constructor(deps: BorrowAdmissionDeps) {
    this.#deps = deps;
    this.#tenants = deps.tenants && new Tenants(deps.tenants.max);
    this.#bucket = deps.rate && new TokenBucket({ ...deps.rate, clock: deps.clock });
  }

  /** The number of borrowed sessions of each tenant that has one. */
  get tenants(): Readonly<Record<string, number>> {
    return this.#tenants?.active ?? {};
  }

  /**
   * Counts a session of the tenant; undefined where none is limited. `leave` follows.
   * @throws SessionPoolError tenant-limit
   */
  enter(options: BorrowOptions): string | undefined {
    const { tenants, counts } = this.#deps;
    const tenant = this.#tenants && tenantOf(options, tenants?.header);
    if (tenant === undefined) return undefined;
    try {
      this.#tenants?.acquire(tenant);
    } catch (error) {
      counts.tenantRejects++;
      throw error;
    }
    return tenant;
  }

  leave(tenant: string | undefined): void {
    if (tenant !== undefined) this.#tenants?.release(tenant);
  }

  /**
   * Takes a turn; undefined where the borrow need not wait for it.
   * @throws SessionPoolError rate-limited, where the wait would be longer than `longestMs`.
   */
  takeTurn(signal: AbortSignal | undefined, longestMs: number): Promise<void> | undefined {
    if (!this.#bucket) return undefined;
    const { counts, hooks } = this.#deps;
    let turn: Promise<void> | undefined;
    try {
      turn = this.#bucket.take(signal ?? new CallController().signal, { remainingMs: longestMs });
    } catch (error) {
      throw this.#refusal(error);
    }
    if (!turn) return undefined;
    counts.rateLimitWaits++;
    hooks.call('onRateLimited', { refused: false });
    return turn.catch((error: unknown) => {
      throw this.#refusal(error);
    });
  }

  #refusal(error: unknown): unknown {
    if (!(error instanceof ProxyError)) return error;
    if (error.reason === 'shutting-down') return shuttingDown();
    const { counts, hooks } = this.#deps;
    counts.rateLimitRejects++;
    hooks.call('onRateLimited', { refused: true });
    const { retryAfterMs = 0 } = error;
    const text = `The rate limit (rateLimit.requestsPerSecond) would delay this borrow by ${retryAfterMs / 1_000} s, which is too long.`;
    return new SessionPoolError('rate-limited', 'rateLimit.requestsPerSecond', text, { retryAfterMs });
  }

  /** The server requested a pause. */
  pause(ms: number): void {
    this.#bucket?.pause(ms);
  }

  /** Refuses those that wait for their turn. */
  end(): void {
    this.#bucket?.refuseWaiting(
      new ProxyError('shutting-down', 'The pool is shutting down.', { sent: 'no' }),
    );
  }
}
