import {
  idText,
  isObject,
  type JsonObject,
  type Request,
  type Response,
  valueTextAt,
} from '../jsonrpc/message.ts';
import type { Reply } from './call.ts';

/** The text of the result that a reply brings; undefined where it brings none. */
export const resultText = (reply: Reply): string | undefined =>
  reply.kind === 'answer' && isObject(reply.message.json.result)
    ? valueTextAt(reply.message.text, ['result'])
    : undefined;

/** @throws Error with the server's words, where it answered with an error. */
export function resultOf(reply: Reply | undefined, method: string): JsonObject {
  const json: JsonObject = reply?.kind === 'answer' ? reply.message.json : {};
  if (isObject(json.result)) return json.result;
  const said = isObject(json.error) ? json.error.message : undefined;
  throw new Error(`the server refused ${method}${typeof said === 'string' ? `: ${said}` : ''}`);
}

/** An answer of the proxy's own. @param result - as JSON text. */
export function resultReply(request: Request, result: string): Reply {
  const text = `{"jsonrpc":"2.0","id":${idText(request)},"result":${result}}`;
  const message: Response = {
    kind: 'response',
    text,
    json: JSON.parse(text),
    id: request.id,
    outcome: 'result',
  };
  return { kind: 'answer', message };
}
