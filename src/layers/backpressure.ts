import { integer, timeLimit } from '../config/option.ts';
import { ERROR_CODES, ProxyError, unsentReason } from '../core/errors/errors.ts';
import type { Call, Layer } from '../core/pipeline/call.ts';
import { addWait, targetOf } from '../core/pipeline/call-record.ts';
import type { Events } from '../core/pipeline/events.ts';
import { FairQueue, type Share, shareOf } from '../core/pipeline/fair-queue.ts';
import {
  type ConcurrencyLimiter,
  type LimiterCounts,
  type LimiterOptions,
  type LimiterSet,
  type OverloadReason,
  RejectionCounter,
  type Slot,
} from '../core/pipeline/limits.ts';
import type { Clock } from '../core/time/clock.ts';
import { type Waiter, WaitQueue } from '../core/time/wait-queue.ts';

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

/** A constant, as in the systems that this error comes from. */
const RETRY_AFTER_MS = 1_000;

interface LimiterSnapshot {
  readonly active: number;
  readonly queued: number;
  readonly maxConcurrent: number;
  readonly queueSize: number;
  readonly queueTimeoutMs: number;
}

/** A call was refused for overload. Text and keys are fixed, because programs read them. */
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

  /** The limiter when it refused. */
  get at(): LimiterSnapshot {
    return this.#at;
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

/** The refusal of a limiter with so many running and queued calls. */
export const overloadedAt = (
  reason: OverloadReason,
  { active, queued }: Pick<LimiterCounts, 'active' | 'queued'>,
  { maxConcurrent, queueSize, queueTimeoutMs, errorCode }: LimiterOptions,
): OverloadedError =>
  new OverloadedError(reason, { active, queued, maxConcurrent, queueSize, queueTimeoutMs }, errorCode);

interface QueuedCall {
  readonly signal: AbortSignal;
  readonly share: Share | undefined;
}

/** Limits running and queued calls. Decisions are synchronous, so that no slot is lost. */
export class Limiter implements ConcurrencyLimiter {
  readonly #options: LimiterOptions;
  #active = 0;
  readonly #order = new FairQueue<Waiter<Slot, QueuedCall>, QueuedCall>(({ share }) => share);
  readonly #waiting = new WaitQueue<Slot, QueuedCall>({ order: this.#order });
  readonly #rejections = new RejectionCounter();

  constructor(options: LimiterOptions) {
    this.#options = options;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get active(): number {
    return this.#active;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  get counts(): LimiterCounts {
    return this.#rejections.countsWith(this.active, this.queued);
  }

  /**
   * Returns a slot, or a promise of one in the queue, which rejects with the signal's reason as
   * soon as it aborts. A full queue refuses the newest call of the client that has most in it.
   * @param share - whose turn is waited for; the one client on stdio has none.
   * @throws OverloadedError
   */
  enter(signal: AbortSignal, share?: Share): Slot | Promise<Slot> {
    signal.throwIfAborted();
    const { maxConcurrent, queueSize } = this.#options;
    if (this.#active < maxConcurrent) return this.#grant(signal);
    if (queueSize === 0) throw this.#overloaded('concurrency_limit');
    const place = { signal, share };
    if (this.#waiting.size >= queueSize) {
      // Made first, so that it reports the full queue.
      const error = this.#overloaded('queue_full');
      const displaced = this.#order.displaceFor(place);
      if (!displaced) throw error;
      displaced.reject(error);
    }
    return this.#wait(place);
  }

  #wait(place: QueuedCall): Promise<Slot> {
    const { clock, queueTimeoutMs: ms } = this.#options;
    return this.#waiting.wait(place.signal, place, {
      clock,
      ms,
      refusal: () => this.#overloaded('queue_timeout'),
    });
  }

  #grant(signal: AbortSignal): Slot {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      signal.removeEventListener('abort', release);
      this.#active--;
      this.#waiting.serve(({ signal: next }) => this.#grant(next));
    };
    this.#active++;
    // The slot of a cancelled call is free at once, whenever its handler ends.
    signal.addEventListener('abort', release, { once: true });
    return { release };
  }

  #overloaded(reason: OverloadReason): OverloadedError {
    this.#rejections.add(reason);
    return overloadedAt(reason, this, this.#options);
  }

  /** Refuses all queued calls with this error, at shutdown. */
  refuseQueued(error: ProxyError): void {
    this.#waiting.refuse(() => error);
  }
}

/**
 * Limits tools/call only. Other messages are cheap, or calls in flight depend on them: a response
 * behind a full queue would be a deadlock.
 * @param limiters - by default one per profile: calls that hang with one must never stand in the
 * way of another, whose server may be well.
 */
export function backpressure(limiters: LimiterSet<ConcurrencyLimiter>, events: Events): Layer {
  return (next) =>
    async function backpressure(call) {
      const { message, signal, record } = call;
      if (message.kind !== 'request' || message.method !== 'tools/call') return next(call);
      const found = limiters.of(call.profile, call);
      const limiter = found instanceof Promise ? await found : found;
      let slot: Slot;
      try {
        const entered = limiter.enter(signal, shareOf(call.client));
        slot =
          entered instanceof Promise
            ? await addWait(record, 'queueMs', limiter.clock, withHeldDeadline(entered, call.deadline.hold()))
            : entered;
      } catch (error) {
        if (error instanceof OverloadedError) reportOverload(events, call, error);
        throw error;
      }
      try {
        // The call may have been cancelled since the grant; its handler must not start then.
        if (signal.aborted) throw unsentReason(signal.reason);
        return await next(call);
      } finally {
        slot.release();
      }
    };
}

function reportOverload(events: Events, { profile, message }: Call, { overload, at }: OverloadedError): void {
  events.emit({
    type: 'call.overloaded',
    profile,
    tool: targetOf(message) ?? '',
    reason: overload,
    ...at,
  });
}

/** The call's deadline is held while it is queued. */
async function withHeldDeadline(waiting: Promise<Slot>, release: () => void): Promise<Slot> {
  try {
    return await waiting;
  } finally {
    release();
  }
}
