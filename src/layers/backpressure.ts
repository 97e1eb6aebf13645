import { integer, timeLimit } from '../config/option.ts';
import { ERROR_CODES, ProxyError, unsentReason } from '../core/errors/errors.ts';
import type { Layer } from '../core/pipeline/call.ts';
import type { PerProfile } from '../core/pipeline/per-profile.ts';
import type { Clock } from '../core/time/clock.ts';

export const backpressureOptions = {
  maxConcurrent: integer({
    group: 'Backpressure',
    placeholder: 'n',
    min: 1,
    fallback: undefined,
    defaultText: 'no limit',
    help: 'maximum number of tools/call running at once per profile; further calls queue or are refused',
  }),
  queueSize: integer({
    group: 'Backpressure',
    needs: 'maxConcurrent',
    placeholder: 'n',
    min: 0,
    fallback: 0,
    help: 'maximum number of tools/call that queue for --max-concurrent, per profile; 0 = refuse at once',
  }),
  queueTimeout: timeLimit({
    group: 'Backpressure',
    needs: 'maxConcurrent',
    fallback: 30,
    above: true,
    help: 'longest wait of a call in the queue of --max-concurrent; the wait does not count towards --tool-timeout',
  }),
  overloadErrorCode: integer({
    group: 'Backpressure',
    needs: 'maxConcurrent',
    placeholder: 'n',
    min: Number.NEGATIVE_INFINITY,
    fallback: ERROR_CODES.overloaded,
    help: 'JSON-RPC error code of a call that --max-concurrent refuses',
  }),
} as const;

export type OverloadReason = 'concurrency_limit' | 'queue_full' | 'queue_timeout';

/** A constant, as in the systems that this error comes from. */
const RETRY_AFTER_MS = 1_000;

interface LimiterSnapshot {
  readonly active: number;
  readonly queued: number;
  readonly maxConcurrent: number;
  readonly queueSize: number;
  readonly queueTimeoutMs: number;
}

/**
 * A call found no place. Its wire form is older than this project and read by programs: text and
 * keys are fixed.
 */
export class OverloadedError extends ProxyError {
  readonly overload: OverloadReason;
  readonly #code: number;
  readonly #at: LimiterSnapshot;

  constructor(overload: OverloadReason, at: LimiterSnapshot, code: number = ERROR_CODES.overloaded) {
    super('overloaded', 'SERVER_OVERLOADED', { sent: 'no', retryAfterMs: RETRY_AFTER_MS });
    this.overload = overload;
    this.#code = code;
    this.#at = at;
  }

  override get code(): number {
    return this.#code;
  }

  override toJsonRpc(): { code: number; message: string; data: Record<string, unknown> } {
    const { active, queued, maxConcurrent, queueSize, queueTimeoutMs } = this.#at;
    return {
      code: this.#code,
      message: this.message,
      data: {
        reason: this.overload,
        active,
        queued,
        max_concurrent: maxConcurrent,
        queue_size: queueSize,
        queue_timeout_ms: Math.trunc(queueTimeoutMs),
        retry_after_ms: RETRY_AFTER_MS,
      },
    };
  }
}

export interface LimiterOptions {
  readonly maxConcurrent: number;
  readonly queueSize: number;
  readonly queueTimeoutMs: number;
  readonly errorCode: number;
  readonly clock: Clock;
}

export interface LimiterCounts {
  readonly active: number;
  readonly queued: number;
  readonly totalRejected: number;
  readonly rejectedConcurrencyLimit: number;
  readonly rejectedQueueFull: number;
  readonly rejectedQueueTimeout: number;
}

/** A place among the running calls. Gives itself back when its call is cancelled. */
export interface Slot {
  /** Harmless when the place is given back already. */
  release(): void;
}

interface QueuedCall {
  grant(): void;
  refuse(error: unknown): void;
}

/**
 * So many calls at once, so many waiting in line. Every decision is an integer and a list, taken in
 * one step: with a semaphore to await, a cancellation between asking and getting would lose a place
 * for good.
 */
