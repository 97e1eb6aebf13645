import type { Message } from '../../core/jsonrpc/message.ts';
import { readMessages } from '../../core/jsonrpc/parse.ts';
import { type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { type SseEvent, SseParser, type SseSink, textOfData } from '../stream/sse.ts';

/**
 * The observed messages are short: progress, server requests, list changes. Answers may be longer.
 */
const MAX_EVENT_CHARACTERS = 64 * 1024;

const ignore = (): void => undefined;

/**
 * Observes notifications and requests in an event stream that passes as bytes. They affect time
 * limits and the tool catalog. Buffers at most one short event.
 * @param onAnswer - called for an event that may be an answer: it is neither notification nor
 * request, or too long to be read.
 * @returns a function that receives the next bytes and returns the messages that they complete;
 * undefined if the body is not readable.
 */
export function tapEvents(
  response: Incoming,
  onAnswer: () => void = ignore,
): ((chunk: Uint8Array) => readonly Message[]) | undefined {
  const { headers } = response;
  if (mediaTypeOf(headers) !== 'text/event-stream' || isEncoded(headers)) return undefined;
  const tap = new EventTap(onAnswer);
  return (chunk) => tap.push(chunk);
}

const NO_MESSAGES: readonly Message[] = [];

/** Collects the messages of a stream. An object: closures would live as long as the stream. */
class EventTap implements SseSink {
  readonly #onAnswer: () => void;
  readonly #parser: SseParser;
  /** Those of the chunk at hand. */
  #messages: Message[] | undefined;

  constructor(onAnswer: () => void) {
    this.#onAnswer = onAnswer;
    this.#parser = new SseParser(this, MAX_EVENT_CHARACTERS);
  }

  push(chunk: Uint8Array): readonly Message[] {
    this.#parser.push(chunk);
    const messages = this.#messages ?? NO_MESSAGES;
    this.#messages = undefined;
    return messages;
  }

  event({ data }: SseEvent): void {
    const found = data?.includes('"method"') ? readTapped(textOfData(data)) : [];
    if (!this.#messages) this.#messages = found;
    else this.#messages.push(...found);
    if (data !== undefined && found.length === 0) this.#onAnswer();
  }

  retry(): void {}

  skipped(): void {
    this.#onAnswer();
  }
}

/** The client reports invalid JSON. */
function readTapped(data: string): Message[] {
  try {
    return readMessages(data).filter(({ kind }) => kind !== 'response');
  } catch {
    return [];
  }
}
