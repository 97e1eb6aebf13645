import type { Reply } from '../../core/pipeline/call.ts';
import { type Clock, settleWithin, type Timer } from '../../core/time/clock.ts';
import { ERROR_BODY } from '../http/incoming.ts';
import type { Affinity } from '../transport/affinity.ts';
import { errorOfStatus } from '../transport/answer.ts';
import { lostSessionIn } from '../transport/lost-session.ts';
import type { SignedTransport } from '../transport/signed-transport.ts';
import { CONTROL_PLACE_MS } from './exchange.ts';

/**
 * A server that keeps the answer to a notification open would hold a control connection for ever.
 */
const NOTICE_BODY_MS = 5_000;

export interface NotificationPost {
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly affinity: Affinity | undefined;
  readonly signal: AbortSignal;
  /**
   * The client's next requests wait for it: it takes an open connection, and leaves it open for
   * them.
   */
  readonly own?: boolean;
}

/**
 * Posts what needs no answer: a notification, a response, or a batch of them. Resolves when the
 * server has accepted it.
 * @throws ProxyError as for a request.
 */
export async function postNotification(
  { uplink, clock }: { readonly uplink: SignedTransport; readonly clock: Clock },
  { text, headers, affinity, signal, own = false }: NotificationPost,
): Promise<Reply> {
  let sharing: Timer | undefined;
  const opened = await uplink.open({
    method: 'POST',
    lane: own ? 'own' : 'control',
    headers,
    body: Buffer.from(text),
    repeatable: true,
    affinity,
    signal,
    onAttempt: (lease) => {
      lease.cutBy(signal);
      sharing?.cancel();
      sharing = clock.schedule(CONTROL_PLACE_MS, () => lease.leave(), { keepAlive: false });
    },
  });
  const { response, lease } = opened;
  const overdue = clock.schedule(NOTICE_BODY_MS, () => lease.cancel(new Error('unread')), {
    keepAlive: false,
  });
  const { status, headers: answered } = response;
  let ended: Promise<unknown>;
  const isRefused = status < 200 || status >= 300;
  try {
    if (isRefused) {
      const body = await response.whole(ERROR_BODY);
      const { sessionId } = opened;
      const lost = sessionId === undefined ? undefined : lostSessionIn(response, body, sessionId);
      throw lost ?? errorOfStatus(status, answered, body, uplink.contextOf(opened), clock.now());
    }
  } finally {
    // What a server adds to its acceptance is not kept.
    ended = isRefused ? response.whole(ERROR_BODY) : response.drain();
    void ended
      .catch(() => undefined)
      .then(() => {
        overdue.cancel();
        sharing?.cancel();
      });
  }
  // Before its body has ended, the connection is busy, and the next request would open another.
  if (own && !response.ended)
    await settleWithin(
      clock,
      CONTROL_PLACE_MS,
      ended.catch(() => undefined),
    );
  return { kind: 'accepted', http: { status, headers: answered } };
}
