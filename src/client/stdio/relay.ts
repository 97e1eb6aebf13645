import { causeText, ProxyError } from '../../core/errors/errors.ts';
import {
  cancellationOf,
  describeMessage,
  errorAnswer,
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
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { Countdown } from '../deadline.ts';
import { type Heartbeat, startHeartbeat } from '../heartbeat.ts';
import { Abandoned, rescued } from '../rescue.ts';
import { overdue, type TimeLimits, timeLimitOf } from '../time-limit.ts';
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
  /** Profile that a call is signed with unless a layer says otherwise. */
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly limits: RelayLimits;
  /** Milliseconds of silence of a call after which the proxy notifies progress; 0 = never. */
  readonly heartbeatMs?: number;
  readonly send: Send;
}

/**
 * One client's connection: gives every message its signal, deadline and turn, and every request
 * exactly one answer.
 */
export class Relay {
  readonly #deps: RelayDeps;
  readonly #order: Order;
  readonly #inFlight = new InFlightRequests();
  readonly #outlet: ClientWriter;
  readonly #serverRequests = new ServerRequests();
  readonly #downward: ServerMessages;
  /**
   * Notifications and responses on their way: they need no answer, but leaving waits for them too.
   */
  readonly #telling = new PendingNotifications();
  #leaving = false;
  #gone = false;
  #whenIdle: (() => void) | undefined;

