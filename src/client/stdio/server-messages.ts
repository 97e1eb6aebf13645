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
import { Abandoned } from '../../core/pipeline/abandoned.ts';
import type { Emit, Origin } from '../../core/pipeline/call.ts';
import type { ClientWriter } from './client-writer.ts';
import { type InFlight, type InFlightRequests, isStateless } from './in-flight.ts';
import type { ServerRequests } from './server-requests.ts';

/** A server in a loop must not fill memory; a person or a model answers these one by one. */
const MAX_SERVER_REQUESTS = 4_096;
/** Bounds the ids and progress tokens of server requests, whose length the server chooses. */
const MAX_SERVER_REQUEST_CHARACTERS = 1024 * 1024;

export interface ServerMessagesDeps {
  readonly inFlight: InFlightRequests;
  readonly serverRequests: ServerRequests;
  readonly writer: ClientWriter;
  /** Sends the server the answer to its request. */
  readonly sendToServer: (answer: Response, origin: Origin) => void;
}

/** Passes notifications and requests of any number of sessions to the client. */
export class ServerMessages {
  readonly #deps: ServerMessagesDeps;
  readonly #serverRequests: ServerRequests;
  readonly #watched = new WeakSet<Origin>();
  #client: 'there' | 'leaving' | 'gone' = 'there';

  constructor(deps: ServerMessagesDeps) {
    this.#deps = deps;
    this.#serverRequests = deps.serverRequests;
  }

  /** Creates the `emit` of a call; without one, or after it has settled, that of a session. */
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

  /** The server's cancellation is the end of a subscription; no answer follows. */
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
      // Here the id belongs to the client's subscription, not to a server request.
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
    const open = this.#serverRequests;
    if (open.size >= MAX_SERVER_REQUESTS || open.characters >= MAX_SERVER_REQUEST_CHARACTERS) {
      const full = `The client has not answered ${open.size} earlier requests yet (at most ${MAX_SERVER_REQUESTS}, with ids of at most ${MAX_SERVER_REQUEST_CHARACTERS} characters together): this one was not passed on.`;
      const refusal = new ProxyError('too-many-waiting', full, { sent: 'no' });
      this.#deps.sendToServer(errorResponse(refusal.toJsonRpc(), idText(request)), origin);
      return;
    }
    // While the client has not answered, the call that caused the server request must not time out.
    // A standalone stream does not name that call, so all calls of the session are held.
    const live = entry && !entry.settled;
    const waitingCalls = live
      ? [entry]
      : this.#deps.inFlight.all().filter(({ request: { id } }) => origin.carries?.(id) ?? true);
    // Stateless clients drop server requests, so their calls are not held.
    const held = waitingCalls.filter(({ request: call }) => !isStateless(call));
    const releases = held.map(({ deadline }) => deadline.hold());
    const release = (): void => {
      for (const free of releases) free();
    };
    const shown = this.#serverRequests.admit(request, origin, release);
    this.#watch(origin);
    const refusal = this.#deps.writer.sizeRefusal(shown);
    if (refusal) {
      // Writing it would make the client disconnect, so the server gets an error.
      const answered = this.#serverRequests.takeAnswer(errorResponse(refusal.toJsonRpc(), idText(shown)));
      if (answered) this.#deps.sendToServer(answered.message, answered.origin);
      return;
    }
    await this.#deps.writer.write(shown);
  }

  /** Cancels the server requests of a session when it ends. */
  #watch(origin: Origin): void {
    if (this.#watched.has(origin)) return;
    this.#watched.add(origin);
    void origin.gone.then(() => {
      for (const cancellation of this.#serverRequests.takeOrphans(origin)) {
        if (this.#client === 'there') this.#deps.writer.write(cancellation);
      }
    });
  }

  /** The client has closed stdin, so cancellations of server requests are omitted. */
  leave(): void {
    if (this.#client === 'there') this.#client = 'leaving';
  }

  /** The client can no longer be reached. */
  abandon(): void {
    this.#client = 'gone';
  }
}

/** A server may cancel only a subscription of the client (MCP 2026-07-28, Cancellation). */
const endsSubscription = ({ request }: InFlight, notification: Notification): boolean =>
  notification.method === 'notifications/cancelled' &&
  request.method === 'subscriptions/listen' &&
  isStateless(request) &&
  paramsOf(notification).requestId === request.id;
