import { causeText } from '../../core/errors/errors.ts';
import { type Clock, settleWithin, withTimeout } from '../../core/time/clock.ts';

/**
 * Load balancers and kubelets ask every few seconds, each of them: what a check has found is the
 * answer for so long.
 */
const RESULT_TTL_MS = 5_000;
/**
 * Kubernetes gives up a probe after a second unless told otherwise: until then it gets an answer,
 * found or not.
 */
const MAX_PROBE_WAIT_MS = 800;
/** A check that hangs must not be the last one. */
const MAX_CHECK_MS = 30_000;

/** Something without which requests cannot succeed. */
export interface ReadyCheck {
  /** For whoever asks: it must hold nothing secret, because health is told without a token. */
  readonly reason: string;
  /** Rejects where it is missing. */
  readonly run: (signal: AbortSignal) => Promise<unknown>;
}

export interface ReadinessOptions {
  readonly checks: readonly ReadyCheck[];
  readonly clock: Clock;
  /**
   * Called when a check fails that did not fail before, with the whole cause, and when all pass
   * again.
   */
  readonly onChange: (reason: string | undefined, cause: string) => void;
}

interface ReadinessResult {
  readonly at: number;
  /** Undefined: ready. */
  readonly reason: string | undefined;
}

/**
 * Whether the proxy could serve a request now. Nothing is checked unless somebody asks, and once
 * for all who ask together.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  #last: ReadinessResult | undefined;
  #checking: Promise<ReadinessResult> | undefined;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /**
   * Why it is not ready, or undefined. Never rejects, and never takes longer than a probe waits.
   */
  async reason(): Promise<string | undefined> {
    const { clock } = this.#options;
    const last = this.#last;
    if (last && clock.monotonic() - last.at < RESULT_TTL_MS) return last.reason;
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    const outcome = (await settleWithin(clock, MAX_PROBE_WAIT_MS, this.#checking)) ?? last;
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
