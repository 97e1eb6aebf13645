import type { Id, Response } from '../../core/jsonrpc/message.ts';
import { readMessages } from '../../core/jsonrpc/parse.ts';
import { ByteList } from '../../core/system/byte-list.ts';
import { type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { type SseEvent, SseParser, textOfData } from '../stream/sse.ts';
import { decodeBody } from '../transport/answer.ts';

/**
 * Limit for copies of passing lists, whose duration clients decide. A list beyond it passes but is
 * not recorded.
 */
const MAX_COPIED_BYTES = 32 * 1024 * 1024;

type Answered = Pick<Incoming, 'headers'>;

/** The copy of one passing response. */
export interface ListCopy {
  add(chunk: Buffer): void;
  /**
   * Call this once at the end, however it comes. @returns the answer with this id, if it passed
   * completely and is readable.
   */
  end(id: Id): Response | undefined;
}

/** Copies tool lists that are passed to HTTP clients, so that the tool catalog learns them. */
export class ListCopies {
  #bytes = 0;

  start(response: Answered): ListCopy {
    let chunks: ByteList | undefined = isEncoded(response.headers) ? undefined : new ByteList();
    let held = 0;
    const drop = (): void => {
      this.#bytes -= held;
      held = 0;
      chunks = undefined;
    };
    return {
      add: (chunk) => {
        if (!chunks) return;
        if (this.#bytes + chunk.length > MAX_COPIED_BYTES) {
          drop();
          return;
        }
        this.#bytes += chunk.length;
        held += chunk.length;
        chunks.append(chunk);
      },
      end: (id) => {
        const bytes = chunks?.take();
        drop();
        return bytes && findAnswer(textsOf(response, bytes), id);
      },
    };
  }
}

function textsOf({ headers }: Answered, bytes: Buffer): string[] {
  if (mediaTypeOf(headers) !== 'text/event-stream') return [decodeBody(bytes) ?? ''];
  const texts: string[] = [];
  const event = ({ data }: SseEvent): void => void texts.push(data ? textOfData(data) : '');
  new SseParser({ event, retry: () => undefined }).push(bytes);
  return texts;
}

function findAnswer(texts: readonly string[], id: Id): Response | undefined {
  for (const text of texts) {
    try {
      const found = readMessages(text).find(
        (message): message is Response => message.kind === 'response' && message.id === id,
      );
      if (found) return found;
    } catch {
      // The client reports invalid JSON.
    }
  }
  return undefined;
}
