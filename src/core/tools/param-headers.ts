import { ProxyError } from '../errors/errors.ts';
import { isObject, type JsonObject, type Message, paramsOf } from '../jsonrpc/message.ts';

/**
 * An argument that is also sent as the header `Mcp-Param-<name>`, so that gateways can route by it.
 */
export interface ParamHeader {
  /** Through the `properties` of the input schema. */
  readonly path: readonly string[];
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean';
}

/**
 * The headers that a tool's `x-mcp-header` annotations define, or why the definition is invalid.
 */
export type ParamHeaders = { readonly headers: readonly ParamHeader[] } | { readonly fault: string };

/** Marks an argument in a tool's schema; its value completes the header's name. */
export const ANNOTATION = 'x-mcp-header';
/** A header name by RFC 9110. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/**
 * Keywords that hold one schema or a list of them, whose values no path through `properties`
 * reaches.
 */
const SUBSCHEMAS = [
  'items',
  'prefixItems',
  'additionalItems',
  'unevaluatedItems',
  'contains',
  'additionalProperties',
  'unevaluatedProperties',
  'propertyNames',
  'oneOf',
  'anyOf',
  'allOf',
  'not',
  'if',
  'then',
  'else',
  'contentSchema',
];
/** Keywords that hold schemas by name. */
const NAMED_SUBSCHEMAS = ['patternProperties', 'dependentSchemas', 'dependencies', '$defs', 'definitions'];

/**
 * The keys that lead to a schema, last one first: a deep schema would make a list of each path
 * costly.
 */
interface Path {
  readonly key: string;
  readonly above: Path | undefined;
}

interface ParamPlace {
  readonly schema: unknown;
  readonly path: Path | undefined;
  /** By `properties` alone, from the root. */
  readonly reachable: boolean;
}

function keysOf(path: Path | undefined): string[] {
  const keys: string[] = [];
  for (let at = path; at; at = at.above) keys.push(at.key);
  return keys.reverse();
}

const known = new WeakMap<JsonObject, ParamHeaders>();

/**
 * Reads the annotations of a tool's input schema (MCP 2026-07-28, Streamable HTTP, custom headers
 * from tool parameters).
 */
export function paramHeadersOf(tool: JsonObject): ParamHeaders {
  const read = known.get(tool) ?? readAnnotations(tool.inputSchema);
  known.set(tool, read);
  return read;
}

/** Iterative, because recursion into a deep schema would overflow the stack. */
function readAnnotations(root: unknown): ParamHeaders {
  const headers: ParamHeader[] = [];
  const names = new Map<string, string>();
  const seen = new Set<unknown>();
  const places: ParamPlace[] = [{ schema: root, path: undefined, reachable: true }];
  const pointers: string[] = [];
  for (;;) {
    // References come last: a path of properties to the same schema takes precedence.
    const place = places.pop() ?? placeOf(root, pointers.pop());
    if (!place) return { headers };
    const { schema, path, reachable } = place;
    if (!isObject(schema) || seen.has(schema)) continue;
    seen.add(schema);
    if (Object.hasOwn(schema, ANNOTATION)) {
      const keys = keysOf(path);
      const header = headerOf(schema, keys, reachable, names);
      if (typeof header === 'string') return { fault: `${shown(keys.join('.'))}: ${header}` };
      headers.push(header);
    }
    if (typeof schema.$ref === 'string' && schema.$ref.startsWith('#')) pointers.push(schema.$ref);
    for (const inner of placesIn(schema, path, reachable)) places.push(inner);
  }
}

/** For a log line: as much of it as a person reads. */
const shown = (text: string): string =>
  (text.length > 100 ? `${text.slice(0, 100)}...` : text) || 'the schema';

function headerOf(
  schema: JsonObject,
  path: readonly string[],
  reachable: boolean,
  names: Map<string, string>,
): ParamHeader | string {
  const name = schema[ANNOTATION];
  const { type } = schema;
  if (!reachable || path.length === 0) return `${ANNOTATION} stands where no path of properties leads`;
  if (typeof name !== 'string' || !TOKEN.test(name)) {
    return `${ANNOTATION} ${shown(JSON.stringify(name))} is no name of a header`;
  }
  if (type !== 'string' && type !== 'integer' && type !== 'boolean') {
    const held = type === undefined ? 'no type' : `the type ${shown(JSON.stringify(type))}`;
    return `${ANNOTATION} "${shown(name)}" on ${held}, not string, integer or boolean`;
  }
  const other = names.get(name.toLowerCase());
  if (other !== undefined) return `${ANNOTATION} "${shown(name)}" is also that of ${shown(other)}`;
  names.set(name.toLowerCase(), path.join('.'));
  return { path, name, type };
}

