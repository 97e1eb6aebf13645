import { ProxyError } from '../errors/errors.ts';
import { outlineJsonOf } from '../jsonrpc/long-answer.ts';
import { isObject } from '../jsonrpc/message.ts';
import { Abandoned } from './abandoned.ts';
import type { Reply } from './call.ts';
import type { CallRecord } from './call-record.ts';
import type { Span, SpanOutcome } from './span.ts';

const SUCCESS: SpanOutcome = {};
const TOOL_ERROR: SpanOutcome = { errorType: 'tool_error' };
const CANCELLED: SpanOutcome = { errorType: 'cancelled' };

const answered = (code: unknown, message: unknown): SpanOutcome => ({
  errorType: typeof code === 'number' ? String(code) : 'error',
  ...(typeof code === 'number' ? { code } : {}),
  ...(typeof message === 'string' ? { message } : {}),
});

/** The outcome of a whole call. */
export function outcomeOfRecord({ outcome, reason, code }: CallRecord): SpanOutcome {
  switch (outcome) {
    case 'ok':
      return SUCCESS;
    case 'tool_error':
      return TOOL_ERROR;
    case 'cancelled':
      return CANCELLED;
    case 'error':
      return reason === undefined || reason === 'answered'
        ? answered(code, undefined)
        : { errorType: reason, code };
  }
}

/** The outcome of a call to the server that was answered. */
export function outcomeOfReply(reply: Reply, record: CallRecord): SpanOutcome {
  // An answer that passed unread was sampled on its way.
  if (reply.kind === 'passed') return outcomeOfRecord(record);
  if (reply.kind !== 'answer') return SUCCESS;
  const { error, result } = outlineJsonOf(reply.message);
  if (isObject(error)) return answered(error.code, error.message);
  return record.method === 'tools/call' && isObject(result) && result.isError === true ? TOOL_ERROR : SUCCESS;
}

/** The outcome of work that failed. */
export function outcomeOfError(error: unknown): SpanOutcome {
  if (error instanceof ProxyError) {
    const { reason, code, message } = error;
    return { errorType: reason, code, message };
  }
  return error instanceof Abandoned ? CANCELLED : { errorType: 'internal' };
}

/** Ends the span with the work; without one, returns the work itself. */
export const endWith = <T>(span: Span | undefined, work: Promise<T>): Promise<T> =>
  span ? ended(span, work) : work;

async function ended<T>(span: Span, work: Promise<T>): Promise<T> {
  try {
    const result = await work;
    span.end();
    return result;
  } catch (error) {
    span.end(outcomeOfError(error));
    throw error;
  }
}
