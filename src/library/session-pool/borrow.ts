import { causeText } from '../../core/errors/errors.ts';
import { headerProblem } from '../../upstream/options.ts';
import { isSendable } from '../header-members.ts';
import { SessionPoolError } from './errors.ts';
import type { PooledSession } from './session.ts';

/** The caller of a borrow. */
export interface CallerOptions {
  /**
   * Headers of the requests of this borrow. Those that the connection or MCP owns are not sent. An
   * identity header among them separates the sessions of callers.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Headers that identify the caller and are not sent. */
  readonly identityHeaders?: Readonly<Record<string, string>> | undefined;
  /** The user. Users never share a session. */
  readonly identity?: string | undefined;
  /** The endpoint. Default: that of the pool. */
  readonly endpoint?: string | URL | undefined;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/** The options of a borrow. */
export interface BorrowOptions extends CallerOptions {
  /** Returns the session that this key used last, if it is not in use. */
  readonly affinityKey?: string | undefined;
  /** The tenant that `tenantLimit` counts. Default: that of its header, else `affinityKey`. */
  readonly tenant?: string | undefined;
}

/** Headers that name the caller's session with the program; they are not sent to the server. */
const CALLER_SESSION_HEADER = /^x-mcp-session-id$|^mcp-session-id$/i;

/**
 * The headers that a borrow sends; undefined for none. Pure.
 * @throws SessionPoolError invalid-argument where a value cannot be sent.
 */
export function sentHeaders(
  headers: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (!headers) return undefined;
  const sent: Record<string, string> = {};
  let isEmpty = true;
  for (const [name, value] of Object.entries(headers)) {
    if (!isSendable(value))
      throw new SessionPoolError(
        'invalid-argument',
        'headers',
        `headers have a value for ${name} that no header can carry`,
      );
    if (CALLER_SESSION_HEADER.test(name) || headerProblem(`${name}: `) !== undefined) continue;
    sent[name.toLowerCase()] = value;
    isEmpty = false;
  }
  return isEmpty ? undefined : sent;
}

/** The tenant of a borrow; undefined for none. Pure. */
export function tenantOf(
  { tenant, headers, identityHeaders, affinityKey }: BorrowOptions,
  header: string | undefined,
): string | undefined {
  if (tenant !== undefined) return tenant;
  if (header !== undefined) {
    for (const [name, value] of Object.entries({ ...identityHeaders, ...headers }))
      if (name.toLowerCase() === header) return value;
  }
  return affinityKey;
}

/**
 * Lets a session send the headers of a borrow, and those of its key.
 * @throws SessionPoolError invalid-argument where its transport cannot.
 */
export function applyHeaders<C>(
  session: PooledSession<C>,
  headers: Readonly<Record<string, string>>,
  ofKey: Readonly<Record<string, string>>,
): void {
  if (!session.canSend(headers))
    throw new SessionPoolError(
      'invalid-argument',
      'headers',
      'The transport of transportFactory cannot send headers of a borrow: use the fetch that it receives, or implement setHeaders.',
    );
  try {
    session.setHeaders({ ...ofKey, ...headers }, true);
  } catch (error) {
    throw new SessionPoolError('invalid-argument', 'headers', causeText(error), { cause: error });
  }
}
