import type { Message } from '../../core/jsonrpc/message.ts';
import { readUpstream } from '../../core/jsonrpc/parse.ts';
import { type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { SseParser, textOfData } from '../stream/sse.ts';

/**
 * What the proxy wants to hear of is short: progress, questions, word of a changed list. Answers
 * may be as long as they like.
 */
const MAX_HEARD = 64 * 1024;

/**
 * Listens to an event stream that passes by as bytes: the notifications and requests in it decide
 * about time limits, and about what is known of the server. Keeps no more of it than one short
 * event.
 * @param answering - called for what may be an answer: an event that is none of those, or is too
 * long to be read.
 * @returns takes the next bytes and gives the messages that they complete; undefined where there is
 * nothing to understand.
 */
export function tapEvents(
  response: Incoming,
  answering: () => void = () => undefined,
): ((chunk: Uint8Array) => readonly Message[]) | undefined {
  const { headers } = response;
  if (mediaTypeOf(headers) !== 'text/event-stream' || isEncoded(headers)) return undefined;
  let heard: Message[] = [];
  const parser = new SseParser(
    {
      event: ({ data }) => {
        const said = data?.includes('"method"') ? saidIn(textOfData(data)) : [];
        heard.push(...said);
        if (data !== undefined && said.length === 0) answering();
      },
      retry: () => undefined,
      skipped: answering,
    },
    MAX_HEARD,
  );
  return (chunk) => {
    heard = [];
    parser.push(chunk);
    return heard;
  };
}

/** What is no JSON is the client's to complain of. */
function saidIn(data: string): Message[] {
  try {
    return readUpstream(data).filter(({ kind }) => kind !== 'response');
  } catch {
    return [];
  }
}
