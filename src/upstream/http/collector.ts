import type { SecureContextOptions } from 'node:tls';
import type { Clock } from '../../core/time/clock.ts';
import { Connection, TransportFailure } from './connection.ts';
import { ERROR_BODY, headerOf } from './incoming.ts';
import { buildConnector } from './undici.ts';

/** Below the 5 s after which many servers close an idle connection. */
const KEEP_ALIVE_MS = 4_000;

interface Post {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
}

interface Posted {
  readonly status: number;
  readonly retryAfter: string;
  readonly body: Uint8Array;
}

const ignore = (): void => undefined;

/**
 * Creates a connection to a collector of telemetry, without an HTTP proxy. It opens with its first
 * request, and again after a close.
 */
export function connectCollector(
  { origin, tls }: { readonly origin: string; readonly tls: SecureContextOptions },
  clock: Clock,
): { post(post: Post): Promise<Posted>; close(): void } {
  const connect = buildConnector({ ...tls, timeout: 0 });
  let kept: Connection | undefined;
  const open = (): Connection => {
    kept ??= new Connection({
      origin,
      connect,
      keepAliveTimeoutMs: KEEP_ALIVE_MS,
      onOpen: ignore,
      onClose: ignore,
    });
    return kept;
  };
  const drop = (connection: Connection, reason?: Error): void => {
    if (kept === connection) kept = undefined;
    connection.destroy(reason);
  };
  return {
    /** @throws the cause, where there was no whole answer in time. */
    async post({ path, headers, body, timeoutMs }) {
      const connection = open();
      const timer = clock.schedule(timeoutMs, () =>
        drop(connection, new Error(`no answer in ${timeoutMs / 1_000} s`)),
      );
      try {
        const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
        const request = { method: 'POST', path, headers: { ...headers }, body: bytes };
        const answer = await connection.send(request, ignore);
        const retryAfter = headerOf(answer.headers, 'retry-after');
        return { status: answer.status, retryAfter, body: await answer.readAll(ERROR_BODY) };
      } catch (error) {
        throw error instanceof TransportFailure ? error.cause : error;
      } finally {
        timer.cancel();
      }
    },
    close() {
      if (kept) drop(kept);
    },
  };
}
