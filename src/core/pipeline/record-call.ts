import { ERROR_CODES, ProxyError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';
import { Abandoned } from './abandoned.ts';
import type { RequestHeaders } from './call.ts';
import { CallRecord, type CallRecordOptions } from './call-record.ts';
import type { Events } from './events.ts';

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

/** Begins the record of a request; undefined where no observer wants calls. */
export function beginRecord(
  events: Events,
  options: CallRecordOptions,
  headers?: RequestHeaders,
): CallRecord | undefined {
  if (!events.recordsCalls) return undefined;
  const record = new CallRecord(++records, options);
  events.emitOfCall({ type: 'call.begun', record, request: options.request, headers });
  return record;
}
