import { Events } from '../../src/core/pipeline/events.ts';
import type { LimiterOptions } from '../../src/core/pipeline/limits.ts';
import { backpressure, Limiter } from '../../src/layers/backpressure.ts';
import { FakeClock } from './fake-clock.ts';
import { HeldHandler } from './held-handler.ts';
import { type MadeCall, makeToolCall } from './make-call.ts';

/**
 * A limiter as layer over a handler that the test ends. `send` brings what was thrown as a value.
 */
export function limited(options: Partial<LimiterOptions> = {}) {
  const clock = new FakeClock();
  const limiter = new Limiter({
    maxConcurrent: 1,
    queueSize: 0,
    queueTimeoutMs: 30_000,
    errorCode: -32001,
    clock,
    ...options,
  });
  const server = new HeldHandler();
  const handler = backpressure({ of: () => limiter }, new Events())(server.handle);
  const send = (made: MadeCall = makeToolCall()) => handler(made.call).catch((error: unknown) => error);
  return { clock, limiter, server, handler, send };
}

/** The same with every place taken. */
export function occupied(options: Partial<LimiterOptions>) {
  const set = limited(options);
  const first = Array.from({ length: options.maxConcurrent ?? 1 }, (_, at) => makeToolCall(at));
  const answers = first.map((made) => set.send(made));
  return { ...set, first, answers };
}
