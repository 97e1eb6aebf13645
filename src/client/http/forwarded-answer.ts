import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { Abandoned } from '../../core/pipeline/abandoned.ts';
import type { HttpFacts, Reply } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { HttpResponse } from './response.ts';

/** The outcome of a request. */
export type Settled = { readonly reply: Reply } | { readonly error: unknown };

export const OK: HttpFacts = { status: 200, headers: {} };

/** A 401 asks for credentials that the proxy owns, so clients receive 502. */
export const hideUnauthorized = (head: HttpFacts): HttpFacts =>
  head.status === 401 ? { status: 502, headers: head.headers } : head;

/** Ends the response to GET or DELETE. */
export function answerForwarded(
  events: Events,
  method: 'GET' | 'DELETE',
  answer: HttpResponse,
  outcome: Settled,
): void {
  if ('reply' in outcome) {
    const { reply } = outcome;
    if (reply.kind === 'answer') answer.send([reply.message.text], hideUnauthorized(reply.http ?? OK));
    else answer.end();
    return;
  }
  const { error } = outcome;
  if (error instanceof Abandoned) {
    answer.breakOff();
    return;
  }
  const known =
    error instanceof ProxyError ? error : new ProxyError('internal', causeText(error), { sent: 'maybe' });
  events.emit({ type: 'notification.failed', method, message: known.message });
  answer.fail(known, undefined);
}
