import { isLoopback } from '../../core/http/loopback.ts';
import { isObject, paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';

/** As many as a listener has clients by default, several times over; the oldest is forgotten. */
const MAX_URL_CLIENTS = 4_096;

const META_CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

const declaresUrls = (capabilities: unknown): boolean => {
  const elicitation = isObject(capabilities) ? capabilities.elicitation : undefined;
  return isObject(elicitation) && isObject(elicitation.url);
};

/** True if a request of 2026-07-28 declares URL mode elicitation. */
export function statesUrls(request: Request): boolean {
  const meta = paramsOf(request)._meta;
  return isObject(meta) && declaresUrls(meta[META_CAPABILITIES]);
}

/**
 * True for a client on this machine. The browser of another one would return from the login to that
 * machine, where nothing listens.
 */
export const isOnThisMachine = ({ client: { address } }: Call): boolean =>
  // A unix socket has no address.
  address === undefined || address === '' || isLoopback(address);

/** The clients of the session era that have declared URL mode elicitation with `initialize`. */
export class UrlClients {
  readonly #keys = new Set<string>();

  /** Remembers the client of an `initialize`, by the session that it gets. */
  note({ message, client, httpContext }: Call, reply: Reply | undefined): void {
    const key = httpContext ? sessionKey(reply?.http?.headers['mcp-session-id']) : client.id;
    if (key === undefined) return;
    this.#keys.delete(key);
    if (!declaresUrls(paramsOf(message).capabilities)) return;
    this.#keys.add(key);
    const [oldest] = this.#keys;
    if (this.#keys.size > MAX_URL_CLIENTS && oldest !== undefined) this.#keys.delete(oldest);
  }

  has({ client, httpContext }: Call): boolean {
    const key = httpContext ? sessionKey(httpContext.headers['mcp-session-id']) : client.id;
    return key !== undefined && this.#keys.has(key);
  }
}

/** No id of a client on stdio begins like this. */
const sessionKey = (id: string | string[] | undefined): string | undefined =>
  typeof id === 'string' ? `session ${id}` : undefined;
