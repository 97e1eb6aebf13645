import {
  cancellationOf,
  idKey,
  idText,
  isId,
  type Notification,
  paramsOf,
  progressTokenOf,
  type Request,
  type Response,
  valueTextAt,
  withIdText,
  withValueAt,
} from '../../core/jsonrpc/message.ts';
import type { Origin } from '../../core/pipeline/call.ts';

interface OpenServerRequest {
  readonly origin: Origin;
  /** The id as the server spelled it, and as a key. */
  readonly idText: string;
  readonly idKey: string;
  /** The request as the client knows it. */
  readonly shown: Request;
  readonly release: () => void;
  readonly tokenKey: string | undefined;
}

interface Token {
  readonly origin: Origin;
  readonly text: string;
}

const TOKEN_PATH = ['params', '_meta', 'progressToken'] as const;

/**
 * What the server has asked the client and waits for. Every server counts its ids and progress
 * tokens from 0, so that with a second session on the pipe, also one that replaced the first, they
 * are exchanged for ones of our own and restored on the way back.
 */
export class ServerRequests {
  readonly #asked = new Map<string, OpenServerRequest>();
  readonly #tokens = new Map<string, Token>();
  #only: Origin | undefined;
  #several = false;
  #next = 0;

  get size(): number {
    return this.#asked.size;
  }

  /**
   * Notes a server's request; returns it as the client is to see it. `release` runs once, when
   * nobody waits any more.
   */
  admit(request: Request, origin: Origin, release: () => void): Request {
    this.#only ??= origin;
    this.#several ||= this.#only !== origin;
    const shown = this.#several ? this.#exchange(request, origin) : request;
    const key = idKey(shown.id);
    // A server that uses an id again has given the first request up.
    this.#forget(key);
    const token = progressTokenOf(shown);
    this.#asked.set(key, {
      origin,
      idText: idText(request),
      idKey: idKey(request.id),
      shown,
      release,
      tokenKey: token === undefined ? undefined : idKey(token),
    });
    return shown;
  }

  #exchange(request: Request, origin: Origin): Request {
    // An id of a server's own may look like one of ours.
    while (this.#asked.has(idKey(`proxy-${this.#next}`))) this.#next++;
    const number = this.#next++;
    const renamed = withIdText(request, JSON.stringify(`proxy-${number}`));
    const token = progressTokenOf(request);
    if (token === undefined) return renamed;
    const fresh = `proxy-${number}-progress`;
    this.#tokens.set(idKey(fresh), { origin, text: valueTextAt(request.text, TOKEN_PATH) ?? '' });
    return withValueAt(renamed, TOKEN_PATH, JSON.stringify(fresh));
  }

  #forget(key: string): OpenServerRequest | undefined {
    const asked = this.#asked.get(key);
    if (!asked) return undefined;
    this.#asked.delete(key);
    if (asked.tokenKey !== undefined) this.#tokens.delete(asked.tokenKey);
    asked.release();
    return asked;
  }

  /**
   * The client's answer, under the server's own id, and where it goes; undefined where nobody
   * asked.
   */
  answered(response: Response): { readonly origin: Origin; readonly message: Response } | undefined {
    if (response.id === undefined) return undefined;
    const asked = this.#forget(idKey(response.id));
    return asked && { origin: asked.origin, message: withIdText(response, asked.idText) };
  }

  /**
   * The server takes a request of its own back; returns the notification as the client is to see
   * it.
   */
  withdrawn(notification: Notification, origin: Origin): Notification | undefined {
    const { requestId } = paramsOf(notification);
    if (!isId(requestId)) return notification;
    for (const [key, asked] of this.#asked) {
      if (asked.origin !== origin || asked.idKey !== idKey(requestId)) continue;
      this.#forget(key);
      // Where nothing was exchanged, the server's own spelling stands there already.
      if (key === asked.idKey) return notification;
      return withValueAt(notification, ['params', 'requestId'], JSON.stringify(asked.shown.id));
    }
    // Unknown ids pass while ids are not exchanged: the client drops what it does not know.
    return this.#several ? undefined : notification;
  }

  /**
   * The session is gone: what tells the client that nobody waits for its answers to it any more.
   */
  forsaken(origin: Origin): Notification[] {
    return [...this.#asked].flatMap(([key, asked]) => {
      if (asked.origin !== origin) return [];
      this.#forget(key);
      return [cancellationOf(asked.shown, 'the session that asked is gone')];
    });
  }

  /** The client's progress on a server's request, under the server's own token. */
  progressed(notification: Notification): { readonly origin?: Origin; readonly message: Notification } {
    const { progressToken } = paramsOf(notification);
    const token = isId(progressToken) ? this.#tokens.get(idKey(progressToken)) : undefined;
    if (!token) return { message: notification };
    return {
      origin: token.origin,
      message: withValueAt(notification, ['params', 'progressToken'], token.text),
    };
  }

  releaseAll(): void {
    for (const key of [...this.#asked.keys()]) this.#forget(key);
  }
}
