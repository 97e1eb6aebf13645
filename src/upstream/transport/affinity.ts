import type { HttpFacts, RequestHeaders } from '../../core/pipeline/call.ts';
import type { SharedAffinity } from '../../core/pipeline/peers.ts';
import { type HttpHeaders, headerOf } from '../http/incoming.ts';
import { Cookies } from './cookies.ts';

/**
 * AgentCore Runtime routes requests with the same id to the same microVM, so the client must return
 * the id of a response.
 */
const ROUTING_HEADERS = ['mcp-session-id', 'x-amzn-bedrock-agentcore-runtime-session-id'] as const;

const SENDABLE = /^[\x21-\x7e]+$/;
/** Both kinds of id are far shorter. */
const MAX_ID_CHARS = 1_024;

export interface AffinityOptions {
  /** Where requests go. */
  readonly url: string;
  /** True where the platform routes by ids that it sets on responses. */
  readonly routes: boolean;
  /** Receives the value of each cookie, which must not be shown. */
  readonly onSecret?: (value: string) => void;
}

/**
 * Routes the requests of one client or session to the same backend, by AgentCore's routing ids and
 * load balancer cookies. It belongs to one AWS identity and ends with the session.
 */
export class Affinity {
  readonly #options: AffinityOptions;
  #ids: Map<string, string> | undefined;
  #cookies: Cookies | undefined;
  #principal: string | undefined;
  /** Cookies that another process has received. */
  #adopted: string | undefined;

  constructor(options: AffinityOptions) {
    this.#options = options;
  }

  /** True where there is something to return. */
  get holds(): boolean {
    return this.#ids !== undefined || this.#cookies !== undefined || this.#adopted !== undefined;
  }

  /** How much is held. */
  get bytes(): number {
    let bytes = (this.#cookies?.bytes ?? 0) + (this.#adopted?.length ?? 0);
    for (const id of this.#ids?.values() ?? []) bytes += id.length;
    return bytes;
  }

  /**
   * Returns the headers to add to a request.
   * @param principal - the identity that signs it: what another was given is dropped.
   * @param configured - of --header, which wins over an id that was kept.
   * @param requestHeaders - the request's own headers, which win, too.
   */
  headersFor(
    principal: string | undefined,
    configured: RequestHeaders,
    requestHeaders: RequestHeaders,
  ): RequestHeaders | undefined {
    if (!this.holds) return undefined;
    if (principal !== this.#principal) {
      this.drop();
      return undefined;
    }
    const added: Record<string, string> = {};
    for (const [name, id] of this.#ids ?? []) {
      if (configured[name] === undefined && requestHeaders[name] === undefined) added[name] = id;
    }
    const cookies = mergeCookies(this.#cookies?.header, this.#adopted);
    if (cookies !== undefined) {
      added.cookie = configured.cookie === undefined ? cookies : `${configured.cookie}; ${cookies}`;
    }
    return added;
  }

  /**
   * Records routing ids and cookies of a response. Resolves when the next request can use them;
   * undefined where it can at once.
   * @param requestHeaders - the request's own headers.
   * @param added - what `headersFor` added to them.
   */
  learn(
    principal: string | undefined,
    { status, headers }: HttpFacts,
    requestHeaders: RequestHeaders,
    added: RequestHeaders | undefined,
  ): Promise<void> | undefined {
    if (this.#options.routes && !REFUSED.has(status))
      this.#learnRoutingIds(principal, headers, requestHeaders, added);
    const lines = headers['set-cookie'];
    if (lines === undefined) return undefined;
    this.#assignTo(principal);
    this.#cookies ??= new Cookies(this.#options.url);
    const cookies = typeof lines === 'string' ? [lines] : lines;
    for (const line of cookies)
      this.#options.onSecret?.(/^[^=;]*=\s*"?([^;"]*)/.exec(line)?.[1]?.trim() ?? '');
    return this.#cookies.keep(cookies);
  }

  #learnRoutingIds(
    principal: string | undefined,
    headers: HttpHeaders,
    requestHeaders: RequestHeaders,
    added: RequestHeaders | undefined,
  ): void {
    for (const name of ROUTING_HEADERS) {
      const id = headerOf(headers, name);
      if (id === '' || requestHeaders[name] !== undefined || id.length > MAX_ID_CHARS || !SENDABLE.test(id))
        continue;
      this.#assignTo(principal);
      this.#ids ??= new Map();
      const held = this.#ids.get(name);
      // Among concurrent requests without an id, the first response decides.
      if (held === undefined || held === added?.[name]) this.#ids.set(name, id);
    }
  }

  /** Assigns the affinity to this identity. */
  #assignTo(principal: string | undefined): void {
    if (this.holds && principal !== this.#principal) this.drop();
    this.#principal = principal;
  }

  /** The session is gone, or another identity signs. */
  drop(): void {
    this.#ids = undefined;
    this.#cookies = undefined;
    this.#adopted = undefined;
  }

  /** A copy for other processes; undefined where nothing is held, or one of them has sent it. */
  get shared(): SharedAffinity | undefined {
    if (!this.holds || this.#adopted !== undefined) return undefined;
    const ids = Object.fromEntries(this.#ids ?? []);
    return { principal: this.#principal, cookie: this.#cookies?.header, ids };
  }

  /** Uses what another process has received. */
  adopt({ principal, cookie = '', ids }: SharedAffinity): void {
    this.#principal = principal;
    this.#adopted = cookie;
    for (const pair of pairsOf(cookie)) this.#options.onSecret?.(pair.slice(pair.indexOf('=') + 1));
    if (Object.keys(ids).length > 0) this.#ids = new Map(Object.entries(ids));
  }
}

const pairsOf = (cookies: string): string[] => cookies.split('; ').filter((pair) => pair !== '');

const nameOf = (pair: string): string => pair.slice(0, pair.indexOf('='));

/** The own cookies, and the adopted ones of other names. Pure. */
function mergeCookies(own: string | undefined, adopted: string | undefined): string | undefined {
  if (!adopted) return own;
  const names = new Set(pairsOf(own ?? '').map(nameOf));
  return [...pairsOf(own ?? ''), ...pairsOf(adopted).filter((pair) => !names.has(nameOf(pair)))].join('; ');
}

/** A refused request was not routed. */
const REFUSED: ReadonlySet<number> = new Set([401, 403, 404]);
