import { causeText, ProxyError } from '../core/errors/errors.ts';
import { isTemporary } from '../core/errors/status-class.ts';
import type { Message } from '../core/jsonrpc/message.ts';
import type { CallRecord } from '../core/pipeline/call-record.ts';
import type { Events } from '../core/pipeline/events.ts';

/**
 * The only place that turns a thrown error into the error that a client receives. Unexpected errors
 * are logged and replaced by a generic one.
 */
export function rescue(events: Events, message: Message, error: unknown, record?: CallRecord): ProxyError {
  const known =
    error instanceof ProxyError
      ? error
      : new ProxyError('internal', 'Internal error of mcp-sigv4-proxy; its log has the details.', {
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
      ...(record ? { call: record.number } : {}),
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

/** A client takes any error for "an old server" and uses the session era from then on. */
function suggestsOldServer({ reason, fault, details }: ProxyError): boolean {
  const { httpStatus } = details;
  if (reason === 'http-status') return typeof httpStatus === 'number' && isTemporary(httpStatus);
  return fault === 'network' || fault === 'credentials' || reason === 'timeout';
}
