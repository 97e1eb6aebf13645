import { causeText, ProxyError } from '../../core/errors/errors.ts';
import type { Notification, Response } from '../../core/jsonrpc/message.ts';
import {
  type Batch,
  type Call,
  type Emit,
  NO_DEADLINE,
  type Origin,
  type Reply,
  type SendOptions,
} from '../../core/pipeline/call.ts';
import { CallController } from '../../core/time/call-signal.ts';
import { Countdown } from '../deadline.ts';
import type { Order } from './order.ts';
import { PendingNotifications } from './pending-notifications.ts';
import type { RelayDeps } from './relay-deps.ts';

export interface NotificationSenderDeps {
  readonly relay: RelayDeps;
  readonly order: Order;
  readonly createEmit: () => Emit;
  /** Called when a message has been accepted or has failed. */
  readonly onSettled: () => void;
}

/** Sends the client's notifications and responses to the server. They need no answer. */
export class NotificationSender {
  readonly #deps: NotificationSenderDeps;
  readonly #pending = new PendingNotifications();
  #stopped = false;

  constructor(deps: NotificationSenderDeps) {
    this.#deps = deps;
  }

  /** Messages that the server has not accepted yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Sends a message that needs no answer. Failures are only logged. */
  send(message: Notification | Response, origin?: Origin, batch?: Batch, options?: SendOptions): void {
    const { order, createEmit, onSettled } = this.#deps;
    const { clock, events, client, profile, limits, handler } = this.#deps.relay;
    const controller = new CallController();
    const markDelivered = this.#pending.add(controller, message);
    if (!markDelivered) {
      events.emit({ type: 'client.message-dropped', kind: message.kind, underWay: this.#pending.size });
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
      emit: createEmit(),
      deadline: NO_DEADLINE,
      ...(origin ? { origin } : {}),
      ...(batch ? { batch } : {}),
      ...(options ? { sendOptions: options } : {}),
    };
    const run = async (): Promise<Reply> => {
      controller.signal.throwIfAborted();
      return handler(call);
    };
    order
      .schedule(message, run)
      .catch((error: unknown) => {
        const method = message.kind === 'notification' ? message.method : 'a response';
        if (!this.#stopped) events.emit({ type: 'notification.failed', method, message: causeText(error) });
      })
      .finally(() => {
        deadline.stop();
        markDelivered();
        onSettled();
      });
  }

  /** Call this when the client can no longer be reached: failures are not reported any more. */
  stop(): void {
    this.#stopped = true;
  }

  abortAll(reason: Error): void {
    for (const controller of this.#pending.all()) controller.abort(reason);
  }
}
