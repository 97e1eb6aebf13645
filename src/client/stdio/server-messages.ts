import { ProxyError } from '../../core/errors/errors.ts';
import {
  errorResponse,
  idKey,
  idText,
  isId,
  type Notification,
  paramsOf,
  type Request,
  type Response,
} from '../../core/jsonrpc/message.ts';
import type { Emit, Origin } from '../../core/pipeline/call.ts';
import { Abandoned } from '../rescue.ts';
import type { ClientWriter } from './client-writer.ts';
import { type InFlight, type InFlightRequests, isStateless } from './in-flight.ts';
import type { ServerRequests } from './server-requests.ts';

/** A server in a loop must not fill memory: a person or a model answers these one by one. */
const MAX_SERVER_REQUESTS = 4_096;

export interface ServerMessagesDeps {
  readonly inFlight: InFlightRequests;
  readonly serverRequests: ServerRequests;
  readonly writer: ClientWriter;
  /** Sends the server an answer to what it asked. */
  readonly sendToServer: (answer: Response, origin: Origin) => void;
}

/**
 * What comes down beside the answers, from any number of sessions: what servers tell, and what they
 * ask of the client.
 */
export class ServerMessages {
  readonly #deps: ServerMessagesDeps;
  readonly #serverRequests: ServerRequests;
  readonly #watched = new WeakSet<Origin>();
  #client: 'there' | 'leaving' | 'gone' = 'there';

  constructor(deps: ServerMessagesDeps) {
    this.#deps = deps;
    this.#serverRequests = deps.serverRequests;
  }

  /**
   * What comes down beside the answer: of one call, or, once that has settled or where there is
   * none, of its session.
   */
  createEmit(entry: InFlight | undefined): Emit {
    return async (message, origin) => {
      if (this.#client === 'gone') return;
      switch (message.kind) {
        case 'request':
          return this.#forwardRequest(message, origin, entry);
        case 'response':
          return;
        case 'notification': {
          const shown = this.#toClient(message, origin, entry);
          if (shown && !entry?.silent) await this.#deps.writer.write(shown);
          if (entry && endsSubscription(entry, message)) this.#endSubscription(entry);
        }
      }
    };
  }

  /**
   * The server has ended a subscription, and the client has read so: nothing answers it any more.
   */
  #endSubscription(entry: InFlight): void {
    entry.silent = true;
    entry.controller.abort(new Abandoned('cancelled by the server'));
  }

  #toClient(
    notification: Notification,
    origin: Origin,
    entry: InFlight | undefined,
  ): Notification | undefined {
    if (notification.method === 'notifications/cancelled') {
      // The id is the client's own then, not that of a request of the server.
      if (entry && endsSubscription(entry, notification)) return notification;
      return this.#serverRequests.cancel(notification, origin);
    }
    if (notification.method === 'notifications/progress') {
      const { progressToken } = paramsOf(notification);
      const key = isId(progressToken) ? idKey(progressToken) : undefined;
      if (key === undefined) return notification;
      for (const { deadline, heartbeat } of this.#deps.inFlight.byToken(key)) {
        deadline.restart();
        heartbeat?.stop();
      }
    }
    return notification;
  }

  async #forwardRequest(request: Request, origin: Origin, entry: InFlight | undefined): Promise<void> {
    if (this.#serverRequests.size >= MAX_SERVER_REQUESTS) {
      const full = `The client has not answered ${MAX_SERVER_REQUESTS} earlier requests yet: this one was not passed on.`;
      const refusal = new ProxyError('too-many-waiting', full, { sent: 'no' });
      this.#deps.sendToServer(errorResponse(refusal.toJsonRpc(), idText(request)), origin);
      return;
    }
    // While the client owes the server an answer, the call that waits for it must not run out of
    // time. On the session's own stream nothing says which call that is, but that it is one of this
    // session: those of others have nothing to do with it.
    const live = entry && !entry.settled;
    const waitingCalls = live
      ? [entry]
      : this.#deps.inFlight.all().filter(({ request: { id } }) => origin.carries?.(id) ?? true);
    // Without sessions no server asks, and clients drop it where one does: nobody owes it an
    // answer.
    const held = waitingCalls.filter(({ request: call }) => !isStateless(call));
    const releases = held.map(({ deadline }) => deadline.hold());
    const release = (): void => {
      for (const free of releases) free();
    };
    const shown = this.#serverRequests.admit(request, origin, release);
    this.#watch(origin);
    const refusal = this.#deps.writer.sizeRefusal(shown);
    if (refusal) {
      // The client would drop the connection; the server has to learn that it will get no other
      // answer.
      const answered = this.#serverRequests.takeAnswer(errorResponse(refusal.toJsonRpc(), idText(shown)));
      if (answered) this.#deps.sendToServer(answered.message, answered.origin);
      return;
    }
    await this.#deps.writer.write(shown);
  }

  /** When a session is gone, so is whoever waits for the client's answers to what it asked. */
  #watch(origin: Origin): void {
    if (this.#watched.has(origin)) return;
    this.#watched.add(origin);
    void origin.gone.then(() => {
      for (const cancellation of this.#serverRequests.takeOrphans(origin)) {
        if (this.#client === 'there') this.#deps.writer.write(cancellation);
      }
    });
  }

  /** The client sends nothing more: it need not hear that nobody waits for its answer. */
  leave(): void {
    if (this.#client === 'there') this.#client = 'leaving';
  }

  /** Nothing can reach the client any more. */
  abandon(): void {
    this.#client = 'gone';
  }
}

/**
 * A server may cancel what the client asked in one case only: to end a subscription (MCP
 * 2026-07-28, Cancellation).
 */
const endsSubscription = ({ request }: InFlight, notification: Notification): boolean =>
  notification.method === 'notifications/cancelled' &&
  request.method === 'subscriptions/listen' &&
  isStateless(request) &&
  paramsOf(notification).requestId === request.id;
