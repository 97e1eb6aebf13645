import { ERROR_CODES, ProxyError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';
import { Abandoned } from './abandoned.ts';
import type { RequestHeaders } from './call.ts';
import { CallRecord, type CallRecordOptions } from './call-record.ts';
import type { Events } from './events.ts';
import type { Span } from './span.ts';

let records = 0;

/** Completes the record of a call that ended with an error or without an answer. */
export function endRecordWith(
  events: Events,
  clock: Clock,
  record: CallRecord | undefined,
  error: unknown,
): void {
  if (!record) return;
  if (error instanceof ProxyError) record.failed(error.reason, error.code, error.message);
  else if (error instanceof Abandoned) record.outcome = 'cancelled';
  else record.failed('internal', ERROR_CODES.internal);
  endRecord(events, clock, record);
}

/** Completes the record of a call. */
export function endRecord(events: Events, clock: Clock, record: CallRecord | undefined): void {
  if (!record) return;
  record.end(clock);
  events.emitOfCall({ type: 'call.ended', record });
}

/** The record of a request of a client, or its span. */
export interface ObservedCall {
  readonly record: CallRecord | undefined;
  /** Without a record: the span of a trace that is not recorded, whose context is passed on. */
  readonly span: Span | undefined;
}

/** Nothing is observed. */
export const UNOBSERVED: ObservedCall = { record: undefined, span: undefined };

/** Begins what observers want of a request: its record, or the context of its trace alone. */
export function observeCall(
  events: Events,
  options: CallRecordOptions,
  headers?: RequestHeaders,
): ObservedCall {
  if (!events.recordsCalls) return UNOBSERVED;
  const span = events.beginSpan(options, headers);
  if (!events.wantsRecord(span)) return { record: undefined, span };
  const record = new CallRecord(++records, options, span);
  events.emitOfCall({ type: 'call.begun', record, request: options.request, headers });
  return { record, span: undefined };
}
