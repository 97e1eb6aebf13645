import { causeText, ProxyError } from '../core/errors/errors.ts';
import type { Message } from '../core/jsonrpc/message.ts';
import type { Events } from '../core/pipeline/events.ts';

/** Aborts a call that needs no answer, because its client took it back or has gone. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned';
}

/**
 * The one place where what was thrown becomes what a client is told. What nobody planned is named,
 * not shown.
 */
export function rescue(events: Events, message: Message, error: unknown): ProxyError {
  const known =
    error instanceof ProxyError
      ? error
      : new ProxyError('internal', 'Internal error of mcp-sigv4-proxy; its log tells more.', {
          sent: 'maybe',
          cause: error,
        });
  const method = message.kind === 'response' ? 'a response' : message.method;
  if (known.reason === 'internal') {
    events.emit({ type: 'internal.fault', where: method, message: causeText(error) });
  }
  if (message.kind === 'request') {
    const { id } = message;
    events.emit({
      type: 'call.failed',
      method,
      id: String(id),
      reason: known.reason,
      message: known.message,
    });
    if (method === 'server/discover' && suggestsOldServer(known)) {
      events.emit({ type: 'probe.failed', reason: known.reason, message: known.message });
    }
  } else events.emit({ type: 'notification.failed', method, message: known.message });
  return known;
}

/**
 * The client reads any error as "a server of the session revisions", and stays with those for as
 * long as it runs.
 */
function suggestsOldServer({ reason, details }: ProxyError): boolean {
  const { httpStatus } = details;
  if (reason === 'http-status')
    return typeof httpStatus === 'number' && (httpStatus === 429 || httpStatus >= 500);
  return ['connect-failed', 'connection-lost', 'timeout', 'no-credentials', 'auth-rejected'].includes(reason);
}
