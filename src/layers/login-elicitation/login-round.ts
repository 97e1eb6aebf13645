import { insertMember, memberAt, removeMember } from '../../core/jsonrpc/json-spans.ts';
import { isObject, paramsOf, type Request, valueTextAt } from '../../core/jsonrpc/message.ts';

/** The key of the login in `inputRequests` and `inputResponses`. */
const KEY = 'mcp-sigv4-proxy/login';
/** Begins the `requestState` of the proxy; the rest is what the client sent before. */
const STATE = `${KEY} `;
/** The members with which a client continues a request; the server has to receive its own. */
const ROUND_MEMBERS = ['requestState', 'inputResponses'] as const;

/** A request with which a client answers the proxy's question for a login. */
export interface LoginAnswer {
  /** The request as the client sent it before, for the server. */
  readonly request: Request;
  /** True where the user agreed to open the page. */
  readonly isAccepted: boolean;
}

/**
 * The result that makes a client of 2026-07-28 open a page and repeat its request, as JSON text.
 */
export function inputRequired(request: Request, url: string, message: string): string {
  const kept = Object.fromEntries(
    ROUND_MEMBERS.map((name) => [name, valueTextAt(request.text, ['params', name])]),
  );
  return JSON.stringify({
    resultType: 'input_required',
    inputRequests: { [KEY]: { method: 'elicitation/create', params: { mode: 'url', message, url } } },
    requestState: STATE + JSON.stringify(kept),
  });
}

/** Reads the answer to `inputRequired`; undefined for all other requests. */
export function readLoginAnswer(request: Request): LoginAnswer | undefined {
  const { requestState, inputResponses } = paramsOf(request);
  if (typeof requestState !== 'string' || !requestState.startsWith(STATE)) return undefined;
  const before = asObject(requestState.slice(STATE.length));
  const start = memberAt(request.text, ['params'])?.valueSpan.start;
  if (!before || start === undefined) return undefined;
  let { text } = request;
  for (const name of ROUND_MEMBERS) {
    text = removeMember(text, name, start);
    const value = before[name];
    if (typeof value === 'string' && isJson(value)) text = insertMember(text, start, name, value);
  }
  const response = isObject(inputResponses) ? inputResponses[KEY] : undefined;
  const isAccepted = isObject(response) && response.action === 'accept';
  return { request: { ...request, text, json: JSON.parse(text) }, isAccepted };
}

function asObject(text: string): { readonly [name: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The state was in the hands of the client: text that is no JSON must not get into the request. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