export class Limiter {
  readonly #options: LimiterOptions;
  #active = 0;
  /** A Set keeps order and forgets a cancelled waiter in one step, however many wait. */
  readonly #waiting = new Set<QueuedCall>();
  readonly #rejected: Record<OverloadReason, number> = {
    concurrency_limit: 0,
    queue_full: 0,
    queue_timeout: 0,
  };

  constructor(options: LimiterOptions) {
    this.#options = options;
  }

  get active(): number {
    return this.#active;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  /**
   * Successes, failures and cancellations are not counted: only what was refused for want of a
   * place.
   */
  get counts(): LimiterCounts {
    const { concurrency_limit, queue_full, queue_timeout } = this.#rejected;
    return {
      active: this.active,
      queued: this.queued,
      totalRejected: concurrency_limit + queue_full + queue_timeout,
      rejectedConcurrencyLimit: concurrency_limit,
      rejectedQueueFull: queue_full,
      rejectedQueueTimeout: queue_timeout,
    };
  }

  /**
   * A place now, or a promise of one in line. The promise rejects with the signal's reason the
   * moment that aborts.
   * @throws OverloadedError
   */
  enter(signal: AbortSignal): Slot | Promise<Slot> {
    signal.throwIfAborted();
    const { maxConcurrent, queueSize } = this.#options;
    if (this.#active < maxConcurrent) return this.#grant(signal);
    if (queueSize === 0) throw this.#overloaded('concurrency_limit');
    if (this.#waiting.size >= queueSize) throw this.#overloaded('queue_full');
    return this.#wait(signal);
  }

  #wait(signal: AbortSignal): Promise<Slot> {
    const { clock, queueTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', cancel);
        this.#waiting.delete(waiter);
      };
      const cancel = (): void => waiter.refuse(unsentReason(signal.reason));
      const waiter: QueuedCall = {
        grant: () => {
          leave();
          resolve(this.#grant(signal));
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      const timer = clock.schedule(queueTimeoutMs, () => {
        // Out of the queue first: what the refusal reports is the queue without it.
        leave();
        reject(this.#overloaded('queue_timeout'));
      });
      this.#waiting.add(waiter);
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  #grant(signal: AbortSignal): Slot {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      signal.removeEventListener('abort', release);
      this.#active--;
      const [oldest] = this.#waiting;
      oldest?.grant();
    };
    this.#active++;
    // A cancelled call's place is free at once, however long its handler takes to notice.
    signal.addEventListener('abort', release, { once: true });
    return { release };
  }

  #overloaded(reason: OverloadReason): OverloadedError {
    this.#rejected[reason]++;
    const { maxConcurrent, queueSize, queueTimeoutMs, errorCode } = this.#options;
    const { active, queued } = this;
    return new OverloadedError(
      reason,
      { active, queued, maxConcurrent, queueSize, queueTimeoutMs },
      errorCode,
    );
  }

  /**
   * Sends home everybody in line, with this error: at the end of the process nobody should wait out
   * a timer.
   */
  refuseQueued(error: ProxyError): void {
    for (const waiter of [...this.#waiting]) waiter.refuse(error);
  }
}

/**
 * Admits tools/call only. Everything else is cheap for the server, or must get through so that the
 * calls under way can end: a ping, a cancellation, the answer to an elicitation behind a full queue
 * would be a deadlock.
 * @param limiters - one per profile: calls that hang with one must never stand in the way of
 * another, whose server may be well.
 */
export function backpressure(limiters: Pick<PerProfile<Limiter>, 'of'>): Layer {
  return (next) =>
    async function backpressure(call) {
      const { message, signal } = call;
      if (message.kind !== 'request' || message.method !== 'tools/call') return next(call);
      const entered = limiters.of(call.profile).enter(signal);
      const slot =
        entered instanceof Promise ? await withHeldDeadline(entered, call.deadline.hold()) : entered;
      try {
        // Between the grant and this line the call can have been cancelled; its handler must not
        // start then.
        if (signal.aborted) throw unsentReason(signal.reason);
        return await next(call);
      } finally {
        slot.release();
      }
    };
}

/** The call's own time limit is for its work: it stands still while the call stands in line. */
async function withHeldDeadline(waiting: Promise<Slot>, release: () => void): Promise<Slot> {
  try {
    return await waiting;
  } finally {
    release();
  }
}
