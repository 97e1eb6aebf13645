import { isObject, type Response, withValueAt } from '../core/jsonrpc/message.ts';
import { type Call, withPass } from '../core/pipeline/call.ts';

/**
 * Returns the response with another result, for a layer that edits answers. The rest of its text
 * is unchanged. An error response is returned as it is.
 * @param result - a JSON object, as each result of MCP is.
 * @throws TypeError if `result` is not an object.
 */
export function withResult(response: Response, result: object): Response {
  if (!isObject(result)) throw new TypeError('withResult: the result must be an object');
  return response.outcome === 'result' ? withValueAt(response, ['result'], JSON.stringify(result)) : response;
}

/**
 * Returns the call so that its reply contains the answer as a message. Without it, the bytes of an
 * answer to an HTTP client of a listener pass while they arrive, and a layer gets `passed` only.
 */
export const withReadableAnswer = (call: Call): Call => withPass(call, undefined);
