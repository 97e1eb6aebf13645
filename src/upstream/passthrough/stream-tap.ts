import type { Message } from '../../core/jsonrpc/message.ts';
import { readMessages } from '../../core/jsonrpc/parse.ts';
import { type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { SseParser, textOfData } from '../stream/sse.ts';

/**
 * The observed messages are short: progress, server requests, list changes. Answers may be longer.
 */
const MAX_EVENT_CHARACTERS = 64 * 1024;

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
  onAnswer: () => void = () => undefined,
): ((chunk: Uint8Array) => readonly Message[]) | undefined {
  const { headers } = response;
  if (mediaTypeOf(headers) !== 'text/event-stream' || isEncoded(headers)) return undefined;
  let messages: Message[] = [];
  const parser = new SseParser(
    {
      event: ({ data }) => {
        const found = data?.includes('"method"') ? readTapped(textOfData(data)) : [];
        messages.push(...found);
        if (data !== undefined && found.length === 0) onAnswer();
      },
      retry: () => undefined,
      skipped: onAnswer,
    },
    MAX_EVENT_CHARACTERS,
  );
  return (chunk) => {
    messages = [];
    parser.push(chunk);
    return messages;
  };
}

/** The client reports invalid JSON. */
function readTapped(data: string): Message[] {
  try {
    return readMessages(data).filter(({ kind }) => kind !== 'response');
  } catch {
    return [];
  }
}
