import { shortKey } from '../../core/jsonrpc/short-key.ts';
import type { HttpFacts, RequestHeaders } from '../../core/pipeline/call.ts';
import type { Peers } from '../../core/pipeline/peers.ts';
import type { Clock } from '../../core/time/clock.ts';

/** Sessions that are remembered: more than the clients of one listener have open. */
const MAX_SESSIONS = 10_000;

/** `closed`: by its client. `lost`: the server does not know it any more. */
export type SessionEnd = 'closed' | 'lost';

export interface SessionAgesDeps {
  readonly clock: Clock;
  /** The other workers, which serve the same sessions. */
  readonly peers?: Peers | undefined;
  readonly onEnded: (reason: SessionEnd, ageMs: number) => void;
}

/**
 * Measures the sessions of HTTP clients, from the response with their id to their end. A session
 * that another replica has opened is not measured.
 */
export class SessionAges {
  readonly #deps: SessionAgesDeps;
  /** By session id, on the wall clock, which all workers share. */
  readonly #begun = new Map<string, number>();

  constructor(deps: SessionAgesDeps) {
    this.#deps = deps;
    deps.peers?.subscribe((fact) => {
      if (fact.fact === 'began') this.#begin(fact.session, fact.at);
    });
  }

  /** Learns from the head of a response. @param headers - of the request. */
  recordAnswer(
    { status, headers: answered }: HttpFacts,
    headers: RequestHeaders,
    method: string | undefined,
  ): void {
    const session = headers['mcp-session-id'];
    if (session === undefined) {
      const opened = answered['mcp-session-id'];
      if (status >= 300 || typeof opened !== 'string' || opened === '') return;
      const at = this.#deps.clock.now();
      this.#begin(opened, at);
      this.#deps.peers?.publish({ fact: 'began', session: opened, at });
    } else if (status === 404) this.#end(session, 'lost');
    else if (method === 'DELETE' && status < 300) this.#end(session, 'closed');
  }

  #begin(session: string, at: number): void {
    this.#begun.set(shortKey(session), at);
    const [oldest] = this.#begun.keys();
    if (this.#begun.size > MAX_SESSIONS && oldest !== undefined) this.#begun.delete(oldest);
  }

  #end(session: string, reason: SessionEnd): void {
    const key = shortKey(session);
    const at = this.#begun.get(key);
    if (at === undefined) return;
    this.#begun.delete(key);
    const { clock, onEnded } = this.#deps;
    onEnded(reason, Math.max(0, clock.now() - at));
  }
}
