import type { Id } from '../jsonrpc/message.ts';

/** Cookies and routing ids with which requests of a session reach the same backend. */
export interface SharedAffinity {
  /** The identity that may use it; undefined where nothing is signed. */
  readonly principal?: string | undefined;
  /** The value of the `Cookie` header; undefined without cookies. */
  readonly cookie?: string | undefined;
  /** Routing ids, by the name of their header. */
  readonly ids: Readonly<Record<string, string>>;
}

/**
 * An event of one listener session that calls of the same session may need in another process, with
 * the client's id or the session's.
 */
export type PeerFact =
  /** The client has cancelled a request. */
  | { readonly fact: 'cancelled'; readonly client: string; readonly id: Id }
  /** The server asks the client something on its standalone stream, and waits. */
  | { readonly fact: 'asked'; readonly client: string; readonly id: Id }
  /** The client has answered a request of the server. */
  | { readonly fact: 'answered'; readonly client: string; readonly id: Id }
  /** The server has reported progress of a request. */
  | { readonly fact: 'progress'; readonly client: string; readonly token: Id }
  /** The session belongs to this token or user. */
  | { readonly fact: 'owner'; readonly session: string; readonly user: string }
  /** The server has opened the session for a client. `at`: wall clock. */
  | { readonly fact: 'began'; readonly session: string; readonly at: number }
  /** The first cookies or routing ids that the server has set for the session. */
  | { readonly fact: 'affinity'; readonly session: string; readonly affinity: SharedAffinity };

/** The other processes that serve the same listener. */
export interface Peers {
  publish(fact: PeerFact): void;
  /** @returns ends the subscription. */
  subscribe(listener: (fact: PeerFact) => void): () => void;
  /** The affinity of a session that another process has published. */
  recallAffinity(session: string): SharedAffinity | undefined;
}
