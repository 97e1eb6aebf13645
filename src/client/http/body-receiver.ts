import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { withoutByteOrderMark } from '../../core/jsonrpc/message.ts';
import { parseError } from '../../core/jsonrpc/parse.ts';
import { bodyTooLarge, type HttpRefusal, listenerFull } from './admission.ts';
import { type ReadBody, readBody, takeWhole } from './body.ts';
import type { ServerExchange } from './exchange.ts';
import { boundedBody } from './given-body.ts';
import { HeldBodies, type HeldBody } from './held-bodies.ts';
import { shareOfCaller } from './request-head.ts';
import { waitForTurn } from './turns.ts';

/** Where a body is counted; released by the caller. */
export interface BodySlot {
  body: HeldBody | undefined;
}

export interface BodyReceiverOptions {
  readonly maxClients: number;
  readonly maxBodyBytes: number;
  /** Whether `Expect: 100-continue` is answered here. */
  readonly continues: boolean;
}

/** Receives the bodies of requests, in memory that all of them share. */
export class BodyReceiver {
  readonly #options: BodyReceiverOptions;
  readonly #held: HeldBodies;

  constructor(options: BodyReceiverOptions) {
    this.#options = options;
    this.#held = new HeldBodies(options.maxClients);
  }

  /**
   * The text of a short body that came together with its head, or its refusal; undefined where
   * `receive` is needed. To be called in the next turn of the event loop.
   */
  take(request: IncomingMessage, response: ServerResponse): string | HttpRefusal | undefined {
    if (!response.socket || request.headers.expect !== undefined) return undefined;
    const bytes = takeWhole(request, Math.min(this.#options.maxBodyBytes, this.#held.exemptBytes));
    return bytes && this.#textOf({ bytes });
  }

  /**
   * The body of a request whose turn it is, or its refusal; undefined where the client has gone.
   * @param given - the body, where the program has read it.
   */
  async receive(
    request: IncomingMessage,
    response: ServerResponse,
    exchange: ServerExchange,
    slot: BodySlot,
    given: Buffer | undefined,
  ): Promise<string | HttpRefusal | undefined> {
    const { maxBodyBytes, continues } = this.#options;
    // HTTP/1.0 clients would read 100 as the final response (RFC 9110, 15.2).
    if (continues && request.headers.expect !== undefined && request.httpVersion !== '1.0')
      response.writeContinue();
    const read = given ? boundedBody(given, maxBodyBytes) : await this.#read(request, exchange, slot);
    const text = this.#textOf(read);
    if (typeof text !== 'string') return text;
    return (await waitForTurn(response, exchange)) ? text : undefined;
  }

  #read(request: IncomingMessage, exchange: ServerExchange, slot: BodySlot): Promise<ReadBody> {
    const share = shareOfCaller(exchange.caller, exchange.headers['mcp-session-id']);
    const owner = { caller: share.group, session: share.member };
    return readBody(request, this.#options.maxBodyBytes, { held: this.#held, owner }, (opened) => {
      slot.body = opened;
    });
  }

  #textOf(body: ReadBody): string | HttpRefusal | undefined {
    if (body === 'gone') return undefined;
    if (body === 'too-large') return bodyTooLarge(this.#options.maxBodyBytes);
    if (body === 'no-room') return listenerFull('The bodies of requests fill the memory set aside for them.');
    if (!isUtf8(body.bytes)) return { status: 400, headers: {}, error: parseError('it is not UTF-8') };
    return withoutByteOrderMark(body.bytes.toString('utf8'));
  }
}
