import { ProxyError } from '../../core/errors/errors.ts';
import {
  errorResponse,
  idText,
  type Message,
  type Request,
  type Response,
  toOneLine,
} from '../../core/jsonrpc/message.ts';
import { readMessagesAndFaults, type Unusable } from '../../core/jsonrpc/parse.ts';
import { isSameIdLoosely } from '../exchange/stray-answers.ts';
import { SseParser, textOfData } from '../stream/sse.ts';
import {
  type CheckDeps,
  type EditResponse,
  isPlainResult,
  MAX_CHECKED_BYTES,
  replaceId,
} from './checked-body.ts';

/**
 * The longest event that is read where a list may stand in it: the longest line that SDK clients
 * accept.
 */
export const MAX_EDITED_BYTES = 10 * 1024 * 1024;

/** Two ends of lines, of any kind: what ends an event. */
const EVENT_ENDS = ['\n\n', '\n\r', '\r\r'].map((end) => Buffer.from(end));
const LF = 10;
const EMPTY = Buffer.alloc(0);

/**
 * Finds the ends of events in a chunk, one after the other. Each kind of end is looked for once in
 * each byte.
 */
class EventEnds {
  readonly #bytes: Buffer;
  /** Where the next end of each kind begins; the length where there is no further one. */
  readonly #next: number[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /**
   * The end of the event that begins at `from`, behind its blank line; -1 where it has not ended.
   */
  after(from: number): number {
    const { length } = this.#bytes;
    let first = length;
    for (const [kind, end] of EVENT_ENDS.entries()) {
      let at = this.#next[kind] ?? -1;
      if (at < from) {
        at = this.#bytes.indexOf(end, from);
        if (at < 0) at = length;
        this.#next[kind] = at;
      }
      if (at < first) first = at;
    }
    if (first === length) return -1;
    const end = first + 2;
    return this.#bytes[end] === LF && this.#bytes[end - 1] !== LF ? end + 1 : end;
  }
}

/**
 * Checks the events of a stream on their way to a client: holds each until it is whole, and
 * replaces answers that no client could take. A longer event, and everything that is no message,
 * passes as it is.
 */
export class CheckedEvents {
  readonly #deps: CheckDeps;
  #held: Buffer = EMPTY;
  /** Has room behind the held bytes, once an event has come in several pieces. */
  #room: Buffer | undefined;
  /** Held bytes that were already sent to the client. */
  #sent = 0;
  /** In the middle of an event that is too long, or came too slowly, to be held. */
  #passing = false;
  /** True once the request is answered; a later answer would be a second one. */
  #answered = false;
  /** An event has passed unread. */
  #unread = false;
  /** An event with an id has passed: the client can resume the stream. */
  #resumable = false;
  /** A response to something else: the answer after all, where no other comes. */
  #stray: Response | undefined;
  #severalStrays = false;

  constructor(deps: CheckDeps) {
    this.#deps = deps;
  }

  /** True while the beginning of an event waits for its end. */
  get holds(): boolean {
    return this.#deps.edit === undefined && this.#held.length > this.#sent;
  }

