import type { Clock } from '../../core/time/clock.ts';
import { Connection } from './connection.ts';
import type { BodyLimit } from './incoming.ts';
import type { Connector } from './undici.ts';

/** The limits of one request. */
export interface WebFetchLimits {
  /** From the first byte of the request to the last one of the response. */
  readonly ms: number;
  /** Bytes of a response's body. */
  readonly bytes: number;
}

/** The part of the Fetch API that libraries use for short JSON requests. */
export type WebFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** Statuses whose response must not have a body (Fetch Standard). */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/**
 * A `fetch` over the proxy's own connector, for libraries that know neither HTTPS_PROXY nor the
 * certificates of --ca-bundle. Follows no redirects, and ends every request within the limits.
 */
export function createWebFetch(connect: Connector, clock: Clock, limits: WebFetchLimits): WebFetch {
  const limit: BodyLimit = { bytes: limits.bytes };
  return async (input, init = {}) => {
    const url = new URL(input);
    const connection = new Connection({
      origin: url.origin,
      connect,
      keepAliveTimeoutMs: limits.ms,
      onOpen: () => undefined,
      onClose: () => undefined,
    });
    const timer = clock.schedule(limits.ms, () =>
      connection.destroy(new Error(`no complete answer from ${url.host} in ${limits.ms / 1_000} s`)),
    );
    const { signal } = init;
    const cut = (): void => connection.destroy(new Error('aborted'));
    if (signal?.aborted) cut();
    signal?.addEventListener('abort', cut, { once: true });
    try {
      const request = new Request(url, { ...init, signal: null, redirect: 'manual' });
      const body = Buffer.from(await request.arrayBuffer());
      const answer = await connection.send(
        {
          method: request.method,
          path: `${url.pathname}${url.search}`,
          headers: { host: url.host, ...Object.fromEntries(request.headers) },
          ...(body.length > 0 ? { body } : {}),
        },
        () => undefined,
      );
      const bytes = await answer.readAll(limit);
      const headers = new Headers();
      for (const [name, values] of Object.entries(answer.headers))
        for (const value of [values ?? []].flat()) headers.append(name, value);
      return new Response(WITHOUT_BODY.has(answer.status) ? null : new Uint8Array(bytes), {
        status: answer.status,
        headers,
      });
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', cut);
      connection.destroy();
    }
  };
}
