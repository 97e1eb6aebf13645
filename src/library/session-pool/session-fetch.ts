import { asksForPause } from '../../core/errors/status-class.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import type { Clock } from '../../core/time/clock.ts';
import { callbackFailed } from './errors.ts';
import type { SessionPoolOptions } from './options.ts';

export interface SessionFetchDeps {
  readonly endpoint: string;
  readonly auth: SessionPoolOptions['auth'];
  readonly clock: Clock;
  /** The headers of the borrow. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** The server requested a pause. */
  readonly onPause: (ms: number) => void;
}

/** Adds the headers of the borrow and the credentials to each request. */
export function sessionFetch({ endpoint, auth, clock, headers, onPause }: SessionFetchDeps): typeof fetch {
  return async function sessionFetch(input, init) {
    const sent = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    for (const [name, value] of Object.entries(headers())) sent.set(name, value);
    for (const [name, value] of Object.entries(await authHeaders(auth, endpoint))) sent.set(name, value);
    const response = await fetch(input, { ...init, headers: sent });
    const pause = asksForPause(response.status)
      ? retryAfterOf(Object.fromEntries(response.headers), clock.now())
      : undefined;
    if (pause !== undefined && pause > 0) onPause(pause);
    return response;
  };
}

/** @throws SessionPoolError callback-failed */
async function authHeaders(
  auth: SessionFetchDeps['auth'],
  endpoint: string,
): Promise<Readonly<Record<string, string>>> {
  if (auth === undefined) return {};
  let given: unknown = auth;
  if (typeof auth === 'function') {
    try {
      given = await auth({ endpoint });
    } catch (error) {
      throw callbackFailed('auth', 'threw, so the request was not sent', error);
    }
  }
  if (typeof given === 'string' && given !== '') return { authorization: `Bearer ${given}` };
  const isHeaders =
    typeof given === 'object' &&
    given !== null &&
    Object.values(given).every((value) => typeof value === 'string');
  if (isHeaders) return given as Record<string, string>;
  throw callbackFailed('auth', 'must return a token or headers');
}
