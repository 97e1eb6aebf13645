import { ProxyError } from '../../core/errors/errors.ts';
import {
  idText,
  type Message,
  type Response,
  statedVersion,
  valueTextAt,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import { truncatedSizeOf, type Unusable } from '../../core/jsonrpc/parse.ts';
import type { Reply } from '../../core/pipeline/call.ts';
import { isSameIdLoosely, MAX_STRAYS } from '../exchange/stray-answers.ts';
import { mediaTypeOf } from '../http/incoming.ts';
import { Resumption } from '../stream/resumption.ts';
import { readEventMessages } from '../stream/stream.ts';
import { isThrottledBody, missingAnswer, parseBody } from '../transport/answer.ts';
import { judgeLostSession } from '../transport/lost-session.ts';
import type { OpenedExchange } from '../transport/signed-transport.ts';
import { connectionLost } from '../transport/transport-errors.ts';
import { type ForwardedExchange, unencoded } from './forwarded-exchange.ts';

/** How long a stream may stay open after its answer. */
const STREAM_AFTER_ANSWER_MS = 1_000;

/** The callbacks for reading a response as messages. */
interface AnswerReader {
  readonly answerOf: (message: Message | Unusable) => Promise<Reply | undefined>;
  /** The only response of a complete answer, under another id. */
  readonly onlyStray: () => Reply | undefined;
  readonly onResume: () => void;
}

/**
 * Reads the response as a message, for layers that need it; earlier messages are emitted as they
 * arrive.
 */
export async function readAnswer(exchange: ForwardedExchange, opened: OpenedExchange): Promise<Reply> {
  const { request: asked, sessionId } = exchange;
  const { readLimit } = exchange.transport;
  const { response } = opened;
  let begun = false;
  const http = unencoded(response);
  if (!asked) {
    await response.drain();
    return { kind: 'accepted', http };
  }
  const { status, headers } = response;
  const type = mediaTypeOf(headers);
  const lossOrNoAnswer = (bytes: Buffer): ProxyError =>
    exchange.findLostSession(response, bytes) ?? missingAnswer(status, headers, bytes);
  const checking = exchange.checkOf(response);
  const strays: Response[] = [];
  const toReply = (message: Response): Reply => {
    if (message.id === asked.id) return { kind: 'answer', message, http };
    checking.onOtherId(valueTextAt(message.text, ['id']) ?? 'no id');
    return { kind: 'answer', message: withIdText(message, idText(asked)), http };
  };
  const onlyStray = (): Reply | undefined => {
    const [only] = strays.length === 1 ? strays : [];
    return only && toReply(only);
  };
  const answerOf = async (message: Message | Unusable): Promise<Reply | undefined> => {
    if (message.kind === 'unusable') {
      if (message.isAnswer) throw message.error ?? checking.toError(message.what, message.text);
      return undefined;
    }
    if (message.kind === 'response') {
      const judged = sessionId !== undefined && !begun && message.outcome === 'error';
      const lost = judged ? judgeLostSession({ status, error: message, sessionId }) : undefined;
      if (lost) throw lost;
      if (isSameIdLoosely(message.id, asked.id)) return toReply(message);
      if (strays.length < MAX_STRAYS) strays.push(message);
      return undefined;
    }
    begun = true;
    if (truncatedSizeOf(message) === undefined) await exchange.emit(message, exchange.origin);
    else checking.onDropped(`a message of more than ${readLimit.bytes} bytes`);
    return undefined;
  };
  if (type === 'text/event-stream') {
    return readAnswerStream(
      exchange,
      opened,
      // A resumed request has been started by the server.
      { answerOf, onlyStray, onResume: () => (begun = true) },
    );
  }
  const bytes = await exchange.withSilenceLimit(response, () => response.readAll(readLimit));
  if (type !== 'application/json' || bytes.length === 0) throw lossOrNoAnswer(bytes);
  if (isThrottledBody(bytes)) throw exchange.statusError(opened, bytes);
  const found = parseBody(bytes, status, headers, readLimit);
  for (const message of found) {
    const reply = await answerOf(message);
    if (reply) return reply;
  }
  const reply = onlyStray();
  if (reply) return reply;
  const unusable = found.find((each) => each.kind === 'unusable');
  throw unusable ? checking.toError(unusable.what, unusable.text) : lossOrNoAnswer(bytes);
}

/**
 * Reads a stream to its answer and resumes it where it ends early: the client does not see this
 * stream.
 */
async function readAnswerStream(
  exchange: ForwardedExchange,
  first: OpenedExchange,
  { answerOf, onlyStray, onResume }: AnswerReader,
): Promise<Reply> {
  const { clock, transport, request, attempt } = exchange;
  // The stateless revision has no resuming.
  const resumable = request !== undefined && statedVersion(request) === undefined;
  const resumption = resumable ? createResumption(exchange) : undefined;
  const position = resumption?.position ?? startPosition();
  for (let { response, lease } = first; ; ) {
    let reply: Reply | undefined;
    let messages = 0;
    let cause: unknown;
    try {
      reply = await exchange.withSilenceLimit(response, async () => {
        const observer = { onDropped: (reason: string) => exchange.reportDropped(reason) };
        for await (const message of readEventMessages(response, position, observer, transport.readLimit)) {
          messages++;
          const found = await answerOf(message);
          if (found) return found;
        }
        return undefined;
      });
    } catch (error) {
      // An error of the server or a limit is not a broken stream.
      if (!resumable || attempt.signal.aborted || error instanceof ProxyError) throw error;
      cause = error;
    }
    // A resumable stream may still bring the answer.
    if (cause === undefined && position.lastEventId === undefined) reply ??= onlyStray();
    if (reply) {
      // Servers should close the stream with the answer.
      const late = clock.schedule(
        STREAM_AFTER_ANSWER_MS,
        () => lease.cancel(new Error('the stream outlived its answer')),
        { keepAlive: false },
      );
      void response
        .drain()
        .catch(() => undefined)
        .finally(() => late.cancel());
      return reply;
    }
    if (!resumption) throw connectionLost(transport.host, 'the stream ended without the answer');
    onResume();
    ({ response, lease } = await resumption.next({ cause, messages }));
  }
}

function createResumption({
  transport,
  clock,
  events,
  headers,
  affinity,
  attempt,
}: ForwardedExchange): Resumption {
  return new Resumption({
    transport,
    clock,
    events,
    headers,
    affinity,
    signal: attempt.signal,
    onAttempt: (lease) => attempt.useLease(lease),
  });
}

const startPosition = () => ({ lastEventId: undefined, retryMs: undefined });
