import type { ProxyError } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { headerOf, type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import { readLostSession } from '../transport/lost-session.ts';

/** Longer responses cannot be a session error and pass unread. */
const MAX_COMPLAINT_BYTES = 8 * 1024;
/**
 * How long the head of an event stream waits for its first event: a server that does not know the
 * session reports it at once.
 */
const FIRST_EVENT_MS = 100;

/**
 * Finds a session-lost error at the beginning of a 2xx response: an HTTP client needs it as a
 * status, before the response passes. Consumes nothing.
 * @returns undefined where the response is known to be none, as nearly every response is.
 */
export function readEarlyLoss(
  response: Incoming,
  sessionId: string,
  clock: Clock,
): Promise<ProxyError | undefined> | undefined {
  const { headers } = response;
  const length = Number(headerOf(headers, 'content-length'));
  if (isEncoded(headers) || length > MAX_COMPLAINT_BYTES) return undefined;
  const isStream = mediaTypeOf(headers) === 'text/event-stream';
  const complete = isStream ? hasEvent : () => false;
  if (response.ended || complete(response.unread)) return findLoss(response, sessionId);
  const read = waitForBeginning(response, complete);
  return (isStream ? settleWithin(clock, FIRST_EVENT_MS, read) : read).then(() =>
    findLoss(response, sessionId),
  );
}

async function waitForBeginning(response: Incoming, complete: (bytes: Buffer) => boolean): Promise<void> {
  while (await response.waitForMore()) {
    if (response.unreadBytes > MAX_COMPLAINT_BYTES || complete(response.unread)) return;
  }
}

const hasEvent = (bytes: Buffer): boolean => bytes.includes('\n\n') || bytes.includes('\r\n\r\n');

function findLoss(response: Incoming, sessionId: string): Promise<ProxyError | undefined> | undefined {
  if (response.unreadBytes > MAX_COMPLAINT_BYTES) return undefined;
  const { unread } = response;
  // Checked before parsing: nearly every response is a result.
  if (!isComplaint(unread)) return undefined;
  return Promise.resolve(readLostSession(response, unread, sessionId));
}

const isComplaint = (bytes: Buffer): boolean =>
  bytes.includes('ession') || bytes.includes('nitiali') || bytes.includes('-30001');
