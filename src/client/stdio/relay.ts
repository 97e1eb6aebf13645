import { ProxyError } from '../../core/errors/errors.ts';
import {
  describeMessage,
  errorResponse,
  type Message,
  type Notification,
  type Response,
} from '../../core/jsonrpc/message.ts';
import { type InvalidMessage, readLine } from '../../core/jsonrpc/parse.ts';
import { Abandoned } from '../../core/pipeline/abandoned.ts';
import type { Batch, SendOptions } from '../../core/pipeline/call.ts';
import { AnswerQueue } from './answer-queue.ts';
import { ClientWriter } from './client-writer.ts';
import { InFlightRequests } from './in-flight.ts';
import { NotificationSender } from './notification-sender.ts';
import { Order } from './order.ts';
import type { RelayDeps } from './relay-deps.ts';
import { RequestHandler } from './request-handler.ts';
import { ServerMessages } from './server-messages.ts';
import { ServerRequests } from './server-requests.ts';

/**
 * The connection of one client. Gives every message its signal, deadline and turn, and every
 * request exactly one answer.
 */
export class Relay {
  readonly #deps: RelayDeps;
  readonly #inFlight = new InFlightRequests();
  readonly #writer: ClientWriter;
  readonly #serverRequests = new ServerRequests();
  readonly #serverMessages: ServerMessages;
  readonly #notifications: NotificationSender;
  readonly #requests: RequestHandler;
  readonly #answers: AnswerQueue;
  #gone = false;
  #whenIdle: (() => void) | undefined;

  /** `McpProxy.connect` creates it. */
  constructor(deps: RelayDeps) {
    this.#deps = deps;
    const { clock, events, send, limits } = deps;
    const order = new Order(clock);
    const onSettled = (): void => this.#checkIdle();
    this.#writer = new ClientWriter({ events, send, maxLineBytes: limits.maxLineBytes });
    this.#answers = new AnswerQueue(this.#writer, onSettled);
    this.#serverMessages = new ServerMessages({
      inFlight: this.#inFlight,
      serverRequests: this.#serverRequests,
      writer: this.#writer,
      sendToServer: (answer, origin) => this.#notifications.send(answer, origin),
    });
    this.#notifications = new NotificationSender({
      relay: deps,
      order,
      createEmit: () => this.#serverMessages.createEmit(undefined),
      onSettled,
    });
    this.#requests = new RequestHandler(deps, {
      order,
      inFlight: this.#inFlight,
      writer: this.#writer,
      answers: this.#answers,
      createEmit: (entry) => this.#serverMessages.createEmit(entry),
      notifyServer: (notification) => this.#notifications.send(notification),
      onSettled,
    });
  }

  /**
   * Accepts one line of the client: a JSON-RPC message, or a batch. Never throws, never waits.
   * @param text - the line without its newline.
   * @param options - for a single message; a batch has none.
   */
  receive(text: string, options?: SendOptions): void {
    if (this.#gone) return;
    const line = readLine(text);
    if (line.kind === 'invalid') {
      this.refuse(line, text.length);
      return;
    }
    if (line.kind === 'message') {
      this.#accept(line.message, undefined, options);
      return;
    }
    const batch: Batch = {};
    for (const element of line.elements) {
      if (element.kind === 'invalid') this.refuse(element, text.length);
      else this.#accept(element, batch);
    }
  }

  /**
   * Answers an invalid line with an error; without an id if the line has none.
   * @param bytes - the length of the line.
   */
  refuse({ id, error }: InvalidMessage, bytes: number): void {
    this.#deps.events.emit({ type: 'client.line-invalid', reason: error.message, bytes });
    // The client would take an error under the id of a request in flight for its answer.
    const named = id !== undefined && !this.#inFlight.has(id.value) ? id.text : undefined;
    this.#writer.write(errorResponse(error.toJsonRpc(), named));
  }

  #accept(message: Message, batch: Batch | undefined, options?: SendOptions): void {
    const { events } = this.#deps;
    if (events.detailed) events.emit({ type: 'message.received', ...describeMessage(message) });
    switch (message.kind) {
      case 'request':
        this.#requests.handle(message, batch, options);
        break;
      case 'response':
        this.#handleResponse(message, batch);
        break;
      case 'notification':
        if (message.method === 'notifications/cancelled') this.#requests.cancel(message);
        else this.#handleNotification(message, batch, options);
    }
  }

  /**
   * Present while the client has so many unread answers that not even refusals are stored for it.
   * Resolves when it has room; read no further line from it before.
   */
  get overfull(): Promise<void> | undefined {
    return this.#answers.overfull;
  }

  #handleNotification(
    notification: Notification,
    batch: Batch | undefined,
    options: SendOptions | undefined,
  ): void {
    if (notification.method === 'notifications/progress') {
      const { origin, message } = this.#serverRequests.restoreProgressToken(notification);
      this.#notifications.send(message, origin, batch);
    } else this.#notifications.send(notification, undefined, batch, options);
  }

  #handleResponse(response: Response, batch: Batch | undefined): void {
    const answered = this.#serverRequests.takeAnswer(response);
    if (answered) this.#notifications.send(answered.message, answered.origin, batch);
    else this.#deps.events.emit({ type: 'client.response-unexpected', id: String(response.id) });
  }

  get #idle(): boolean {
    return this.#inFlight.size === 0 && this.#notifications.pending === 0 && this.#answers.waiting === 0;
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
    this.#requests.leave();
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
    this.#gone = true;
    this.#requests.stop();
    this.#answers.stop();
    this.#notifications.stop();
    this.#serverMessages.abandon();
    this.#abortAll(new Abandoned('the client has gone'));
  }

  #abortAll(reason: Error): void {
    this.#serverRequests.releaseAll();
    for (const { controller, started } of this.#inFlight.all()) {
      controller.abort(started || !(reason instanceof ProxyError) ? reason : reason.unsent);
    }
    this.#notifications.abortAll(reason);
  }
}
