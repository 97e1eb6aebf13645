import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../core/time/clock.ts';
import type { ActiveRequests } from './active-requests.ts';
import { errorBody, type HttpRefusal } from './admission.ts';
import { responseText, unreadableRefusal } from './bad-request.ts';
import { discard } from './body.ts';
import { corsHeaders } from './headers.ts';
import type { Caller } from './route.ts';

/** Time for a client to finish a rejected request, and to read the last response. */
export const CLOSE_MS = 2_000;

/** A rejected request, or bytes that are not a request. */
export interface RefusedRequest {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  readonly address: string;
  /** The name of the token that it presented. */
  readonly token: string | undefined;
}

export interface OwnResponsesDeps {
  readonly active: ActiveRequests;
  readonly clock: Clock;
  readonly maxHeaderBytes: number;
  readonly onRefused: (refused: RefusedRequest) => void;
}

/** Sends the responses of the listener itself, which no handler answers. */
export class OwnResponses {
  readonly #deps: OwnResponsesDeps;

  constructor(deps: OwnResponsesDeps) {
    this.#deps = deps;
  }

  send(request: IncomingMessage, response: ServerResponse, text = ''): void {
    const { active } = this.#deps;
    if (response.socket) response.once('close', () => active.markIdle(request.socket));
    else active.track(request, response);
    response.end(text);
    if (!request.complete) discard(request);
  }

  /** Refuses the request. It is the last one on its connection. */
  refuse(
    request: IncomingMessage,
    response: ServerResponse,
    { status, headers, error }: HttpRefusal,
    { address, token }: Pick<Caller, 'address' | 'token'>,
  ): void {
    const { active, onRefused } = this.#deps;
    onRefused({ status, reason: error.reason, message: error.message, address, token });
    const body = errorBody(error);
    const { origin } = request.headers;
    const readable = status === 403 ? {} : corsHeaders(origin);
    active.markLast(request, response);
    response.writeHead(status, { ...body.headers, ...headers, ...readable });
    this.#sendLast(request, response, body.text);
  }

  /**
   * Sends the last response on a connection. Closing with unread bytes would reset it and lose the
   * response, so a client that is still sending gets a moment.
   */
  #sendLast(request: IncomingMessage, response: ServerResponse, text: string): void {
    const { active, clock } = this.#deps;
    // With `Expect: 100-continue` the client has not sent the body.
    if (request.complete || request.headers.expect !== undefined) {
      this.send(request, response, text);
      return;
    }
    if (!response.socket) active.track(request, response);
    response.write(text);
    const end = (): void => {
      late.cancel();
      response.end();
    };
    const late = clock.schedule(CLOSE_MS, end, { keepAlive: false });
    request.once('end', end);
    request.once('close', end);
    discard(request);
  }

  /** Refuses bytes that Node's parser rejected. */
  refuseUnparsable(code: string | undefined, socket: Socket, address: string): void {
    const { active, clock, maxHeaderBytes, onRefused } = this.#deps;
    if (code === 'ECONNRESET' || !socket.writable || active.isMidResponse(socket)) {
      socket.destroy();
      return;
    }
    const refusal = unreadableRefusal(code, maxHeaderBytes);
    const { reason, message } = refusal.error;
    onRefused({ status: refusal.status, reason, message, address, token: undefined });
    socket.end(responseText(refusal));
    // Node sets no time limit for a half-closed socket.
    clock.schedule(CLOSE_MS, () => socket.destroy(), { keepAlive: false });
  }
}
