import { isUtf8 } from 'node:buffer';
import type { ProxyError } from '../../core/errors/errors.ts';
import {
  idText,
  type Message,
  type Request,
  type Response,
  valueTextAt,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import { readMessagesAndFaults, type Unusable } from '../../core/jsonrpc/parse.ts';
import { isSameIdLoosely } from '../exchange/stray-answers.ts';
import { decodeBody } from '../transport/answer.ts';

/**
 * Longer answers pass unread: the faults that are looked for here are those of short error bodies.
 */
export const MAX_CHECKED_BYTES = 64 * 1024;

/** Removes from a response what its client may not see; returns the same response otherwise. */
export type EditResponse = (response: Response) => Response;

export interface CheckDeps {
  /** Where it is given, no event passes unread. */
  readonly edit?: EditResponse | undefined;
  /** The request that is answered; undefined for a stream that GET opened. */
  readonly request: Request | undefined;
  /** The error in place of what no client could take. @param text - as the server wrote it. */
  readonly toError: (what: string, text: string) => ProxyError;
  /** The server answers under another id. */
  readonly onOtherId: (id: string) => void;
  readonly onDropped: (reason: string) => void;
}

const BEFORE_ID = '{"jsonrpc":"2.0","id":';

/**
 * True where the first bytes show a result under the request's id, so that nothing needs to be
 * parsed or held. Pure.
 */
export function isPlainResult(text: string, request: Request): boolean {
  if (!text.startsWith(BEFORE_ID)) return false;
  const id = idText(request);
  return (
    text.startsWith(id, BEFORE_ID.length) && text.startsWith(',"result":{', BEFORE_ID.length + id.length)
  );
}

/**
 * Words of errors, also of failed tools, lost sessions (early-loss.ts) and throttling AWS front
 * ends.
 */
const SUSPECT_WORDS = /"error"|"isError"\s*:\s*t|ession|nitiali|-30001|"__type"/;

/**
 * True for a short JSON body that is plainly the result of the request and contains no word of a
 * failure. One search replaces the checks for each kind of error. Pure.
 */
export function isPlainAnswer(bytes: Buffer, request: Request): boolean {
  if (bytes.length > MAX_CHECKED_BYTES || !isUtf8(bytes)) return false;
  const text = bytes.toString('latin1');
  return isPlainResult(text, request) && !SUSPECT_WORDS.test(text);
}

/** The response under the id of the request. */
export function replaceId(response: Response, request: Request, otherId: CheckDeps['onOtherId']): Response {
  otherId(valueTextAt(response.text, ['id']) ?? 'no id');
  return withIdText(response, idText(request));
}

/**
 * Checks a JSON body that answers one request before a client sees it.
 * @returns the text to send in its place; undefined where it passes as it is.
 * @throws ProxyError where no client could take it for the answer.
 */
export function checkBody(
  bytes: Buffer,
  deps: CheckDeps & { readonly request: Request },
): string | undefined {
  const { request, toError, onOtherId } = deps;
  const text = decodeBody(bytes);
  if (text === undefined) throw toError('bytes that are not UTF-8', '');
  // The word may stand anywhere in a result: then it is read.
  if (isPlainResult(text, request) && !text.includes('"error"')) return undefined;
  let found: (Message | Unusable)[];
  try {
    found = readMessagesAndFaults(text);
  } catch {
    throw toError('broken JSON', text);
  }
  const responses = found.filter((each) => each.kind === 'response');
  const [only] = responses;
  if (!only)
    throw toError(
      found.find((each) => each.kind === 'unusable')?.what ?? 'JSON that does not answer the request',
      text,
    );
  if (responses.length > 1 || found.length > 1) {
    if (!responses.some(({ id }) => isSameIdLoosely(id, request.id)) && responses.length > 1) {
      throw toError('several responses, none of them to the request', text);
    }
    // Several are for a client that can tell them apart.
    if (responses.some(({ id }) => id === request.id)) return undefined;
  }
  const given = only.id === request.id ? only : replaceId(only, request, onOtherId);
  return given.text === text ? undefined : given.text;
}
