import { ProxyError } from '../errors/errors.ts';
import { isObject, type JsonObject, type Message, paramsOf, statedVersion } from '../jsonrpc/message.ts';
import type { RequestHeaders } from '../pipeline/call.ts';
import { NAME_ARGUMENTS, paramHeadersOf } from '../tools/param-headers.ts';

/** Parameters that name what a method acts on, for methods that no table here knows. */
const NAMING = ['name', 'uri', 'taskId'];

/**
 * Finds an `Mcp-*` header that contradicts the message. Gateways authorize by headers and servers
 * run the body, so a mismatch would be checked as one thing and run as another. Pure.
 * @param tool - the definition of the tool that the message calls, where it is known.
 * @returns the error of MCP 2026-07-28, Streamable HTTP, Server Validation; undefined where headers
 * and body agree.
 */
export function headerMismatch(
  headers: RequestHeaders,
  message: Message,
  tool: JsonObject | undefined,
): ProxyError | undefined {
  const method = message.kind === 'response' ? undefined : message.method;
  const { 'mcp-method': givenMethod, 'mcp-protocol-version': givenVersion } = headers;
  if (givenMethod !== undefined && givenMethod !== method) return mismatch('Mcp-Method', givenMethod, method);
  if (message.kind === 'response') {
    const { 'mcp-name': name } = headers;
    return name === undefined ? undefined : mismatch('Mcp-Name', name, undefined);
  }
  const claim = statedVersion(message);
  if (claim !== undefined && givenVersion !== undefined && givenVersion !== claim) {
    return mismatch('MCP-Protocol-Version', givenVersion, claim);
  }
  return nameMismatch(headers, message) ?? paramMismatch(headers, message, tool);
}

type MethodMessage = Exclude<Message, { kind: 'response' }>;

function nameMismatch(headers: RequestHeaders, message: MethodMessage): ProxyError | undefined {
  const { 'mcp-name': given } = headers;
  if (given === undefined) return undefined;
  const params = paramsOf(message);
  const source = NAME_ARGUMENTS.get(message.method);
  const names = (source === undefined ? NAMING : [source]).map((key) => ownOf(params, key));
  const decoded = decodedValue(given);
  return names.includes(decoded) ? undefined : mismatch('Mcp-Name', given, names.find(isText));
}

/** Repeats an argument of a tool; which one, only the tool's definition says. */
const PARAM = 'mcp-param-';
/** Levels of a message that are searched for the value of a header. */
const MAX_DEPTH = 32;

function paramMismatch(
  headers: RequestHeaders,
  message: MethodMessage,
  tool: JsonObject | undefined,
): ProxyError | undefined {
  const given = Object.keys(headers).filter((name) => name.startsWith(PARAM));
  if (given.length === 0) return undefined;
  const wanted = tool && message.method === 'tools/call' ? paramHeadersOf(tool) : undefined;
  const declared = new Map(
    wanted && !('fault' in wanted)
      ? wanted.headers.map(({ name, path }) => [PARAM + name.toLowerCase(), path])
      : [],
  );
  for (const name of given) {
    const value = headers[name] ?? '';
    const path = declared.get(name);
    const meant = path?.reduce(ownOf, ownOf(paramsOf(message), 'arguments'));
    const agrees = path
      ? isSameValue(decodedValue(value), meant)
      : // Without the definition, it must at least repeat something that the body has.
        contains(paramsOf(message), decodedValue(value), MAX_DEPTH);
    if (!agrees) return mismatch(name.replace(PARAM, 'Mcp-Param-'), value, meant);
  }
  return undefined;
}

function contains(value: unknown, wanted: string | undefined, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return isSameValue(wanted, value);
  return depth > 0 && Object.values(value).some((item) => contains(item, wanted, depth - 1));
}

function isSameValue(given: string | undefined, value: unknown): boolean {
  if (typeof value === 'number') return given !== undefined && given !== '' && Number(given) === value;
  return (typeof value === 'string' || typeof value === 'boolean') && given === String(value);
}

const isText = (value: unknown): value is string => typeof value === 'string';

const ownOf = (value: unknown, key: string): unknown =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;

/** Only the canonical base64 spelling is accepted, so that all parsers agree. */
function decodedValue(value: string): string | undefined {
  const [, encoded] = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/.exec(value) ?? [];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.toString('base64') === encoded ? bytes.toString('utf8') : undefined;
}

/** Quotes client input in at most 100 characters. */
const quoteShort = (value: unknown): string =>
  value === undefined ? 'nothing' : JSON.stringify(String(value).slice(0, 100));

function mismatch(header: string, given: string, meant: unknown): ProxyError {
  return new ProxyError(
    'header-mismatch',
    `Header mismatch: the header ${header} is ${quoteShort(given)}, but the body has ${quoteShort(meant)}. The request was not sent.`,
    { sent: 'no', details: { header } },
  );
}
