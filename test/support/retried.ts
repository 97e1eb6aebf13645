import type { Call, Reply } from '../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { ToolCatalog } from '../../src/core/tools/catalog.ts';
import type { RetryDeps } from '../../src/layers/retry/retried-call.ts';
import { retry } from '../../src/layers/retry/retry.ts';
import { FakeClock } from './fake-clock.ts';
import { type MadeCall, makeCall, requestOf } from './make-call.ts';

/** The server's reaction to one attempt. */
export type Attempted = (call: Call) => Reply | Promise<Reply>;

/** The layer over a server that plays one act per attempt, the last one for ever. */
export function retried(acts: readonly Attempted[], deps: Partial<RetryDeps> = {}) {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const tools = new ToolCatalog();
  const log: { readonly at: number; readonly call: Call }[] = [];
  const handler = retry({
    options: { retries: 2, baseDelayMs: 100, maxDelayMs: 2_000, adaptive: false },
    clock,
    events,
    toolsOf: () => tools,
    ...deps,
  })(async (call) => {
    const act = acts[Math.min(log.length, acts.length - 1)];
    log.push({ at: clock.monotonic(), call });
    if (!act) throw new Error('the server has no act');
    return act(call);
  });
  const send = (made: MadeCall = makeCall(requestOf('tools/list', {}))) =>
    handler(made.call).catch((error: unknown) => error);
  return { clock, seen, tools, log, send };
}
