import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';

/**
 * Ends a stream with the access token of its client.
 * @param ended - called by the returned function, which the end of the stream has to call.
 */
export function endWithToken(exchange: HttpExchange, clock: Clock, ended: () => void): () => void {
  const { expiresAt } = exchange.caller ?? {};
  if (expiresAt === undefined) return ended;
  const expiry = clock.schedule(expiresAt - clock.now(), () => exchange.breakOff(), { keepAlive: false });
  return () => {
    expiry.cancel();
    ended();
  };
}
