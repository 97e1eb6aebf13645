import type { Message } from '../../core/jsonrpc/message.ts';
import type { Call, Origin } from '../../core/pipeline/call.ts';
import type { ExchangeClient } from '../exchange/exchange.ts';

/** Passes a message of the server on to the client of a call. */
export interface CallEmitter {
  emitTo(receiver: Call, message: Message, origin: Origin): Promise<void>;
}

/** The client of one call. An object takes the place of closures: thousands of calls may wait. */
export class CallClient implements ExchangeClient {
  readonly #session: CallEmitter;
  readonly #call: Call;

  constructor(session: CallEmitter, call: Call) {
    this.#session = session;
    this.#call = call;
  }

  emit(message: Message, origin: Origin): Promise<void> {
    return this.#session.emitTo(this.receiver, message, origin);
  }

  room(): Promise<void> | undefined {
    return this.#call.room?.();
  }

  get onEventId(): ExchangeClient['onEventId'] {
    return this.#call.sendOptions?.onResumptionToken;
  }

  get replays(): boolean {
    return this.#call.sendOptions?.resumptionToken !== undefined;
  }

  protected get receiver(): Call {
    return this.#call;
  }
}

/** The client of a batch. Its first call may be cancelled; the others still need their messages. */
export class BatchClient extends CallClient {
  readonly #calls: readonly Call[];

  constructor(session: CallEmitter, first: Call, calls: readonly Call[]) {
    super(session, first);
    this.#calls = calls;
  }

  protected override get receiver(): Call {
    return this.#calls.find(({ signal }) => !signal.aborted) ?? super.receiver;
  }
}
