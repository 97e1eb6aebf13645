import { withMeta } from '../core/jsonrpc/meta-edit.ts';
import { takesMeta } from '../core/jsonrpc/takes-meta.ts';
import {
  type Call,
  type Handler,
  type Layer,
  type Reply,
  spanOfCall,
  withMessage,
} from '../core/pipeline/call.ts';
import type { CallRecord } from '../core/pipeline/call-record.ts';
import { hasEarlyContext, type Span } from '../core/pipeline/span.ts';
import { outcomeOfError, outcomeOfReply } from '../core/pipeline/span-outcome.ts';

/**
 * Begins the span of a call to the server, and passes its context on in `params._meta` (SEP-414),
 * unless the metadata layer has done so. Calls of clients that are not traced pass unchanged.
 */
export function clientSpan(): Layer {
  return (next) => (call) => {
    const { record } = call;
    const span = spanOfCall(call);
    if (!span) return next(call);
    return record && span.isRecorded ? traced(next, call, record, span) : next(withContext(call, span));
  };
}

const NONE = {};

const withContext = (call: Call, span: Span): Call =>
  takesMeta(call.message) && !hasEarlyContext(call.message, span)
    ? withMessage(call, withMeta(call.message, NONE, span.carrier))
    : call;

async function traced(next: Handler, call: Call, record: CallRecord, parent: Span): Promise<Reply> {
  const { message, profile } = call;
  if (message.kind !== 'request') return next(call);
  const span = parent.begin({ type: 'call', request: message, profile });
  // The HTTP requests and waits of the call are parts of this span.
  record.span = span;
  try {
    const reply = await next(withContext(call, span));
    span.end(outcomeOfReply(reply, record));
    return reply;
  } catch (error) {
    span.end(outcomeOfError(error));
    throw error;
  } finally {
    record.span = parent;
  }
}
