import { ProxyError } from '../../core/errors/errors.ts';
import { shortKey } from '../../core/jsonrpc/short-key.ts';
import type { HttpFacts, RequestHeaders } from '../../core/pipeline/call.ts';
import type { HttpRefusal } from './admission.ts';

/** Sessions that are remembered: more than one listener's clients have open. */
const MAX_SESSIONS = 10_000;

/**
 * The token or user that each session belongs to: an id that another caller learns is of no use to
 * it. A session that another replica has opened belongs to the first caller that uses it here.
 */
export class SessionUsers {
  readonly #users = new Map<string, string>();

  /** The refusal of a request on the session of another caller. */
  refusal(session: string | string[] | undefined, user: string | undefined): HttpRefusal | undefined {
    if (session === undefined || user === undefined) return undefined;
    const owner = this.#users.get(shortKey(String(session)));
    return owner === undefined || owner === user ? undefined : FOREIGN;
  }

  /** Records the owner of a session that the server has opened, or served, by its answer. */
  recordAnswer(
    { status, headers: answered }: HttpFacts,
    headers: RequestHeaders,
    user: string | undefined,
  ): void {
    const session = answered['mcp-session-id'] ?? (status < 300 ? headers['mcp-session-id'] : undefined);
    if (typeof session !== 'string' || session === '' || user === undefined) return;
    const key = shortKey(session);
    if (this.#users.has(key)) return;
    this.#users.set(key, user);
    const [oldest] = this.#users.keys();
    if (this.#users.size > MAX_SESSIONS && oldest !== undefined) this.#users.delete(oldest);
  }
}

/** 404, as for a session that does not exist: the client opens another one. */
const FOREIGN: HttpRefusal = {
  status: 404,
  headers: {},
  error: new ProxyError(
    'session-lost',
    'This session is unknown, or belongs to another user. Open a new one. The request was not sent.',
    { sent: 'no' },
  ),
};