  /**
   * @returns the bytes that may go to the client now, in order. Events that pass as they came are
   * one piece of the chunk: a copy of every chunk of a long stream would cost memory and time.
   */
  check(chunk: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    const rest = this.#held.length === 0 ? chunk : this.#complete(chunk, pieces);
    if (rest.length > 0) this.#split(rest, pieces);
    if (this.#deps.edit) {
      if (this.#held.length > MAX_EDITED_BYTES) throw tooLongToEdit();
    } else if (!this.#passing && this.#held.length > MAX_CHECKED_BYTES) pieces.push(this.release());
    return pieces.filter(({ length }) => length > 0);
  }

  /** Joins the beginning of an event that is held with its end. @returns the bytes behind it. */
  #complete(chunk: Buffer, pieces: Buffer[]): Buffer {
    // The end may be spread over both; what is held has none.
    const overlap = Math.min(3, this.#held.length);
    const seam = Buffer.concat([this.#held.subarray(-3), chunk.subarray(0, 4)]);
    const spread = new EventEnds(seam).after(0);
    const end = spread < 0 ? new EventEnds(chunk).after(0) : spread - overlap;
    const taken = end < 0 ? chunk : chunk.subarray(0, end);
    if (this.#passing) {
      pieces.push(taken);
      this.#held = Buffer.concat([this.#held, taken.subarray(-3)]).subarray(-3);
      this.#sent = this.#held.length;
    } else this.#append(taken);
    if (end < 0) return EMPTY;
    if (!this.#passing) pieces.push(this.#checkEvent(this.#held));
    this.#forget();
    return chunk.subarray(end);
  }

  /** Takes bytes that begin with an event. */
  #split(bytes: Buffer, pieces: Buffer[]): void {
    const ends = new EventEnds(bytes);
    let from = 0;
    let unsent = 0;
    for (let end = ends.after(0); end >= 0; end = ends.after(from)) {
      const event = bytes.subarray(from, end);
      const shown = this.#checkEvent(event);
      if (shown !== event) {
        pieces.push(bytes.subarray(unsent, from), shown);
        unsent = end;
      }
      from = end;
    }
    pieces.push(bytes.subarray(unsent, from));
    // An empty part of the chunk would keep all of it.
    this.#held = from < bytes.length ? bytes.subarray(from) : EMPTY;
  }

  #forget(): void {
    this.#held = EMPTY;
    this.#room = undefined;
    this.#sent = 0;
    this.#passing = false;
  }

  /** Room doubles, so that an event in many small pieces is copied in linear time. */
  #append(chunk: Buffer): void {
    const { length } = this.#held;
    const end = length + chunk.length;
    // The held bytes are the first ones of the room, or a part of a chunk.
    if (!this.#room || this.#held.buffer !== this.#room.buffer || end > this.#room.length) {
      this.#room = Buffer.allocUnsafeSlow(2 * end);
      this.#held.copy(this.#room);
    }
    chunk.copy(this.#room, length);
    this.#held = this.#room.subarray(0, end);
  }

  /** True once the answer to the request has passed, or may have. */
  get answered(): boolean {
    return this.#answered || this.#unread;
  }

  /** True where an event with an id has passed, after which the client can resume. */
  get resumable(): boolean {
    return this.#resumable;
  }

  /** To be called at the stream's end. @returns the answer that only then is known to be one. */
  end(): Buffer | undefined {
    const { request, onOtherId } = this.#deps;
    const stray = this.#severalStrays ? undefined : this.#stray;
    if (!request || !stray || this.answered || this.#resumable) return undefined;
    this.#answered = true;
    return Buffer.from(`event: message\ndata: ${replaceId(stray, request, onOtherId).text}\n\n`);
  }

  /** Lets the event that is held pass as it is. @returns its bytes so far. */
  release(): Buffer {
    const rest = this.#held.subarray(this.#sent);
    this.#passing = true;
    this.#unread = true;
    // The last bytes may be the first of the event's end.
    this.#held = this.#held.subarray(Math.max(0, this.#held.length - 3));
    this.#sent = this.#held.length;
    return rest;
  }

  #checkEvent(event: Buffer): Buffer {
    const { request } = this.#deps;
    const start = dataStart(event);
    const isPlain = request && isPlainResult(start, request) && !event.includes('"error"');
    if (isPlain && !this.#answered) {
      this.#answered = true;
      if (event.includes('\nid:')) this.#resumable = true;
      return event;
    }
    // Avoids an exception for events that cannot be JSON.
    if (CANNOT_BE_JSON.test(start) && !event.includes('\nid')) {
      this.#deps.onDropped('an event that is not JSON');
      return EMPTY;
    }
    let data: string | undefined;
    let id: string | undefined;
    new SseParser({
      event: (parsed) => {
        data = parsed.data && textOfData(parsed.data);
        id = parsed.id;
      },
      retry: () => undefined,
    }).push(event);
    if (id !== undefined) this.#resumable = true;
    if (data === undefined) return event;
    const shown = this.#toClientData(data);
    if (shown === data) return event;
    const mark = id === undefined ? '' : `id: ${id}\n`;
    // The mark of the event stays: the client may resume after it.
    // An event without a mark leaves nothing behind: some clients read its empty data as a message.
    if (shown === undefined) return mark === '' ? EMPTY : Buffer.from(`${mark}data:\n\n`);
    return Buffer.from(`event: message\n${mark}data: ${toOneLine(shown)}\n\n`);
  }

  /** The data as the client is to read it; undefined: not at all. */
  #toClientData(data: string): string | undefined {
    const { request, toError, onDropped, edit } = this.#deps;
    let found: (Message | Unusable)[];
    try {
      found = readMessagesAndFaults(data);
    } catch {
      onDropped('an event that is not JSON');
      return undefined;
    }
    const [only] = found;
    // Several in one event are for a client that can tell them apart.
    if (!only || found.length > 1) {
      this.#unread = true;
      return edit ? editedBatch(found, edit) : data;
    }
    if (only.kind === 'response')
      return request ? this.#toAnswer(only, request) : (edit?.(only) ?? only).text;
    if (only.kind !== 'unusable') return only.text;
    if (!only.isAnswer || !request || this.#answered) {
      onDropped(only.what);
      return undefined;
    }
    this.#answered = true;
    return errorResponse(toError(only.what, only.text).toJsonRpc(), idText(request)).text;
  }

  #toAnswer(response: Response, request: Request): string | undefined {
    const { onOtherId, onDropped } = this.#deps;
    if (!isSameIdLoosely(response.id, request.id)) {
      if (this.#stray) this.#severalStrays = true;
      else this.#stray = response;
      return undefined;
    }
    if (this.#answered) {
      onDropped('a second answer to a request');
      return undefined;
    }
    this.#answered = true;
    return response.id === request.id ? response.text : replaceId(response, request, onOtherId).text;
  }
}

/** The data of an event whose first line is text. An empty first line allows any next line. */
const CANNOT_BE_JSON = /^[^\s[{"\-\dtfn]/;

/**
 * The first characters of the event's data, where it begins with its data or with its type, as
 * those of most servers do.
 */
function dataStart(event: Buffer): string {
  const head = event.toString('latin1', 0, 256);
  return /^(?:event: ?message\r?\n)?data: ?/.test(head)
    ? head.slice(head.indexOf('data:') + 5).replace(/^[ \t]+/, '')
    : '';
}

const editedBatch = (found: readonly (Message | Unusable)[], edit: EditResponse): string =>
  `[${found.map((each) => (each.kind === 'response' ? edit(each) : each).text).join(',')}]`;

const tooLongToEdit = (): ProxyError =>
  new ProxyError(
    'unusable-answer',
    `The server's answer cannot be used: an event of more than ${MAX_EDITED_BYTES} bytes, which the tool filter cannot read. Ask for less at once.`,
    { sent: 'maybe', details: { limit: MAX_EDITED_BYTES } },
  );
