import type { CallRecord } from '../../core/pipeline/call-record.ts';

/** Names of tools that get series of their own; each takes 20 lines of a scrape. */
export const MAX_TOOLS = 1_000;
/** MCP limits the names of tools to this length. */
const MAX_NAME_CHARACTERS = 128;
/** Names as people choose them; all others could break a page, a query or a terminal. */
const PLAIN_NAME = /^[\p{L}\p{N}_.:/@ -]+$/u;

/** The label value of everything without one of its own. */
export const OTHER = 'other';

const METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'logging/setLevel',
  'server/discover',
  'subscriptions/listen',
  'tasks/list',
  'tasks/get',
  'tasks/result',
  'tasks/cancel',
  'tasks/update',
]);

/** A client may send any method. Pure. */
export const methodLabel = (method: string): string => (METHODS.has(method) ? method : OTHER);

/** JSON-RPC's own codes; a server may send any number. */
const CODES: ReadonlySet<number> = new Set([-32700, -32600, -32601, -32602, -32603, -32002, -32001, -32000]);

/** The `error.type` of an error that the server answered with. Pure. */
const codeLabel = (code: number | undefined): string =>
  code !== undefined && CODES.has(code) ? String(code) : 'server_error';

/** "" is the default chain of credentials. */
export const profileLabel = (profile: string): string => (profile === '' ? 'default' : profile);

/** Bounds the names of tools, which any client and server may choose. */
export class ToolLabels {
  readonly #known = new Set<string>();

  /** True for a name with a label of its own. */
  has(name: string): boolean {
    return this.#known.has(name);
  }

  /**
   * @param exists - whether the server has the tool: a client that invents names takes no place of
   * real ones.
   */
  of(name: string | undefined, exists: () => boolean): string {
    if (name === undefined) return '';
    if (this.#known.has(name)) return name;
    if (this.#known.size >= MAX_TOOLS || name.length > MAX_NAME_CHARACTERS) return OTHER;
    if (!PLAIN_NAME.test(name) || !exists()) return OTHER;
    this.#known.add(name);
    return name;
  }
}

/** The `error_type` of a call: empty without an error. Pure. */
export function errorTypeOf({ outcome, reason, code }: CallRecord): string {
  if (outcome === 'ok') return '';
  if (outcome === 'tool_error') return 'tool_error';
  if (outcome === 'cancelled') return 'cancelled';
  return reason === 'answered' ? codeLabel(code) : (reason ?? 'internal');
}
