import type { Request, Response } from '../../core/jsonrpc/message.ts';
import { type BodySink, type Reply, ROOM } from '../../core/pipeline/call.ts';
import type { Timer } from '../../core/time/clock.ts';
import { ERROR_BODY, type HttpHeaders, type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { isThrottledBody, missingAnswer } from '../transport/answer.ts';
import type { OpenedExchange } from '../transport/signed-transport.ts';
import { connectionLost } from '../transport/transport-errors.ts';
import { checkBody, isPlainAnswer, MAX_CHECKED_BYTES } from './checked-body.ts';
import { CheckedEvents } from './checked-events.ts';
import { readEarlyLoss } from './early-loss.ts';
import { type ForwardedExchange, toHttpFacts, unencoded } from './forwarded-exchange.ts';
import type { ListCopies } from './list-copies.ts';
import { tapEvents } from './stream-tap.ts';

/**
 * How long the beginning of an event is held for its end: servers send an unusable event in one
 * piece.
 */
const EVENT_HELD_MS = 100;

/**
 * Passes a 2xx response to the client, unchanged where the client can take it for the answer.
 * @returns undefined where the response cannot be passed and must be read as a message.
 * @throws ProxyError for a lost session, and for what no client could take for the answer.
 */
export async function passAnswer(
  exchange: ForwardedExchange,
  opened: OpenedExchange,
  lists: ListCopies,
): Promise<Reply | undefined> {
  const { pass, request, sessionId } = exchange;
  const { response } = opened;
  if (!pass) return undefined;
  if (sessionId !== undefined && request) {
    const early = readEarlyLoss(response, sessionId, exchange.clock);
    const lost = early && (await exchange.withSilenceLimit(response, () => early));
    if (lost) throw lost;
  }
  if (request && !mayHoldMessages(response.headers)) {
    const page = await exchange.withSilenceLimit(response, () => response.readAll(ERROR_BODY));
    throw missingAnswer(response.status, response.headers, page);
  }
  // A short answer arrives whole with its head: no wait, and no promise.
  const text = response.ended
    ? checkWhole(exchange, opened)
    : await exchange.withSilenceLimit(response, () => checkedBody(exchange, opened));
  const sink = pass(text === undefined ? toHttpFacts(response) : unencoded(response));
  if (!sink) return undefined;
  if (text !== undefined) return sendText(exchange, response, sink, { text, lists });
  // Neither an event stream, which is observed, nor a tool list, which is copied.
  return exchange.isToolList || mediaTypeOf(response.headers) === 'text/event-stream'
    ? streamBody(exchange, opened, sink, lists)
    : passBody(exchange, opened, sink);
}

/** False for a page or a file. Without a type, the body may be JSON. */
function mayHoldMessages(headers: HttpHeaders): boolean {
  const type = mediaTypeOf(headers);
  return type === '' || type === 'text/event-stream' || type.includes('json');
}

/** Apart from `streamBody`, whose closures would be made for every call. */
async function passBody(
  exchange: ForwardedExchange,
  { response, lease }: OpenedExchange,
  sink: BodySink,
): Promise<Reply> {
  sink.onSlow?.(() => lease.markSlow());
  const write = (chunk: Buffer): Promise<void> => sink.write(chunk);
  await exchange.withSilenceLimit(response, () => response.pipeTo(write));
  return { kind: 'passed', http: toHttpFacts(response) };
}

/** Passes the response through unchanged; a slow client slows the server. */
async function streamBody(
  exchange: ForwardedExchange,
  { response, lease }: OpenedExchange,
  sink: BodySink,
  lists: ListCopies,
): Promise<Reply> {
  const { message, request, httpContext, transport, clock } = exchange;
  const http = toHttpFacts(response);
  // A slow client would occupy the connection for as long as it likes.
  sink.onSlow?.(() => lease.markSlow());
  const tap = tapEvents(response, httpContext?.onAnswer);
  // A notification has no answer.
  const checked =
    tap && message?.kind !== 'notification' ? new CheckedEvents(exchange.checkOf(response)) : undefined;
  const write = async (chunk: Buffer): Promise<void> => {
    if (chunk.length > 0) await sink.write(chunk);
  };
  let late: Timer | undefined;
  const take = tap
    ? async (chunk: Buffer): Promise<void> => {
        for (const observed of tap(chunk)) await exchange.emit(observed, exchange.origin);
        late?.cancel();
        const pieces = checked ? checked.check(chunk) : [chunk];
        if (checked?.answered) httpContext?.onAnswered?.();
        if (checked?.resumable) httpContext?.onResumable?.();
        for (const piece of pieces) await write(piece);
        if (checked?.holds)
          late = clock.schedule(EVENT_HELD_MS, () => void write(checked.release()), { keepAlive: false });
      }
    : (chunk: Buffer): Promise<void> => sink.write(chunk);
  if (!request || !exchange.isToolList) {
    await exchange.withSilenceLimit(response, () => response.pipeTo(take)).finally(() => late?.cancel());
    if (checked) await closeEvents(checked, write, request, transport.host);
    return { kind: 'passed', http };
  }
  const copy = lists.start(response);
  const taken = (chunk: Buffer): Promise<void> => {
    copy.add(chunk);
    return take(chunk);
  };
  let answer: Response | undefined;
  try {
    await exchange.withSilenceLimit(response, () => response.pipeTo(taken)).finally(() => late?.cancel());
    if (checked) await closeEvents(checked, write, request, transport.host);
  } finally {
    answer = copy.end(request.id);
  }
  return answer ? { kind: 'passed', http, answer } : { kind: 'passed', http };
}

/** Called when the stream has ended in order: after the answer, or because none is expected. */
async function closeEvents(
  checked: CheckedEvents,
  write: (chunk: Buffer) => Promise<void>,
  request: Request | undefined,
  host: string,
): Promise<void> {
  if (checked.holds) await write(checked.release());
  const answer = checked.end();
  if (answer) await write(answer);
  const isOwed = request !== undefined && request.method !== 'subscriptions/listen';
  if (!isOwed || checked.answered || checked.resumable) return;
  throw connectionLost(host, 'the stream ended without the answer');
}

/**
 * Checks a short JSON body before its head is sent to the client. Consumes nothing.
 * @returns the text to send in its place; undefined where it passes as it is.
 * @throws ProxyError where no client could take it for the answer.
 */
async function checkedBody(exchange: ForwardedExchange, opened: OpenedExchange): Promise<string | undefined> {
  const { response } = opened;
  if (!isChecked(exchange, response)) return undefined;
  while (response.unreadBytes <= MAX_CHECKED_BYTES && (await response.waitForMore()));
  if (response.unreadBytes > MAX_CHECKED_BYTES) return undefined;
  // Throws what cut the response.
  if (!response.ended) await response.drain();
  return checkWhole(exchange, opened);
}

/** True for an answer that has arrived whole and needs no further check, as nearly all do. */
export function isPlain({ request, isToolList, pass }: ForwardedExchange, response: Incoming): boolean {
  if (!response.ended || !request || isToolList || !pass) return false;
  const { headers } = response;
  return (
    mediaTypeOf(headers) === 'application/json' &&
    !isEncoded(headers) &&
    isPlainAnswer(response.unread, request)
  );
}

/**
 * Passes such an answer: no wait where the client has room.
 * @returns undefined where the client does not accept its media type.
 */
export function passPlain(
  { pass }: ForwardedExchange,
  response: Incoming,
): Reply | Promise<Reply> | undefined {
  const http = toHttpFacts(response);
  const sink = pass?.(http, true);
  if (!sink) return undefined;
  const reply: Reply = { kind: 'passed', http };
  const written = sink.write(response.takeUnread());
  return written === ROOM ? reply : written.then(() => reply);
}

function isChecked({ request }: ForwardedExchange, { headers }: Incoming): boolean {
  if (!request || isEncoded(headers)) return false;
  const type = mediaTypeOf(headers);
  return type === 'application/json' || type === '';
}

/** Checks a body that has arrived to its end. */
function checkWhole(exchange: ForwardedExchange, opened: OpenedExchange): string | undefined {
  const { response } = opened;
  const { request } = exchange;
  if (!request || !isChecked(exchange, response)) return undefined;
  if (response.unreadBytes > MAX_CHECKED_BYTES) return undefined;
  const { headers, status, unread } = response;
  const type = mediaTypeOf(headers);
  if (unread.length === 0) throw missingAnswer(status, headers, unread);
  if (isThrottledBody(unread)) throw exchange.statusError(opened, unread);
  return type === '' ? undefined : checkBody(unread, { ...exchange.checkOf(response), request });
}

async function sendText(
  { request, isToolList }: ForwardedExchange,
  response: Incoming,
  sink: BodySink,
  { text, lists }: { readonly text: string; readonly lists: ListCopies },
): Promise<Reply> {
  const http = unencoded(response);
  const bytes = Buffer.from(text);
  await response.drain();
  await sink.write(bytes);
  if (!request || !isToolList) return { kind: 'passed', http };
  const copy = lists.start({ headers: http.headers });
  copy.add(bytes);
  const answer = copy.end(request.id);
  return answer ? { kind: 'passed', http, answer } : { kind: 'passed', http };
}
