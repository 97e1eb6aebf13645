import type { Reply } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { ERROR_BODY } from '../http/incoming.ts';
import type { Affinity } from '../transport/affinity.ts';
import { toStatusError } from '../transport/answer.ts';
import { CONTROL_CONNECTION_MS, HttpAttempt } from '../transport/http-attempt.ts';
import { readLostSession } from '../transport/lost-session.ts';
import type { SignedTransport } from '../transport/signed-transport.ts';

/** Bound for a response to a notification that never ends. */
const NOTIFICATION_BODY_MS = 5_000;

export interface NotificationPost {
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly affinity: Affinity | undefined;
  readonly signal: AbortSignal;
  /**
   * True where the client's next requests wait for it: it uses an open connection and waits for its
   * end, so that they can reuse it.
   */
  readonly priority?: boolean;
}

/**
 * Posts a notification, a response, or a batch of them. Resolves when the server has accepted it.
 * @throws ProxyError as for a request.
 */
export async function postNotification(
  { transport, clock }: { readonly transport: SignedTransport; readonly clock: Clock },
  { text, headers, affinity, signal, priority = false }: NotificationPost,
): Promise<Reply> {
  const attempt = new HttpAttempt(transport, clock);
  const cut = (): void => attempt.cut(signal.reason);
  signal.addEventListener('abort', cut, { once: true });
  const end = (): void => {
    signal.removeEventListener('abort', cut);
    attempt.end();
  };
  if (signal.aborted) cut();
  const lane = priority ? 'own' : 'control';
  const opened = await attempt
    .open({ method: 'POST', lane, headers, body: text, idempotent: true }, affinity)
    .catch((error: unknown) => {
      end();
      throw error;
    });
  const { response } = opened;
  attempt.after(NOTIFICATION_BODY_MS, () => attempt.closeConnection(new Error('unread')));
  const { status, headers: answered } = response;
  let ended: Promise<unknown>;
  const isRefused = status < 200 || status >= 300;
  try {
    if (isRefused) {
      const body = await response.readAll(ERROR_BODY);
      const { sessionId } = opened;
      const lost = sessionId === undefined ? undefined : readLostSession(response, body, sessionId);
      throw lost ?? toStatusError(status, answered, body, transport.answerContext(opened), clock.now());
    }
  } finally {
    // The body of an acceptance is not kept.
    ended = isRefused ? response.readAll(ERROR_BODY) : response.drain();
    void ended.catch(() => undefined).then(end);
  }
  // The connection is reusable only after the body has ended.
  if (priority && !response.ended)
    await settleWithin(
      clock,
      CONTROL_CONNECTION_MS,
      ended.catch(() => undefined),
    );
  return { kind: 'accepted', http: { status, headers: answered } };
}
