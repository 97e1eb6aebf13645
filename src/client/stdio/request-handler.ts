import { type ProxyError, shuttingDown } from '../../core/errors/errors.ts';
import {
  cancellationOf,
  errorResponse,
  idKey,
  idText,
  isId,
  type Notification,
  paramsOf,
  progressTokenOf,
  type Request,
} from '../../core/jsonrpc/message.ts';
import { Abandoned } from '../../core/pipeline/abandoned.ts';
import type { Batch, Call, Emit, Reply, SendOptions } from '../../core/pipeline/call.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';
import { endRecord, endRecordWith, observeCall } from '../../core/pipeline/record-call.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { Countdown, type ExpiryObserver } from '../deadline.ts';
import { type Heartbeat, startHeartbeat } from '../heartbeat.ts';
import { rescue } from '../rescue.ts';
import { timeLimitFor, timeoutError } from '../time-limit.ts';
import type { AnswerQueue } from './answer-queue.ts';
import type { ClientWriter } from './client-writer.ts';
import { type InFlight, type InFlightRequests, isStateless } from './in-flight.ts';
import type { Order } from './order.ts';
import type { RelayDeps } from './relay-deps.ts';

const CANCELLED = new Abandoned('cancelled by the client');

export interface RequestHandlerParts {
  readonly order: Order;
  readonly inFlight: InFlightRequests;
  readonly writer: ClientWriter;
  readonly answers: AnswerQueue;
  readonly createEmit: (entry: InFlight) => Emit;
  readonly notifyServer: (notification: Notification) => void;
  /** Called when a request is no longer in flight. */
  readonly onSettled: () => void;
}

/** Gives every request of the client its signal, deadline and turn, and exactly one answer. */
export class RequestHandler {
  readonly #deps: RelayDeps;
  readonly #parts: RequestHandlerParts;
  #leaving = false;
  #gone = false;

  constructor(deps: RelayDeps, parts: RequestHandlerParts) {
    this.#deps = deps;
    this.#parts = parts;
  }

  /** Call this when the client has left: further requests are refused. */
  leave(): void {
    this.#leaving = true;
  }

  /** Call this when the client can no longer be reached: no answer is written any more. */
  stop(): void {
    this.#leaving = true;
    this.#gone = true;
  }

