import { causeText, ProxyError, shuttingDown } from '../../core/errors/errors.ts';
import {
  cancellationOf,
  describeMessage,
  errorResponse,
  idKey,
  idText,
  isId,
  type Message,
  type Notification,
  paramsOf,
  progressTokenOf,
  type Request,
  type Response,
} from '../../core/jsonrpc/message.ts';
import { type InvalidMessage, readLine } from '../../core/jsonrpc/parse.ts';
import { Abandoned } from '../../core/pipeline/abandoned.ts';
import {
  type Batch,
  type Call,
  type Client,
  type Handler,
  NO_DEADLINE,
  type Origin,
  type Reply,
} from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { beginRecord, endRecord, endRecordWith } from '../../core/pipeline/record-call.ts';
import { heapShare } from '../../core/system/heap-share.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { Countdown } from '../deadline.ts';
import { type Heartbeat, startHeartbeat } from '../heartbeat.ts';
import { rescue } from '../rescue.ts';
import { type TimeLimits, timeLimitFor, timeoutError } from '../time-limit.ts';
import { ClientWriter, type Send } from './client-writer.ts';
import { type InFlight, InFlightRequests, isStateless } from './in-flight.ts';
import { Order } from './order.ts';
import { PendingNotifications } from './pending-notifications.ts';
import { ServerMessages } from './server-messages.ts';
import { ServerRequests } from './server-requests.ts';

export interface RelayLimits extends TimeLimits {
  /** Bytes of one line to the client, 0 = no limit. */
  readonly maxLineBytes: number;
}

export interface RelayDeps {
  readonly handler: Handler;
  readonly client: Client;
  /** The default profile; a layer may choose another. */
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly limits: RelayLimits;
  /** Milliseconds of silence of a call after which the proxy notifies progress; 0 = never. */
  readonly heartbeatMs?: number;
  readonly send: Send;
}

/** Characters that are written ahead of the client; further answers wait until it has read them. */
const MAX_WRITTEN_CHARACTERS = heapShare(32 * 1024 * 1024);
/**
 * Characters of answers that the client has not read: one of the longest. More than a few can only
 * come from answers that the proxy gives itself, such as lists that it has kept.
 */
const MAX_UNREAD_CHARACTERS = heapShare(256 * 1024 * 1024);

const CANCELLED = new Abandoned('cancelled by the client');

/**
 * The connection of one client. Gives every message its signal, deadline and turn, and every
 * request exactly one answer.
 */
export class Relay {
  readonly #deps: RelayDeps;
  readonly #order: Order;
  readonly #inFlight = new InFlightRequests();
  readonly #writer: ClientWriter;
  readonly #serverRequests = new ServerRequests();
  readonly #serverMessages: ServerMessages;
  /** Notifications and responses in flight. They need no answer, but `drain` waits for them. */
  readonly #pendingNotifications = new PendingNotifications();
  /** Answers that wait until the client has read earlier ones, in order. */
  #held = 0;
  #writing: Promise<unknown> = Promise.resolve();
  #leaving = false;
  #gone = false;
  #whenIdle: (() => void) | undefined;

