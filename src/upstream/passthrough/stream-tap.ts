import type { Message } from '../../core/jsonrpc/message.ts';
import { readMessages } from '../../core/jsonrpc/parse.ts';
import { type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { SseParser, textOfData } from '../stream/sse.ts';

/**
 * What the proxy wants to hear of is short: progress, questions, word of a changed list. Answers
 * may be as long as they like.
 */
const MAX_EVENT_CHARACTERS = 64 * 1024;

/**
 * Listens to an event stream that passes by as bytes: the notifications and requests in it decide
 * about time limits, and about what is known of the server. Keeps no more of it than one short
 * event.
 * @param onAnswer - called for what may be an answer: an event that is none of those, or is too
 * long to be read.
 * @returns takes the next bytes and gives the messages that they complete; undefined where there is
 * nothing to understand.
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

/** What is no JSON is the client's to complain of. */
function readTapped(data: string): Message[] {
  try {
    return readMessages(data).filter(({ kind }) => kind !== 'response');
  } catch {
    return [];
  }
}