  handle(request: Request, batch: Batch | undefined, options?: SendOptions): void {
    const { events, client, profile, clock } = this.#deps;
    const { record, span } = observeCall(events, { transport: 'stdio', request, client, profile, clock });
    const refused = this.#refusalFor(request);
    if (refused) {
      endRecordWith(events, clock, record, refused);
      this.#parts.writer.write(
        errorResponse(
          refused.toJsonRpc(),
          refused.reason === 'invalid-request' ? undefined : idText(request),
        ),
      );
      return;
    }
    const entry = new ClientRequest(this, request, record, {
      clock,
      limitMs: timeLimitFor(request, this.#deps.limits).ms,
    });
    this.#parts.inFlight.add(entry);
    if (entry.tokenKey !== undefined) entry.heartbeat = this.#startHeartbeat(entry);
    const call: Call = {
      message: request,
      client,
      profile,
      signal: entry.controller.signal,
      emit: this.#parts.createEmit(entry),
      deadline: entry.deadline,
      record,
      span,
      room: () => this.#roomFor(entry),
      batch,
      sendOptions: options,
    };
    entry.controller.signal.addEventListener('abort', entry, { once: true });
    const { order } = this.#parts;
    const sending = order.isFree(request)
      ? this.#send(entry, call)
      : order.schedule(request, () => this.#send(entry, call));
    sending.then(
      (reply) => this.#finish(entry, reply),
      (error: unknown) => this.#fail(entry, error),
    );
  }

  #send(entry: ClientRequest, call: Call): Promise<Reply> {
    if (call.signal.aborted) return Promise.reject(call.signal.reason);
    entry.started = true;
    try {
      return this.#deps.handler(call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * An abort settles the call wherever it waits. With a client to answer, one turn later: the
   * handler's own error knows whether anything was sent.
   */
  onAborted(entry: InFlight): void {
    const { reason } = entry.controller.signal;
    if (reason instanceof Abandoned) this.#fail(entry, reason);
    else setImmediate(() => this.#fail(entry, reason));
  }

  /** While the client reads nothing, its calls do not run out of time. */
  #roomFor({ deadline }: InFlight): Promise<void> | undefined {
    const room = this.#parts.writer.room();
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
        void this.#parts.writer.write(progress).then(() => {
          clientReady = true;
        });
      },
    });
  }

  #refusalFor(request: Request): ProxyError | undefined {
    const { inFlight, answers } = this.#parts;
    const refusal = inFlight.refusalFor(request) ?? answers.refusal();
    if (refusal || !this.#leaving) return refusal;
    return shuttingDown();
  }

  #finish(entry: InFlight, reply: Reply): void {
    if (reply.kind === 'answer' && !entry.silent && !entry.settled) entry.record?.answered(reply.message);
    if (!this.#settle(entry)) return;
    if (reply.kind === 'answer') this.#parts.answers.write(reply.message);
    else this.#rescue(entry, new TypeError('a request was accepted without an answer'));
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
    this.#parts.inFlight.remove(entry);
    this.#parts.onSettled();
    return !entry.silent && !this.#gone;
  }

  #endRecord({ record, silent }: InFlight, error: unknown): void {
    const { events, clock } = this.#deps;
    if (silent) endRecordWith(events, clock, record, CANCELLED);
    else if (error === undefined) endRecord(events, clock, record);
    else endRecordWith(events, clock, record, error);
  }

  #rescue({ request, record }: InFlight, error: unknown): void {
    const known = rescue(this.#deps.events, request, error, record);
    this.#parts.writer.write(errorResponse(known.toJsonRpc(), idText(request)));
  }

  /** Called when the time limit of the call is over. */
  onExpired(entry: InFlight): void {
    const { request, started } = entry;
    const limit = timeLimitFor(request, this.#deps.limits);
    // The protocol forbids cancelling `initialize`, and the server does not know a request that was
    // not sent.
    const notifiesServer = started && request.method !== 'initialize';
    const how = started
      ? `${notifiesServer ? 'A cancellation was sent to the server; the' : 'The'} request may have run.`
      : 'It was not sent, because it waited for the answer to initialize all the time.';
    const error = timeoutError(request, limit, { how, sent: started ? 'maybe' : 'no' });
    this.#deps.events.emit({
      type: 'call.cancelled',
      ...callOf(entry),
      method: request.method,
      id: String(request.id),
      by: 'deadline',
    });
    if (notifiesServer && !isStateless(request))
      this.#parts.notifyServer(cancellationOf(request, `timed out after ${limit.ms / 1000} s`));
    entry.controller.abort(error);
  }

  /** Handles `notifications/cancelled` of the client. */
  cancel(notification: Notification): void {
    const { requestId } = paramsOf(notification);
    const entry = isId(requestId) ? this.#parts.inFlight.get(requestId) : undefined;
    if (!entry || entry.request.method === 'initialize') {
      // The request is finished, unknown, or `initialize`.
      this.#deps.events.emit({ type: 'client.cancel-unknown', id: String(requestId) });
      return;
    }
    const { method, id } = entry.request;
    this.#deps.events.emit({
      type: 'call.cancelled',
      ...callOf(entry),
      method,
      id: String(id),
      by: 'client',
    });
    entry.silent = true;
    // The era of a cancellation is that of the request it names.
    if (entry.started && !isStateless(entry.request)) this.#parts.notifyServer(notification);
    entry.controller.abort(CANCELLED);
  }
}

/** The number of a call that is measured. */
const callOf = ({ record }: InFlight): { call?: number } => (record ? { call: record.number } : {});

/** A request of the client. It observes its own cancellation: thousands may wait. */
class ClientRequest implements InFlight, ExpiryObserver {
  readonly #handler: RequestHandler;
  readonly request: Request;
  readonly controller = new CallController();
  readonly deadline: Countdown;
  readonly tokenKey: string | undefined;
  readonly record: CallRecord | undefined;
  heartbeat: Heartbeat | undefined = undefined;
  silent = false;
  started = false;
  settled = false;

  constructor(
    handler: RequestHandler,
    request: Request,
    record: CallRecord | undefined,
    { clock, limitMs }: { readonly clock: Clock; readonly limitMs: number },
  ) {
    this.#handler = handler;
    this.request = request;
    this.record = record;
    const token = progressTokenOf(request);
    this.tokenKey = token === undefined ? undefined : idKey(token);
    this.deadline = new Countdown(clock, limitMs, this);
  }

  onExpired(): void {
    this.#handler.onExpired(this);
  }

  /** Called when its signal aborts. */
  handleEvent(): void {
    this.#handler.onAborted(this);
  }
}
