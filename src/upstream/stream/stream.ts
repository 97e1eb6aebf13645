import type { Message } from '../../core/jsonrpc/message.ts';
import { readAnswers, type Unusable } from '../../core/jsonrpc/parse.ts';
import type { Incoming } from '../http/incoming.ts';
import { decodeBody, onOneLine } from '../transport/answer.ts';
import { type SseEvent, SseParser } from './sse.ts';

export interface StreamEars {
  readonly dropped: (reason: string) => void;
}

/** How far a stream was read, and when its server wants to see its reader again. */
export interface StreamPosition {
  /**
   * The id of the last event that had one, with data or without; undefined = the stream cannot be
   * resumed.
   */
  lastEventId: string | undefined;
  /** Milliseconds, as the server's last `retry` field said. */
  retryMs: number | undefined;
}

/**
 * What no header value may hold: an id with it cannot be sent back, and counts no more than one
 * with NUL.
 */
const UNSENDABLE = /[^\P{Cc}\t]/u;

const BRACE = 123;
const BRACKET = 91;

const isBlank = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);

/**
 * The messages of an event stream, in order, as they come, and answers that are unusable. Some
 * servers label one raw JSON object as an event stream; no field name starts with a brace, so that
 * the first byte tells.
 */
export async function* eventMessages(
  response: Incoming,
  position: StreamPosition,
  ears: StreamEars,
): AsyncGenerator<Message | Unusable> {
  let events: SseEvent[] = [];
  const parser = new SseParser({
    event: (event) => events.push(event),
    retry: (ms) => {
      position.retryMs = ms;
    },
  });
  let raw: Buffer[] | undefined;
  let begun = false;
  for await (const chunk of response.chunks()) {
    if (!begun) {
      const first = chunk.find((byte) => !isBlank(byte));
      if (first !== undefined) {
        begun = true;
        if (first === BRACE || first === BRACKET) raw = [];
      }
    }
    if (raw) {
      raw.push(chunk);
      continue;
    }
    parser.push(chunk);
    const complete = events;
    events = [];
    for (const { data, id } of complete) {
      if (data !== undefined) yield* messagesOf(data, ears.dropped);
      // After the event was taken: a reader that breaks off in it wants it again. An empty id takes
      // the mark back.
      if (id !== undefined && !UNSENDABLE.test(id)) position.lastEventId = id === '' ? undefined : id;
    }
  }
  if (raw) yield* messagesOf(decodeBody(Buffer.concat(raw)) ?? '', ears.dropped);
}

/** One bad event costs itself, not the stream. */
function messagesOf(text: string, dropped: (reason: string) => void): (Message | Unusable)[] {
  try {
    return readAnswers(text).flatMap((found) => {
      if (found.kind !== 'unusable') return onOneLine(found);
      if (found.isAnswer) return found;
      dropped('an event that holds no JSON-RPC message');
      return [];
    });
  } catch {
    dropped('an event that holds no JSON');
    return [];
  }
}