/** The direct subschemas. `default` and `enum` contain data, not schemas. */
function placesIn(schema: JsonObject, path: Path | undefined, reachable: boolean): ParamPlace[] {
  const places: ParamPlace[] = [];
  const below = (key: string, above: Path | undefined): Path => ({ key, above });
  for (const keyword of SUBSCHEMAS) {
    const held = own(schema, keyword);
    if (held === undefined) continue;
    for (const inner of Array.isArray(held) ? held : [held]) {
      places.push({ schema: inner, path: below(keyword, path), reachable: false });
    }
  }
  for (const keyword of NAMED_SUBSCHEMAS) {
    const held = own(schema, keyword);
    if (!isObject(held)) continue;
    for (const [name, inner] of Object.entries(held)) {
      places.push({ schema: inner, path: below(name, below(keyword, path)), reachable: false });
    }
  }
  const properties = own(schema, 'properties');
  if (isObject(properties)) {
    // Last in is looked at first: the headers stand in the order of the schema.
    for (const [name, inner] of Object.entries(properties).reverse()) {
      places.push({ schema: inner, path: below(name, path), reachable });
    }
  }
  return places;
}

function placeOf(root: unknown, pointer: string | undefined): ParamPlace | undefined {
  if (pointer === undefined) return undefined;
  return { schema: schemaAt(root, pointer), path: { key: pointer, above: undefined }, reachable: false };
}

/** Returns what a pointer within the schema names. Nothing is fetched. */
function schemaAt(root: unknown, pointer: string): unknown {
  let at = root;
  for (const escaped of pointer.split('/').slice(1)) {
    const key = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    at = Array.isArray(at) ? at[Number(key)] : own(at, key);
  }
  return at;
}

/** Own properties only: `toString` in a path is the name of an argument. */
const own = (value: unknown, key: string): unknown =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;

/** Values that are valid in a header unencoded. A tab is valid too, but parsers differ about it. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const MARKED = /^=\?base64\?.*\?=$/s;

/** The value of a derived header, encoded where needed; undefined if the call lacks it. */
export function headerValueOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return PLAIN.test(value) && !MARKED.test(value)
        ? value
        : `=?base64?${Buffer.from(value).toString('base64')}?=`;
    case 'boolean':
      return String(value);
    case 'number':
      // Beyond 2^53 the parsed number may differ from the text.
      return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
        ? String(value)
        : undefined;
    default:
      return undefined;
  }
}

/**
 * The argument that names what a method acts on. `tasks/*` belong to the tasks extension
 * (SEP-2663).
 */
export const NAME_ARGUMENTS: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);

/**
 * The headers of a stateless message, all derived from the message.
 * @param tool - the definition of the tool that it calls; undefined where none is known, or none is
 * called.
 * @throws ProxyError invalid-request, where its method or claim cannot stand in a header: for
 * these, no encoding exists.
 */
export function derivedHeaders(
  message: Exclude<Message, { kind: 'response' }>,
  claim: string,
  tool: JsonObject | undefined,
): Record<string, string> {
  const { method } = message;
  const headers: Record<string, string> = {
    'mcp-protocol-version': plain('protocol version', claim),
    'mcp-method': plain('method', method),
  };
  const params = paramsOf(message);
  const source = NAME_ARGUMENTS.get(method);
  const name = source === undefined ? undefined : own(params, source);
  if (typeof name === 'string') headers['mcp-name'] = headerValueOf(name) ?? '';
  const wanted = tool && method === 'tools/call' ? paramHeadersOf(tool) : { headers: [] };
  if ('fault' in wanted) return headers;
  for (const header of wanted.headers) {
    const value = headerValueOf(header.path.reduce(own, own(params, 'arguments')));
    if (value !== undefined) headers[`mcp-param-${header.name.toLowerCase()}`] = value;
  }
  return headers;
}

function plain(what: string, value: string): string {
  if (PLAIN.test(value)) return value;
  throw new ProxyError(
    'invalid-request',
    `Invalid request: the ${what} ${JSON.stringify(value.slice(0, 100))} cannot be sent as an HTTP header.`,
    { sent: 'no' },
  );
}
