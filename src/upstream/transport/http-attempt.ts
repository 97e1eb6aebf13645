import { CallController } from '../../core/time/call-signal.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import type { Lease } from '../http/lease.ts';
import type { Affinity } from './affinity.ts';
import { abortReasonAt } from './progress.ts';
import type {
  AttemptObserver,
  OpenedExchange,
  SignedTransport,
  TransportRequest,
} from './signed-transport.ts';

/**
 * How long a control message keeps its connection exclusively. A server may hold it open while it
 * waits for the next control message.
 */
export const CONTROL_CONNECTION_MS = 1_000;
/** Time for the server to receive the cancellation before its exchange is closed. */
export const CANCEL_GRACE_MS = 1_000;

/** A request without what its attempt adds. */
export type AttemptRequest = Omit<TransportRequest, 'signal' | 'affinity' | 'observer'> & {
  /** Called before the first byte is sent on each connection. */
  readonly onSend?: (() => void) | undefined;
};

/**
 * One HTTP request from the wait for its connection to the end of its response: the lease of the
 * connection, the abort, the grace period of a cancellation, and the timers. Requests,
 * notifications and what passes through use it alike.
 */
export class HttpAttempt implements AttemptObserver {
  readonly transport: SignedTransport;
  readonly #clock: Clock;
  readonly #controller = new CallController();
  #onSend: (() => void) | undefined;
  #lane: TransportRequest['lane'] | undefined;
  #lease: Lease | undefined;
  /** The cause of the wait before the first byte is sent. */
  #waitReason: string | undefined;
  #opened: OpenedExchange | undefined;
  #timers: Timer[] | undefined;
  #over = false;

  constructor(transport: SignedTransport, clock: Clock) {
    this.transport = transport;
    this.#clock = clock;
  }

  /** Aborts when the attempt is cut. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * True once bytes may have been sent: before that, the server need not be notified of a
   * cancellation.
   */
  get sent(): boolean {
    return this.#lease !== undefined;
  }

  /** The last response; undefined before its head has come. */
  get opened(): OpenedExchange | undefined {
    return this.#opened;
  }

  /** True after `end`. */
  get over(): boolean {
    return this.#over;
  }

  /** Sends the request. Resolves with the head of the response. @throws as the transport. */
  open(request: AttemptRequest, affinity: Affinity | undefined): Promise<OpenedExchange> {
    // The request itself is not kept, which a waiting call would pay for twice.
    this.#onSend = request.onSend;
    this.#lane = request.lane;
    // Not spread: a key after a spread costs V8 a hidden class per object (2 µs, 200 bytes until a
    // full collection). Not async: its variables would live as long as the request.
    return this.transport.open({
      method: request.method,
      lane: request.lane,
      headers: request.headers,
      body: request.body,
      idempotent: request.idempotent,
      hedgeAfterMs: request.hedgeAfterMs,
      opensSession: request.opensSession,
      share: request.share,
      admits: request.admits,
      affinity,
      record: request.record,
      span: request.span,
      onStart: request.onStart,
      signal: this.#controller.signal,
      observer: this,
    });
  }

  onWait(waitReason: string): void {
    this.#waitReason = waitReason;
  }

  onAttempt(lease: Lease): void {
    this.#lease = lease;
    this.#onSend?.();
    if (this.#lane === 'control' || this.#lane === 'own')
      this.after(CONTROL_CONNECTION_MS, () => lease.detach());
  }

  onOpened(opened: OpenedExchange): void {
    this.#opened = opened;
  }

  /** Continues on the connection of a resumed stream. */
  useLease(lease: Lease): void {
    this.#lease = lease;
  }

  /** Continues with the response of a resumed stream. */
  resumed(opened: OpenedExchange): void {
    this.#opened = opened;
  }

  /** The abort reason, with how far the request got. */
  abortReason(reason: unknown): unknown {
    const progress = {
      waitReason: this.#waitReason,
      lease: this.#lease,
      responding: this.#opened !== undefined,
    };
    return abortReasonAt(progress, reason, this.transport.host);
  }

  /** Runs `act` later, unless the attempt ends before. Does not keep the process alive. */
  after(ms: number, act: () => void): void {
    if (this.#over) return;
    this.#timers ??= [];
    this.#timers.push(this.#clock.schedule(ms, act, { keepAlive: false }));
  }

  /** Gives the connection to the next caller at once; the response goes on. */
  detach(): void {
    this.#lease?.detach();
  }

  /**
   * No one waits any more: the connection goes to the next caller at once.
   * @param grace - the exchange stays open briefly for the server to receive the cancellation;
   * false where closing it is the cancellation.
   */
  leave(reason: unknown, { grace }: { readonly grace: boolean }): void {
    // Without a connection, or between two attempts, nothing more may be sent.
    if (!grace || !this.#lease || this.#lease.over) {
      this.cut(reason);
      return;
    }
    this.#lease.detach();
    this.after(CANCEL_GRACE_MS, () => this.cut(reason));
  }

  /** Ends the request at once, wherever it is. */
  cut(reason: unknown): void {
    this.#controller.abort(reason);
    this.closeConnection(reason);
  }

  /** Closes the connection unless the response is complete. */
  closeConnection(reason: unknown): void {
    this.#lease?.cancel(reason instanceof Error ? reason : new Error(String(reason)));
  }

  /** Stops the timers. To be called when the response has ended or failed. */
  end(): void {
    this.#over = true;
    for (const timer of this.#timers ?? []) timer.cancel();
  }
}