  constructor(deps: RelayDeps) {
    this.#deps = deps;
    this.#order = new Order(deps.clock);
    const { events, send, limits } = deps;
    this.#outlet = new ClientWriter({ events, send, maxLineBytes: limits.maxLineBytes });
    this.#downward = new ServerMessages({
      inFlight: this.#inFlight,
      serverRequests: this.#serverRequests,
      outlet: this.#outlet,
      tell: (answer, origin) => this.#tell(answer, origin),
    });
  }

  /** Takes one line of the client. Never throws, never waits. */
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

  /** Answers what is no message; without an id where it names none. */
  refuse({ id, error }: InvalidMessage, bytes: number): void {
    this.#deps.events.emit({ type: 'client.line-invalid', reason: error.message, bytes });
    // Under an id that is already waiting for its answer, the error would pass for that answer.
    const named = id !== undefined && !this.#inFlight.hasKey(id.key) ? id.text : undefined;
    this.#outlet.write(errorAnswer(error.toJsonRpc(), named));
  }

  #accept(message: Message, batch: Batch | undefined): void {
    const { events } = this.#deps;
    if (events.detailed) events.emit({ type: 'message.received', ...describeMessage(message) });
    switch (message.kind) {
      case 'request':
        this.#call(message, batch);
        break;
      case 'response':
        this.#answer(message, batch);
        break;
      case 'notification':
        if (message.method === 'notifications/cancelled') this.#cancel(message);
        else this.#notify(message, batch);
    }
  }

  #call(request: Request, batch: Batch | undefined): void {
    const refused = this.#refusalOf(request);
    if (refused) {
      this.#outlet.write(
        errorAnswer(refused.toJsonRpc(), refused.reason === 'invalid-request' ? undefined : idText(request)),
      );
      return;
    }
    const token = progressTokenOf(request);
    const entry: InFlight = {
      request,
      controller: new CallController(),
      deadline: new Countdown(this.#deps.clock, timeLimitOf(request, this.#deps.limits).ms, () =>
        this.#expire(entry),
      ),
      tokenKey: token === undefined ? undefined : idKey(token),
      heartbeat: undefined,
      silent: false,
      started: false,
      settled: false,
    };
    this.#inFlight.add(entry);
    if (token !== undefined) entry.heartbeat = this.#heartbeatOf(entry);
    const call: Call = {
      message: request,
      client: this.#deps.client,
      profile: this.#deps.profile,
      signal: entry.controller.signal,
      emit: this.#downward.emitOf(entry),
      deadline: entry.deadline,
      ...(batch ? { batch } : {}),
    };
    const { signal } = entry.controller;
    // At once, wherever it waits: for its turn, for a connection, for credentials. Where there is
    // somebody to answer, in a turn: the handler's own failure knows whether anything was sent.
    const leave = (): void => {
      const { reason } = signal;
      if (reason instanceof Abandoned) this.#fail(entry, reason);
      else setImmediate(() => this.#fail(entry, reason));
    };
    signal.addEventListener('abort', leave, { once: true });
    const turn = async (): Promise<Reply> => {
      signal.throwIfAborted();
      entry.started = true;
      return this.#deps.handler(call);
    };
    this.#order.schedule(request, turn).then(
      (reply) => this.#finish(entry, reply),
      (error: unknown) => this.#fail(entry, error),
    );
  }

  #heartbeatOf(entry: InFlight): Heartbeat | undefined {
    let taken = true;
    return startHeartbeat(entry.request, {
      clock: this.#deps.clock,
      everyMs: this.#deps.heartbeatMs ?? 0,
      send: (progress) => {
        // Before its turn, which waits for the handshake, a client takes none; and one that reads
        // nothing needs no second.
        if (!entry.started || entry.silent || !taken) return;
        taken = false;
        void this.#outlet.write(progress).then(() => {
          taken = true;
        });
      },
    });
  }

  #refusalOf(request: Request): ProxyError | undefined {
    const refusal = this.#inFlight.refusalOf(request);
    if (refusal || !this.#leaving) return refusal;
    return new ProxyError('shutting-down', 'The proxy is ending: this request was not sent.', { sent: 'no' });
  }

  #finish(entry: InFlight, reply: Reply): void {
    if (!this.#settle(entry)) return;
    if (reply.kind === 'answer') this.#outlet.write(reply.message);
    else this.#rescue(entry, new TypeError('a request was accepted without an answer'));
  }

  #fail(entry: InFlight, error: unknown): void {
    if (!this.#settle(entry)) return;
    this.#rescue(entry, error);
  }

  /** Takes the call off the books, once; false where there is nobody left to answer. */
  #settle(entry: InFlight): boolean {
    if (entry.settled) return false;
    entry.settled = true;
    entry.deadline.stop();
    entry.heartbeat?.stop();
    this.#inFlight.remove(entry);
    this.#checkIdle();
    return !entry.silent && !this.#gone;
  }

  #rescue({ request }: InFlight, error: unknown): void {
    const known = rescued(this.#deps.events, request, error);
    this.#outlet.write(errorAnswer(known.toJsonRpc(), idText(request)));
  }

  #expire(entry: InFlight): void {
    const { request, started } = entry;
    const limit = timeLimitOf(request, this.#deps.limits);
    // The protocol forbids cancelling initialize; and of a request whose turn has not come, the
    // server knows nothing.
    const told = started && request.method !== 'initialize';
    const how = started
      ? `${told ? 'The server was told that nobody waits any more; the' : 'The'} request may have run.`
      : 'It was not sent, because it waited for the answer to initialize all the time.';
    const error = overdue(request, limit, { how, sent: started ? 'maybe' : 'no' });
    this.#deps.events.emit({
      type: 'call.cancelled',
      method: request.method,
      id: String(request.id),
      by: 'deadline',
    });
    if (told && !isStateless(request))
      this.#tell(cancellationOf(request, `timed out after ${limit.ms / 1000} s`));
    entry.controller.abort(error);
  }

  #cancel(notification: Notification): void {
    const { requestId } = paramsOf(notification);
    const entry = isId(requestId) ? this.#inFlight.get(requestId) : undefined;
    if (!entry || entry.request.method === 'initialize') {
      // Finished, never seen, or initialize: nothing there to cancel.
      this.#deps.events.emit({ type: 'client.cancel-unknown', id: String(requestId) });
      return;
    }
    const { method, id } = entry.request;
    this.#deps.events.emit({ type: 'call.cancelled', method, id: String(id), by: 'client' });
    entry.silent = true;
    // A cancellation is of the era of the request that it names, whatever it claims itself.
    if (entry.started && !isStateless(entry.request)) this.#tell(notification);
    entry.controller.abort(new Abandoned('cancelled by the client'));
  }

  #notify(notification: Notification, batch: Batch | undefined): void {
    if (notification.method === 'notifications/progress') {
      const { origin, message } = this.#serverRequests.progressed(notification);
      this.#tell(message, origin, batch);
    } else this.#tell(notification, undefined, batch);
  }

  #answer(response: Response, batch: Batch | undefined): void {
    const answered = this.#serverRequests.answered(response);
    if (answered) this.#tell(answered.message, answered.origin, batch);
    else this.#deps.events.emit({ type: 'client.response-unexpected', id: String(response.id) });
  }

  /** Sends what needs no answer; a failure has nobody to go to but the log. */
  #tell(message: Notification | Response, origin?: Origin, batch?: Batch): void {
    const { clock, events, client, profile, limits, handler } = this.#deps;
    const controller = new CallController();
    const arrived = this.#telling.add(controller, message);
    if (!arrived) {
      events.emit({ type: 'client.message-dropped', kind: message.kind, underWay: this.#telling.size });
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
      emit: this.#downward.emitOf(undefined),
      deadline: NO_DEADLINE,
      ...(origin ? { origin } : {}),
      ...(batch ? { batch } : {}),
    };
    const turn = async (): Promise<Reply> => {
      controller.signal.throwIfAborted();
      return handler(call);
    };
    this.#order
      .schedule(message, turn)
      .catch((error: unknown) => {
        const method = message.kind === 'notification' ? message.method : 'a response';
        if (!this.#gone) events.emit({ type: 'notification.failed', method, message: causeText(error) });
      })
      .finally(() => {
        deadline.stop();
        arrived();
        this.#checkIdle();
      });
  }

  #checkIdle(): void {
    if (this.#inFlight.size === 0 && this.#telling.size === 0) this.#whenIdle?.();
  }

  /**
   * The client sends nothing more. What is under way may finish for `ms` milliseconds; what has not
   * by then is answered with an error. Resolves when nothing is left.
   */
  async drain(ms: number): Promise<void> {
    const { clock, events } = this.#deps;
    this.#leaving = true;
    this.#downward.leave();
    const ending = new ProxyError(
      'shutting-down',
      'The proxy is ending because its client left; the request may have run.',
      {
        sent: 'maybe',
        ifUnsent:
          'The proxy is ending because its client left. The request was not sent: it waited until then.',
      },
    );
    // These would never end by themselves.
    for (const { request, controller } of this.#inFlight.all())
      if (request.method === 'subscriptions/listen') controller.abort(ending);
    if (this.#inFlight.size === 0 && this.#telling.size === 0) return;
    events.emit({ type: 'proxy.draining', inFlight: this.#inFlight.size });
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(ms, () => {
        this.#abortAll(ending);
        // One turn for the errors to be written.
        setImmediate(resolve);
      });
      this.#whenIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** The client has gone: nothing can reach it any more. */
  abandon(): void {
    this.#leaving = true;
    this.#gone = true;
    this.#downward.abandon();
    this.#abortAll(new Abandoned('the client has gone'));
  }

  #abortAll(reason: Error): void {
    this.#serverRequests.releaseAll();
    for (const { controller, started } of this.#inFlight.all()) {
      controller.abort(started || !(reason instanceof ProxyError) ? reason : reason.unsent);
    }
    for (const controller of this.#telling.all()) controller.abort(reason);
  }
}
