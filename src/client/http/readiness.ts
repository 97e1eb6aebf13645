import { causeText } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import { settleWithin, withTimeout } from '../../core/time/waits.ts';

/** Load balancers and kubelets probe every few seconds; a result is reused for this long. */
const RESULT_TTL_MS = 5_000;
/** Kubernetes gives up a probe after 1 s by default. */
const MAX_PROBE_WAIT_MS = 800;
/** A check that hangs must not block later ones. */
const MAX_CHECK_MS = 30_000;

/** A precondition for requests to succeed. */
export interface ReadyCheck {
  /** The reason in the response. It must contain no secret, because /readyz needs no token. */
  readonly reason: string;
  /** Rejects where the precondition fails. */
  readonly run: (signal: AbortSignal) => Promise<unknown>;
}

export interface ReadinessOptions {
  readonly checks: readonly ReadyCheck[];
  readonly clock: Clock;
  /** Called when the first check fails, with the full cause, and when all pass again. */
  readonly onChange: (reason: string | undefined, cause: string) => void;
}

interface ReadinessResult {
  readonly at: number;
  /** Undefined: ready. */
  readonly reason: string | undefined;
}

/**
 * Whether the proxy can serve requests. Checks run on demand, and concurrent probes share one run.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  #last: ReadinessResult | undefined;
  readonly #checking = new SingleFlight<ReadinessResult>();

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /**
   * Returns why the proxy is not ready, or undefined. Never rejects, and returns within the time
   * that a probe waits.
   */
  async reason(): Promise<string | undefined> {
    const { clock } = this.#options;
    const last = this.#last;
    if (last && clock.monotonic() - last.at < RESULT_TTL_MS) return last.reason;
    const { outcome: checking } = this.#checking.run(() => this.#check());
    const outcome = (await settleWithin(clock, MAX_PROBE_WAIT_MS, checking)) ?? last;
    return outcome ? outcome.reason : 'the first check is not over yet';
  }

  async #check(): Promise<ReadinessResult> {
    const { checks, clock, onChange } = this.#options;
    let reason: string | undefined;
    let cause = '';
    for (const check of checks) {
      try {
        await withTimeout(clock, MAX_CHECK_MS, check.run);
      } catch (error) {
        reason = check.reason;
        cause = causeText(error);
        break;
      }
    }
    if (reason !== this.#last?.reason) onChange(reason, cause);
    this.#last = { at: clock.monotonic(), reason };
    return this.#last;
  }
}