  constructor(deps: RelayDeps) {
    this.#deps = deps;
    this.#order = new Order(deps.clock);
    const { events, send, limits } = deps;
    this.#writer = new ClientWriter({ events, send, maxLineBytes: limits.maxLineBytes });
    this.#serverMessages = new ServerMessages({
      inFlight: this.#inFlight,
      serverRequests: this.#serverRequests,
      writer: this.#writer,
      sendToServer: (answer, origin) => this.#sendToServer(answer, origin),
    });
  }

  /** Accepts one line of the client. Never throws, never waits. */
  receive(text: string): void {
    if (this.#gone) return;
    const line = readLine(text);
    if (line.kind === 'invalid') {
      this.refuse(line, text.length);
      return;
    }
    if (line.kind === 'message') {
      this.#accept(line.message, undefined);
      return;
    }
    const batch: Batch = {};
    for (const element of line.elements) {
      if (element.kind === 'invalid') this.refuse(element, text.length);
      else this.#accept(element, batch);
    }
  }

  /** Answers an invalid line with an error; without an id where the line has none. */
  refuse({ id, error }: InvalidMessage, bytes: number): void {
    this.#deps.events.emit({ type: 'client.line-invalid', reason: error.message, bytes });
    // The client would take an error under the id of a request in flight for its answer.
    const named = id !== undefined && !this.#inFlight.hasKey(id.key) ? id.text : undefined;
    this.#writer.write(errorResponse(error.toJsonRpc(), named));
  }

  #accept(message: Message, batch: Batch | undefined): void {
    const { events } = this.#deps;
    if (events.detailed) events.emit({ type: 'message.received', ...describeMessage(message) });
    switch (message.kind) {
      case 'request':
        this.#handleRequest(message, batch);
        break;
      case 'response':
        this.#handleResponse(message, batch);
        break;
      case 'notification':
        if (message.method === 'notifications/cancelled') this.#handleCancellation(message);
        else this.#handleNotification(message, batch);
    }
  }

  #handleRequest(request: Request, batch: Batch | undefined): void {
    const { events, client, profile, clock } = this.#deps;
    const record = beginRecord(events, { transport: 'stdio', request, client, profile, clock });
    const refused = this.#refusalFor(request);
    if (refused) {
      endRecordWith(events, clock, record, refused);
      this.#writer.write(
        errorResponse(
          refused.toJsonRpc(),
          refused.reason === 'invalid-request' ? undefined : idText(request),
        ),
      );
      return;
    }
    const token = progressTokenOf(request);
    const entry: InFlight = {
      request,
      controller: new CallController(),
      deadline: new Countdown(this.#deps.clock, timeLimitFor(request, this.#deps.limits).ms, () =>
        this.#expire(entry),
      ),
      tokenKey: token === undefined ? undefined : idKey(token),
      heartbeat: undefined,
      silent: false,
      started: false,
      settled: false,
      record,
    };
    this.#inFlight.add(entry);
    if (token !== undefined) entry.heartbeat = this.#startHeartbeat(entry);
    const call: Call = {
      message: request,
      client: this.#deps.client,
      profile: this.#deps.profile,
      signal: entry.controller.signal,
      emit: this.#serverMessages.createEmit(entry),
      deadline: entry.deadline,
      room: () => this.#roomFor(entry),
      ...(batch ? { batch } : {}),
      ...(record ? { record } : {}),
    };
    const { signal } = entry.controller;
    // An abort settles the call wherever it waits. With a client to answer, one turn later: the
    // handler's own error knows whether anything was sent.
    const leave = (): void => {
      const { reason } = signal;
      if (reason instanceof Abandoned) this.#fail(entry, reason);
      else setImmediate(() => this.#fail(entry, reason));
    };
    signal.addEventListener('abort', leave, { once: true });
    const run = async (): Promise<Reply> => {
      signal.throwIfAborted();
      entry.started = true;
      return this.#deps.handler(call);
    };
    this.#order.schedule(request, run).then(
      (reply) => this.#finish(entry, reply),
      (error: unknown) => this.#fail(entry, error),
    );
  }

  /** While the client reads nothing, its calls do not run out of time. */
  #roomFor({ deadline }: InFlight): Promise<void> | undefined {
    const room = this.#writer.room();
    if (!room) return undefined;
    return room.finally(deadline.hold());
  }

  #startHeartbeat(entry: InFlight): Heartbeat | undefined {
    let clientReady = true;
    return startHeartbeat(entry.request, {
      clock: this.#deps.clock,
      everyMs: this.#deps.heartbeatMs ?? 0,
      send: (progress) => {
        // Before the handshake a client accepts no notification, and an unread one needs no second.
        if (!entry.started || entry.silent || !clientReady) return;
        clientReady = false;
        void this.#writer.write(progress).then(() => {
          clientReady = true;
        });
      },
    });
  }

  #refusalFor(request: Request): ProxyError | undefined {
    const refusal = this.#inFlight.refusalFor(request) ?? this.#unreadRefusal();
    if (refusal || !this.#leaving) return refusal;
    return shuttingDown();
  }

  #unreadRefusal(): ProxyError | undefined {
    const { unread } = this.#writer;
    if (unread <= MAX_UNREAD_CHARACTERS) return undefined;
    return new ProxyError(
      'too-many-waiting',
      `The client has not read ${unread} characters of earlier answers, more than the ${MAX_UNREAD_CHARACTERS} that are kept for it: this request was not sent. Read the answers, then send it again.`,
      { sent: 'no', retryAfterMs: 1_000, details: { unread, limit: MAX_UNREAD_CHARACTERS } },
    );
  }

  /**
   * Present while the client has read so little that not even refusals are kept for it: resolves
   * when it has room. Until then, nothing more is to be read from it.
   */
  get overfull(): Promise<void> | undefined {
    return this.#writer.unread > 2 * MAX_UNREAD_CHARACTERS ? this.#writer.room() : undefined;
  }

  #finish(entry: InFlight, reply: Reply): void {
    if (reply.kind === 'answer' && !entry.silent && !entry.settled) entry.record?.answered(reply.message);
    if (!this.#settle(entry)) return;
    if (reply.kind === 'answer') this.#write(reply.message);
    else this.#rescue(entry, new TypeError('a request was accepted without an answer'));
  }

  /** A kept list shares its text with the cache until it is written: it waits as that. */
  #write(answer: Response): void {
    if (this.#held === 0 && this.#writer.unread <= MAX_WRITTEN_CHARACTERS) {
      this.#writer.write(answer);
      return;
    }
    this.#held++;
    this.#writing = this.#writing
      .then(() => (this.#writer.unread > MAX_WRITTEN_CHARACTERS ? this.#writer.room() : undefined))
      .then(() => {
        this.#held--;
        if (!this.#gone) this.#writer.write(answer);
        this.#checkIdle();
      });
  }

  #fail(entry: InFlight, error: unknown): void {
    if (!this.#settle(entry, error)) return;
    this.#rescue(entry, error);
  }

  /** Removes the call, once. @returns false where no answer is to be written. */
  #settle(entry: InFlight, error?: unknown): boolean {
    if (entry.settled) return false;
    entry.settled = true;
    this.#endRecord(entry, error);
    entry.deadline.stop();
    entry.heartbeat?.stop();
    this.#inFlight.remove(entry);
    this.#checkIdle();
    return !entry.silent && !this.#gone;
  }

  #endRecord({ record, silent }: InFlight, error: unknown): void {
    const { events, clock } = this.#deps;
    if (silent) endRecordWith(events, clock, record, CANCELLED);
    else if (error === undefined) endRecord(events, clock, record);
    else endRecordWith(events, clock, record, error);
  }

  #rescue({ request }: InFlight, error: unknown): void {
    const known = rescue(this.#deps.events, request, error);
    this.#writer.write(errorResponse(known.toJsonRpc(), idText(request)));
  }

  #expire(entry: InFlight): void {
    const { request, started } = entry;
    const limit = timeLimitFor(request, this.#deps.limits);
    // The protocol forbids cancelling `initialize`, and the server does not know a request that was
    // not sent.
    const notifiesServer = started && request.method !== 'initialize';
    const how = started
      ? `${notifiesServer ? 'The server was told that nobody waits any more; the' : 'The'} request may have run.`
      : 'It was not sent, because it waited for the answer to initialize all the time.';
    const error = timeoutError(request, limit, { how, sent: started ? 'maybe' : 'no' });
    this.#deps.events.emit({
      type: 'call.cancelled',
      method: request.method,
      id: String(request.id),
      by: 'deadline',
    });
    if (notifiesServer && !isStateless(request))
      this.#sendToServer(cancellationOf(request, `timed out after ${limit.ms / 1000} s`));
    entry.controller.abort(error);
  }

  #handleCancellation(notification: Notification): void {
    const { requestId } = paramsOf(notification);
    const entry = isId(requestId) ? this.#inFlight.get(requestId) : undefined;
    if (!entry || entry.request.method === 'initialize') {
      // The request is finished, unknown, or `initialize`.
      this.#deps.events.emit({ type: 'client.cancel-unknown', id: String(requestId) });
      return;
    }
    const { method, id } = entry.request;
    this.#deps.events.emit({ type: 'call.cancelled', method, id: String(id), by: 'client' });
    entry.silent = true;
    // The era of a cancellation is that of the request it names.
    if (entry.started && !isStateless(entry.request)) this.#sendToServer(notification);
    entry.controller.abort(new Abandoned('cancelled by the client'));
  }

  #handleNotification(notification: Notification, batch: Batch | undefined): void {
    if (notification.method === 'notifications/progress') {
      const { origin, message } = this.#serverRequests.restoreProgressToken(notification);
      this.#sendToServer(message, origin, batch);
    } else this.#sendToServer(notification, undefined, batch);
  }

  #handleResponse(response: Response, batch: Batch | undefined): void {
    const answered = this.#serverRequests.takeAnswer(response);
    if (answered) this.#sendToServer(answered.message, answered.origin, batch);
    else this.#deps.events.emit({ type: 'client.response-unexpected', id: String(response.id) });
  }

  /** Sends a message that needs no answer. Failures are only logged. */
  #sendToServer(message: Notification | Response, origin?: Origin, batch?: Batch): void {
    const { clock, events, client, profile, limits, handler } = this.#deps;
    const controller = new CallController();
    const markDelivered = this.#pendingNotifications.add(controller, message);
    if (!markDelivered) {
      events.emit({
        type: 'client.message-dropped',
        kind: message.kind,
        underWay: this.#pendingNotifications.size,
      });
      return;
    }
    const deadline = new Countdown(clock, limits.timeoutMs, () =>
      controller.abort(new ProxyError('timeout', 'the server did not accept it in time', { sent: 'maybe' })),
    );
    const call: Call = {
      message,
      client,
      profile: origin?.profile ?? profile,
      signal: controller.signal,
      emit: this.#serverMessages.createEmit(undefined),
      deadline: NO_DEADLINE,
      ...(origin ? { origin } : {}),
      ...(batch ? { batch } : {}),
    };
    const run = async (): Promise<Reply> => {
      controller.signal.throwIfAborted();
      return handler(call);
    };
    this.#order
      .schedule(message, run)
      .catch((error: unknown) => {
        const method = message.kind === 'notification' ? message.method : 'a response';
        if (!this.#gone) events.emit({ type: 'notification.failed', method, message: causeText(error) });
      })
      .finally(() => {
        deadline.stop();
        markDelivered();
        this.#checkIdle();
      });
  }

  get #idle(): boolean {
    return this.#inFlight.size === 0 && this.#pendingNotifications.size === 0 && this.#held === 0;
  }

  #checkIdle(): void {
    if (this.#idle) this.#whenIdle?.();
  }

  /**
   * Call this when the client has closed stdin. Calls in flight may finish within `ms` milliseconds
   * and then fail. Resolves when none is left.
   */
  async drain(ms: number): Promise<void> {
    const { clock, events } = this.#deps;
    this.#leaving = true;
    this.#serverMessages.leave();
    const ending = new ProxyError(
      'shutting-down',
      'The proxy is ending because its client left; the request may have run.',
      {
        sent: 'maybe',
        ifUnsent:
          'The proxy is ending because its client left. The request was not sent: it waited until then.',
      },
    );
    // Subscriptions never end by themselves.
    for (const { request, controller } of this.#inFlight.all())
      if (request.method === 'subscriptions/listen') controller.abort(ending);
    if (this.#idle) return;
    events.emit({ type: 'proxy.draining', inFlight: this.#inFlight.size });
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(ms, () => {
        this.#abortAll(ending);
        // Lets the errors be written first.
        setImmediate(resolve);
      });
      this.#whenIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Call this when the client can no longer be reached. */
  abandon(): void {
    this.#leaving = true;
    this.#gone = true;
    this.#serverMessages.abandon();
    this.#abortAll(new Abandoned('the client has gone'));
  }

  #abortAll(reason: Error): void {
    this.#serverRequests.releaseAll();
    for (const { controller, started } of this.#inFlight.all()) {
      controller.abort(started || !(reason instanceof ProxyError) ? reason : reason.unsent);
    }
    for (const controller of this.#pendingNotifications.all()) controller.abort(reason);
  }
}
