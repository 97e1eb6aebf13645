import type { ServerResponse } from 'node:http';
import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';

/**
 * Resolves to true when earlier responses on the connection are complete, to false when the client
 * has gone. A pipelined request runs only then: Node stops reading a connection with queued
 * responses, so the disconnection of a client would go unnoticed.
 */
export async function waitForTurn(
  response: ServerResponse,
  exchange: Pick<HttpExchange, 'onGone'>,
): Promise<boolean> {
  if (response.socket) return true;
  await new Promise<void>((resolve) => {
    response.once('socket', () => resolve());
    exchange.onGone(resolve);
  });
  return response.socket !== null;
}

/** A shorter turn of the event loop did almost no work. */
const QUIET_TURN_MS = 0.1;
/** Bound for a busy process without such a turn. */
const MAX_TURNS = 2_000;

/**
 * Resolves after an idle turn of the event loop, when all waiting connections are accepted. The
 * operating system resets those that it accepts later, before the socket closes.
 */
export async function waitForQuietTurn(clock: Clock): Promise<void> {
  let before = clock.monotonic();
  for (let turns = 0; turns < MAX_TURNS; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = clock.monotonic();
    if (now - before < QUIET_TURN_MS) return;
    before = now;
  }
}
