import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';

/** The longest that Node's timers take: 24 days. */
const MAX_TIMER_MS = 2_147_483_647;

/**
 * Ends a stream with the access token of its client.
 * @param ended - called by the returned function, which the end of the stream has to call.
 */
export function endWithToken(exchange: HttpExchange, clock: Clock, ended: () => void): () => void {
  const { expiresAt } = exchange.caller ?? {};
  if (expiresAt === undefined) return ended;
  const ms = Math.min(Math.max(0, expiresAt - clock.now()), MAX_TIMER_MS);
  const expiry = clock.schedule(ms, () => exchange.breakOff(), { keepAlive: false });
  return () => {
    expiry.cancel();
    ended();
  };
}
