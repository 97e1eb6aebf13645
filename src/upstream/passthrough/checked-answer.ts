import type { ProxyError } from '../../core/errors/errors.ts';
import {
  errorAnswer,
  idText,
  type Message,
  type Request,
  type Response,
  valueTextAt,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import { readAnswers, type Unusable } from '../../core/jsonrpc/parse.ts';
import { isSameBut } from '../exchange/exchange.ts';
import { SseParser } from '../stream/sse.ts';
import { decodeBody } from '../transport/answer.ts';

/**
 * Longer answers pass unread: the faults that are looked for here are those of short error bodies.
 */
export const MAX_CHECKED_BYTES = 64 * 1024;

export interface CheckDeps {
  /** What the answer is for; undefined for a stream that a GET opened. */
  readonly request: Request | undefined;
  /** The error in place of what no client could take. @param text - as the server wrote it. */
  readonly misfit: (what: string, text: string) => ProxyError;
  /** The server answers under another id. */
  readonly otherId: (id: string) => void;
  readonly dropped: (reason: string) => void;
}

/**
 * True where the first bytes show a result under the request's id, so that nothing needs to be
 * parsed or held. Pure.
 */
const isPlainResult = (text: string, request: Request): boolean =>
  text.startsWith(`{"jsonrpc":"2.0","id":${idText(request)},"result":{`);

/** The response as the client is to read it: under the request's id, and valid. */
function restored(response: Response, { request, otherId }: CheckDeps): Response {
  if (!request || response.id === request.id || !isSameBut(response.id, request.id)) return response;
  return adopted(response, request, otherId);
}

function adopted(response: Response, request: Request, otherId: CheckDeps['otherId']): Response {
  otherId(valueTextAt(response.text, ['id']) ?? 'no id');
  return withIdText(response, idText(request));
}

/**
 * Checks a JSON body that answers one request before a client sees it.
 * @returns the text to send in its place; undefined where it passes as it is.
 * @throws ProxyError where no client could take it for the answer.
 */
export function checkedBody(
  bytes: Buffer,
  deps: CheckDeps & { readonly request: Request },
): string | undefined {
  const { request, misfit, otherId } = deps;
  const text = decodeBody(bytes);
  if (text === undefined) throw misfit('bytes that are not UTF-8', '');
  // The word may stand anywhere in a result: then it is read.
  if (isPlainResult(text, request) && !text.includes('"error"')) return undefined;
  let found: (Message | Unusable)[];
  try {
    found = readAnswers(text);
  } catch {
    throw misfit('broken JSON', text);
  }
  const responses = found.filter((each) => each.kind === 'response');
  const [only] = responses;
  if (!only)
    throw misfit(
      found.find((each) => each.kind === 'unusable')?.what ?? 'JSON that does not answer the request',
      text,
    );
  // Several are for a client that can tell them apart.
  if (responses.length > 1 || found.length > 1) return undefined;
  const given = only.id === request.id ? only : adopted(only, request, otherId);
  return given.text === text ? undefined : given.text;
}

/** Two ends of lines, of any kind: what ends an event. */
const EVENT_ENDS = ['\n\n', '\n\r', '\r\r'].map((end) => Buffer.from(end));
const LF = 10;

/**
 * Where the first event in these bytes ends, behind the blank line; -1 where it has not ended.
 * Looks from `from` on.
 */
function eventEnd(bytes: Buffer, from: number): number {
  const found = EVENT_ENDS.map((end) => bytes.indexOf(end, Math.max(0, from - 1))).filter((at) => at >= 0);
  if (found.length === 0) return -1;
  const end = Math.min(...found) + 2;
  return bytes[end] === LF && bytes[end - 1] !== LF ? end + 1 : end;
}

/**
 * Checks the events of a stream on their way to a client: holds each until it is whole, and
 * replaces answers that no client could take. A longer event, and everything that is no message,
 * passes as it is.
 */
export class CheckedEvents {
  readonly #deps: CheckDeps;
  #held: Buffer = Buffer.alloc(0);
  /** Of the held bytes, those that hold no end of an event. */
  #searched = 0;
  /** Of the held bytes, those that have gone to the client. */
  #sent = 0;
  /** In the middle of an event that is too long, or came too slowly, to be held. */
  #passing = false;
  /** An error of ours has been the answer: what comes later for it would be a second one. */
  #answered = false;

  constructor(deps: CheckDeps) {
    this.#deps = deps;
  }

  /** True while the beginning of an event waits for its end. */
  get holds(): boolean {
    return this.#held.length > this.#sent;
  }

  /** @returns the bytes that may go to the client now. */
  take(chunk: Buffer): Buffer {
    const pieces: Buffer[] = [];
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    for (;;) {
      const end = eventEnd(this.#held, this.#searched);
      if (end < 0) break;
      const event = this.#held.subarray(0, end);
      pieces.push(this.#passing ? event.subarray(this.#sent) : this.#checked(event));
      this.#held = this.#held.subarray(end);
      this.#sent = 0;
      this.#searched = 0;
      this.#passing = false;
    }
    this.#searched = this.#held.length;
    if (this.#passing || this.#held.length > MAX_CHECKED_BYTES) pieces.push(this.release());
    const [only] = pieces;
    return pieces.length === 1 && only ? only : Buffer.concat(pieces);
  }

  /** Lets the event that is held pass as it is. @returns its bytes so far. */
  release(): Buffer {
    const rest = this.#held.subarray(this.#sent);
    this.#passing = true;
    // The last bytes may be the first of the event's end.
    this.#held = this.#held.subarray(Math.max(0, this.#held.length - 3));
    this.#sent = this.#held.length;
    this.#searched = this.#held.length;
    return rest;
  }

  #checked(event: Buffer): Buffer {
    const { request } = this.#deps;
    const isPlain = request && isPlainResult(dataStart(event), request) && !event.includes('"error"');
    if (isPlain && !this.#answered) return event;
    let data: string | undefined;
    let id: string | undefined;
    new SseParser({
      event: (parsed) => {
        data = parsed.data;
        id = parsed.id;
      },
      retry: () => undefined,
    }).push(event);
    if (data === undefined) return event;
    const shown = this.#shown(data);
    if (shown === data) return event;
    const mark = id === undefined ? '' : `id: ${id}\n`;
    // The mark of the event stays: the client may resume after it.
    return Buffer.from(
      shown === undefined ? `${mark}data:\n\n` : `event: message\n${mark}data: ${shown}\n\n`,
    );
  }

  /** The data as the client is to read it; undefined: not at all. */
  #shown(data: string): string | undefined {
    const { request, misfit, dropped } = this.#deps;
    let found: (Message | Unusable)[];
    try {
      found = readAnswers(data);
    } catch {
      // No message at all: clients report it, and nobody waits for it.
      return data;
    }
    const [only] = found;
    // Several in one event are for a client that can tell them apart.
    if (!only || found.length > 1) return data;
    if (only.kind === 'response') {
      const response = restored(only, this.#deps);
      if (!this.#answered || response.id !== request?.id) return response.text;
      dropped('a second answer to a request');
      return undefined;
    }
    if (only.kind !== 'unusable') return only.text;
    if (!only.isAnswer || !request || this.#answered) {
      dropped(only.what);
      return undefined;
    }
    this.#answered = true;
    return errorAnswer(misfit(only.what, only.text).toJsonRpc(), idText(request)).text;
  }
}

/**
 * The first characters of the event's data, where it begins with its data or with its type, as
 * those of most servers do.
 */
function dataStart(event: Buffer): string {
  const head = event.toString('latin1', 0, 256);
  return /^(?:event: ?message\r?\n)?data: ?/.test(head)
    ? head.slice(head.indexOf('data:') + 5).trimStart()
    : '';
}
