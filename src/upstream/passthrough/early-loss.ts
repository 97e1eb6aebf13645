import type { ProxyError } from '../../core/errors/errors.ts';
import { type Clock, settleWithin } from '../../core/time/clock.ts';
import { headerOf, type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { readLostSession } from '../transport/lost-session.ts';

/** A complaint about a session is short: an answer that is longer passes unread. */
const MAX_COMPLAINT_BYTES = 8 * 1024;
/**
 * How long the head of an event stream is held back for its first event: a server that does not
 * know the session says so at once.
 */
const FIRST_EVENT_MS = 100;

/**
 * The loss of the session that an answer with status 2xx begins with: as a status, an HTTP client
 * has to see it before the answer passes. Takes nothing from the answer.
 */
export function readEarlyLoss(
  response: Incoming,
  sessionId: string,
  clock: Clock,
): Promise<ProxyError | undefined> {
  const { headers } = response;
  const length = Number(headerOf(headers, 'content-length'));
  if (isEncoded(headers) || length > MAX_COMPLAINT_BYTES) return NO_LOSS;
  const isStream = mediaTypeOf(headers) === 'text/event-stream';
  const complete = isStream ? hasEvent : () => false;
  if (response.ended || complete(response.unread)) return findLoss(response, sessionId);
  const read = waitForBeginning(response, complete);
  return (isStream ? settleWithin(clock, FIRST_EVENT_MS, read) : read).then(() =>
    findLoss(response, sessionId),
  );
}

const NO_LOSS = Promise.resolve(undefined);

async function waitForBeginning(response: Incoming, complete: (bytes: Buffer) => boolean): Promise<void> {
  while (await response.waitForMore()) {
    if (response.unreadBytes > MAX_COMPLAINT_BYTES || complete(response.unread)) return;
  }
}

const hasEvent = (bytes: Buffer): boolean => bytes.includes('\n\n') || bytes.includes('\r\n\r\n');

function findLoss(response: Incoming, sessionId: string): Promise<ProxyError | undefined> {
  if (response.unreadBytes > MAX_COMPLAINT_BYTES) return NO_LOSS;
  const { unread } = response;
  // Looked for before anything is parsed: nearly every answer is a result.
  if (!isComplaint(unread)) return NO_LOSS;
  return Promise.resolve(readLostSession(response, unread, sessionId));
}

const isComplaint = (bytes: Buffer): boolean =>
  bytes.includes('ession') || bytes.includes('nitiali') || bytes.includes('-30001');
