import { ProxyError } from '../../core/errors/errors.ts';
import { SessionOwners } from '../../core/jsonrpc/session-owners.ts';
import type { HttpFacts, RequestHeaders } from '../../core/pipeline/call.ts';
import type { Peers } from '../../core/pipeline/peers.ts';
import type { HttpRefusal } from './admission.ts';

/**
 * The token or user that each session belongs to: an id that another caller learns is of no use to
 * it. A session that another replica has opened belongs to the first caller that uses it here.
 */
export class SessionUsers {
  readonly #users = new SessionOwners<string>();
  readonly #peers: Peers | undefined;

  /** @param peers - the other workers, which serve the same sessions. */
  constructor(peers?: Peers) {
    this.#peers = peers;
    peers?.subscribe((fact) => {
      if (fact.fact === 'owner') this.#users.record(fact.session, fact.user);
    });
  }

  /** The refusal of a request on the session of another caller. */
  refusal(session: string | string[] | undefined, user: string | undefined): HttpRefusal | undefined {
    if (session === undefined || user === undefined) return undefined;
    return this.#users.admits(String(session), user) ? undefined : FOREIGN;
  }

  /** Records the owner of a session that the server has opened, or served, by its answer. */
  recordAnswer(
    { status, headers: answered }: HttpFacts,
    headers: RequestHeaders,
    user: string | undefined,
  ): void {
    const session = answered['mcp-session-id'] ?? (status < 300 ? headers['mcp-session-id'] : undefined);
    if (typeof session !== 'string' || user === undefined) return;
    if (this.#users.record(session, user)) this.#peers?.publish({ fact: 'owner', session, user });
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
