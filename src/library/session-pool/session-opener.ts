import { causeText, type ProxyError } from '../../core/errors/errors.ts';
import { Events, type SessionOpenReason } from '../../core/pipeline/events.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import { sleep } from '../../core/time/waits.ts';
import { Breaker } from '../../layers/breaker.ts';
import { SessionPoolError } from './errors.ts';
import type { HookCaller, PoolOpenReason } from './hooks.ts';
import type { PoolCounts } from './metrics.ts';
import { type OpenSessionDeps, openSession, type SessionOrder, verdictOf } from './open-session.ts';
import type { PoolConfig } from './read-options.ts';
import type { PoolClient, PooledSession } from './session.ts';

export interface SessionOpenerDeps<C extends PoolClient> {
  readonly config: PoolConfig<C>;
  readonly key: string;
  readonly counts: PoolCounts;
  readonly hooks: HookCaller;
  readonly opening: OpenSessionDeps<C>;
}

/** Opens the sessions of one key, with retries and a circuit breaker. */
export class SessionOpener<C extends PoolClient> {
  readonly #deps: SessionOpenerDeps<C>;
  readonly #breaker: Breaker;
  /** Why the last opening failed; undefined after a success. */
  lastFailure: unknown;

  constructor(deps: SessionOpenerDeps<C>) {
    const { config, key, hooks } = deps;
    const events = new Events();
    this.#deps = deps;
    this.#breaker = new Breaker({ ...config.breaker, profile: key, clock: config.clock, events });
    events.subscribe((event) => {
      if (event.type === 'breaker.opened')
        hooks.call('onCircuitOpen', { key, failures: event.failures, cause: event.cause });
      if (event.type === 'breaker.closed') hooks.call('onCircuitClose', { key });
    });
  }

  get circuit(): 'closed' | 'open' | 'half-open' {
    return this.#breaker.state.is;
  }

  /** True where the circuit breaker would refuse an attempt at this moment. */
  get isRefusing(): boolean {
    return this.#breaker.refuses;
  }

  /** @throws SessionPoolError; OptionsError; the signal's reason. */
  async open(
    order: SessionOrder<C>,
    reason: SessionOpenReason,
    signal: AbortSignal,
  ): Promise<PooledSession<C>> {
    const { config, counts, hooks, key, opening } = this.#deps;
    const { clock, retryCount, retryBaseDelayMs, retryMaxDelayMs } = config;
    for (let failures = 0; ; ) {
      const attempt = this.#enter();
      try {
        const session = await openSession(opening, order, signal);
        this.#breaker.succeeded();
        this.lastFailure = undefined;
        counts.sessionsCreated++;
        hooks.call('onSessionCreated', { sessionId: session.id, key, reason: REASONS[reason] });
        return session;
      } catch (error) {
        this.lastFailure = error;
        const isFinal = verdictOf(error) === 'final';
        if (signal.aborted || isFinal) this.#breaker.abandoned(attempt);
        else this.#breaker.failed(attempt, causeText(error));
        if (signal.aborted) throw error;
        if (isFinal || ++failures > retryCount) {
          counts.errors++;
          throw error;
        }
        counts.retryAttempts++;
        await sleep(clock, fullJitter(clock, failures, retryBaseDelayMs, retryMaxDelayMs), signal);
      }
    }
  }

  #enter(): ReturnType<Breaker['enter']> {
    try {
      return this.#breaker.enter();
    } catch (error) {
      this.#deps.counts.errors++;
      const { details, retryAfterMs } = error as ProxyError;
      const text = `The circuit breaker is open: opening a session failed ${details.failures} times in a row (breakerThreshold). The last failure: ${details.cause}`;
      const refused = new SessionPoolError('circuit-open', 'breakerThreshold', text, { retryAfterMs });
      this.lastFailure = refused;
      throw refused;
    }
  }
}

const REASONS: Readonly<Record<SessionOpenReason, PoolOpenReason>> = {
  client: 'demand',
  profile: 'demand',
  demand: 'demand',
  minimum: 'warmup',
  recovery: 'recovery',
  unhealthy: 'unhealthy',
  recycled: 'recycled',
  drain: 'drain',
};
