import { ERROR_CODES } from '../core/errors/error-table.ts';
import { causeText } from '../core/errors/errors.ts';
import { isObject } from '../core/jsonrpc/message.ts';
import { RejectionCounter, type Slot } from '../core/pipeline/limits.ts';
import { systemClock } from '../core/time/clock.ts';
import { Limiter, OverloadedError } from '../layers/backpressure.ts';
import {
  type BackpressureLimits,
  type BackpressureMetrics,
  type BackpressureOptions,
  backpressureProblems,
  type Overload,
} from './backpressure-options.ts';
import { guarded, type ServerTransport } from './guarded-transport.ts';
import { OptionsError } from './options-error.ts';

/** A server of either generation of the MCP SDK. */
export interface BackpressureServer {
  /** Connects the server to a transport. */
  connect(transport: never, ...rest: never[]): Promise<void>;
}

const DEFAULT_QUEUE_TIMEOUT_S = 30;

/** A limiter with the scope that its refusals report. */
interface ScopedLimiter {
  readonly scope: Overload['scope'];
  readonly limiter: Limiter;
}

/** Limits the tool calls of any number of servers, such as one per session, together. */
export class Backpressure {
  readonly #options: BackpressureOptions;
  readonly #limiter: Limiter;
  readonly #tools: ReadonlyMap<string, Limiter>;
  /** The limiters of clients that have calls. */
  readonly #clients = new Map<string, Limiter>();
  readonly #rejections = new RejectionCounter();
  #queued = 0;

  /** @throws OptionsError with all problems. */
  constructor(options: BackpressureOptions) {
    const { tools = {} } = options;
    const problems = backpressureProblems(options);
    if (problems.length > 0) throw new OptionsError('withBackpressure', problems);
    this.#options = options;
    this.#limiter = this.#newLimiter(options);
    this.#tools = new Map(Object.entries(tools).map(([name, limits]) => [name, this.#newLimiter(limits)]));
  }

  #newLimiter({ maxConcurrent, queueSize = 0, queueTimeout = DEFAULT_QUEUE_TIMEOUT_S }: BackpressureLimits) {
    const { overloadErrorCode: errorCode = ERROR_CODES.overloaded, clock = systemClock } = this.#options;
    return new Limiter({ maxConcurrent, queueSize, queueTimeoutMs: queueTimeout * 1_000, errorCode, clock });
  }

  /** Calls that run. */
  get active(): number {
    return this.#limiter.active;
  }

  /** Calls that queue. */
  get queued(): number {
    return this.#queued;
  }

  /** The counts at this moment. */
  metrics(): BackpressureMetrics {
    return this.#rejections.countsWith(this.active, this.queued);
  }

  /** Limits the tool calls that arrive on a transport. */
  guard<T extends object>(transport: T): T {
    return guarded(this, transport as T & ServerTransport) as T;
  }

  /**
   * Runs `run` at once, or when the call has its slots.
   * @internal
   * @throws OverloadedError; the signal's reason
   */
  admit(
    call: { readonly tool: string; readonly client: string },
    signal: AbortSignal,
    run: (slots: readonly Slot[]) => void,
  ): Promise<void> | undefined {
    const slots: Slot[] = [];
    const limiters = this.#limitersOf(call);
    const next = (at: number): Promise<void> | undefined => {
      const scoped = limiters[at];
      if (!scoped) {
        run(slots);
        return undefined;
      }
      const entered = this.#enter(scoped, call, signal);
      if (!(entered instanceof Promise)) {
        slots.push(entered);
        return next(at + 1);
      }
      this.#queued++;
      return entered
        .finally(() => this.#queued--)
        .then(
          (slot) => {
            slots.push(slot);
            return next(at + 1);
          },
          (error: unknown) => this.#refused(error, scoped, call),
        );
    };
    const leave = (error: unknown): never => {
      for (const slot of slots) slot.release();
      this.#removeIdle(call.client);
      throw error;
    };
    try {
      return next(0)?.catch(leave);
    } catch (error) {
      return leave(error);
    }
  }

  /** @internal */
  release(client: string, slots: readonly Slot[]): void {
    for (const slot of slots) slot.release();
    this.#removeIdle(client);
  }

  /**
   * The client of a call.
   * @internal
   * @throws OptionsError where `clientOf` fails.
   */
  clientOf(message: object, extra: object | undefined, sessionId: string | undefined): string {
    const { clientOf } = this.#options;
    if (clientOf) return namedBy(clientOf, message, extra);
    const authInfo = isObject(extra) && isObject(extra.authInfo) ? extra.authInfo : {};
    return typeof authInfo.clientId === 'string' ? authInfo.clientId : (sessionId ?? '');
  }

  #enter(
    scoped: ScopedLimiter,
    call: { readonly tool: string; readonly client: string },
    signal: AbortSignal,
  ): Slot | Promise<Slot> {
    try {
      return scoped.limiter.enter(signal);
    } catch (error) {
      return this.#refused(error, scoped, call);
    }
  }

  /** From the narrowest limit to the widest, so that a queued call holds no slot of a wider one. */
  #limitersOf({ tool, client }: { readonly tool: string; readonly client: string }): ScopedLimiter[] {
    const { perClient } = this.#options;
    const limiters: ScopedLimiter[] = [];
    if (perClient) {
      const limiter = this.#clients.get(client) ?? this.#newLimiter(perClient);
      this.#clients.set(client, limiter);
      limiters.push({ scope: 'client', limiter });
    }
    const ofTool = this.#tools.get(tool);
    if (ofTool) limiters.push({ scope: 'tool', limiter: ofTool });
    return [...limiters, { scope: 'server', limiter: this.#limiter }];
  }

  #removeIdle(client: string): void {
    const limiter = this.#clients.get(client);
    if (limiter && limiter.active + limiter.queued === 0) this.#clients.delete(client);
  }

  #refused(error: unknown, { scope }: ScopedLimiter, call: Pick<Overload, 'tool' | 'client'>): never {
    if (error instanceof OverloadedError) {
      const { overload: reason, at } = error;
      this.#rejections.add(reason);
      try {
        const { active, queued } = at;
        const result: unknown = this.#options.onOverload?.({ reason, scope, ...call, active, queued });
        if (result instanceof Promise) result.catch(() => undefined);
      } catch {
        // A callback never replaces the error of the call.
      }
    }
    throw error;
  }
}

/**
 * Limits the tool calls of a server; other messages pass. Call it before `connect`.
 * @param limits - options, or a `Backpressure` that several servers share.
 * @returns the counts and limits.
 * @throws OptionsError
 */
export function withBackpressure(
  server: BackpressureServer,
  limits: BackpressureOptions | Backpressure,
): Backpressure {
  const backpressure = limits instanceof Backpressure ? limits : new Backpressure(limits);
  const connect = server.connect.bind(server) as (transport: object, ...rest: unknown[]) => Promise<void>;
  server.connect = ((transport: object, ...rest: unknown[]) =>
    connect(backpressure.guard(transport), ...rest)) as typeof server.connect;
  return backpressure;
}

function namedBy(
  clientOf: NonNullable<BackpressureOptions['clientOf']>,
  message: object,
  extra: object | undefined,
): string {
  const failed = (how: string): OptionsError =>
    new OptionsError('withBackpressure', [{ field: 'clientOf', message: `clientOf ${how}` }]);
  let client: unknown;
  try {
    client = clientOf(message, extra);
  } catch (error) {
    throw failed(`threw: ${causeText(error)}`);
  }
  if (typeof client !== 'string') throw failed('must return a string');
  return client;
}
