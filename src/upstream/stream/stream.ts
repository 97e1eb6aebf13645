import { hasMoreContainers } from '../../core/jsonrpc/containers.ts';
import { readLongAnswer } from '../../core/jsonrpc/long-answer.ts';
import type { Message } from '../../core/jsonrpc/message.ts';
import { readHead, readMessagesAndFaults, type Unusable } from '../../core/jsonrpc/parse.ts';
import type { ReadLimit } from '../../core/jsonrpc/read-limit.ts';
import { ByteList } from '../../core/system/byte-list.ts';
import type { Incoming } from '../http/incoming.ts';
import { withOneLineText } from '../transport/answer.ts';
import { type SseEvent, SseParser, textOfData } from './sse.ts';

export interface StreamObserver {
  onDropped(reason: string): void;
}

/** The position in a stream, and the server's retry time. */
export interface StreamPosition {
  /**
   * The id of the last event that had one, with data or without; undefined = the stream cannot be
   * resumed.
   */
  lastEventId: string | undefined;
  /** Milliseconds, as the server's last `retry` field said. */
  retryMs: number | undefined;
}

/** Bytes that no header value may contain: such an id cannot be sent back and is ignored. */
const UNSENDABLE = /[^\P{Cc}\t]/u;

/** Bytes of an oversized message that are read, for its method and id. */
const HEAD_BYTES = 4 * 1024;

const BRACE = 123;
const BRACKET = 91;

const isBlank = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);

/**
 * Yields the messages of an event stream in order, and unusable answers. Some servers label raw
 * JSON as an event stream; a leading brace identifies it.
 */
export async function* readEventMessages(
  response: Incoming,
  position: StreamPosition,
  observer: StreamObserver,
  limit: ReadLimit,
): AsyncGenerator<Message | Unusable> {
  let found: (SseEvent | { readonly head: Buffer })[] = [];
  const parser = new SseParser(
    {
      event: (event) => found.push(event),
      skipped: (head) => found.push({ head }),
      retry: (ms) => {
        position.retryMs = ms;
      },
    },
    limit.bytes,
  );
  let raw: ByteList | undefined;
  let begun = false;
  for await (const chunk of response.chunks()) {
    if (!begun) {
      const first = chunk.find((byte) => !isBlank(byte));
      if (first !== undefined) {
        begun = true;
        if (first === BRACE || first === BRACKET) raw = new ByteList();
      }
    }
    if (raw) {
      raw.append(chunk);
      if (raw.length <= limit.bytes) continue;
      yield readHead(textOfData(raw.head(HEAD_BYTES)), limit.bytes, limit.tooLong());
      return;
    }
    parser.push(chunk);
    const complete = found;
    found = [];
    for (const event of complete) {
      if ('head' in event) {
        yield readHead(textOfData(event.head), limit.bytes, limit.tooLong());
        continue;
      }
      const { data, id } = event;
      if (data !== undefined) yield* readEvent(data, observer, limit);
      // After the event was handled: a reader that stops in it needs it again. An empty id clears
      // the position.
      if (id !== undefined && !UNSENDABLE.test(id)) position.lastEventId = id === '' ? undefined : id;
    }
  }
  if (raw) yield* readEvent(raw.take(), observer, limit);
}

/** A bad event is dropped; the stream goes on. */
function readEvent(data: Buffer, observer: StreamObserver, limit: ReadLimit): (Message | Unusable)[] {
  const long = readLongAnswer(data, limit.containers);
  if (long) return [long];
  if (hasMoreContainers(data, limit.containers)) {
    return [readHead(textOfData(data.subarray(0, HEAD_BYTES)), data.length, limit.tooMany())];
  }
  try {
    return readMessagesAndFaults(textOfData(data), data).flatMap((found) => {
      if (found.kind !== 'unusable') return withOneLineText(found);
      if (found.isAnswer) return found;
      observer.onDropped('an event that holds no JSON-RPC message');
      return [];
    });
  } catch {
    observer.onDropped('an event that holds no JSON');
    return [];
  }
}
