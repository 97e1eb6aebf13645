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

interface ReplacedToken {
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
  readonly #open = new Map<string, OpenServerRequest>();
  readonly #tokens = new Map<string, ReplacedToken>();
  #firstOrigin: Origin | undefined;
  #hasSeveralOrigins = false;
  #next = 0;

  get size(): number {
    return this.#open.size;
  }

  /**
   * Notes a server's request; returns it as the client is to see it. `release` runs once, when
   * nobody waits any more.
   */
  admit(request: Request, origin: Origin, release: () => void): Request {
    this.#firstOrigin ??= origin;
    this.#hasSeveralOrigins ||= this.#firstOrigin !== origin;
    const shown = this.#hasSeveralOrigins ? this.#replaceIds(request, origin) : request;
    const key = idKey(shown.id);
    // A server that uses an id again has given the first request up.
    this.#forget(key);
    const token = progressTokenOf(shown);
    this.#open.set(key, {
      origin,
      idText: idText(request),
      idKey: idKey(request.id),
      shown,
      release,
      tokenKey: token === undefined ? undefined : idKey(token),
    });
    return shown;
  }

  #replaceIds(request: Request, origin: Origin): Request {
    // An id of a server's own may look like one of ours.
    while (this.#open.has(idKey(`proxy-${this.#next}`))) this.#next++;
    const number = this.#next++;
    const renamed = withIdText(request, JSON.stringify(`proxy-${number}`));
    const token = progressTokenOf(request);
    if (token === undefined) return renamed;
    const fresh = `proxy-${number}-progress`;
    this.#tokens.set(idKey(fresh), { origin, text: valueTextAt(request.text, TOKEN_PATH) ?? '' });
    return withValueAt(renamed, TOKEN_PATH, JSON.stringify(fresh));
  }

  #forget(key: string): OpenServerRequest | undefined {
    const open = this.#open.get(key);
    if (!open) return undefined;
    this.#open.delete(key);
    if (open.tokenKey !== undefined) this.#tokens.delete(open.tokenKey);
    open.release();
    return open;
  }

  /**
   * The client's answer, under the server's own id, and where it goes; undefined where nobody
   * asked.
   */
  takeAnswer(response: Response): { readonly origin: Origin; readonly message: Response } | undefined {
    if (response.id === undefined) return undefined;
    const open = this.#forget(idKey(response.id));
    return open && { origin: open.origin, message: withIdText(response, open.idText) };
  }

  /**
   * The server takes a request of its own back; returns the notification as the client is to see
   * it.
   */
  cancel(notification: Notification, origin: Origin): Notification | undefined {
    const { requestId } = paramsOf(notification);
    if (!isId(requestId)) return notification;
    for (const [key, open] of this.#open) {
      if (open.origin !== origin || open.idKey !== idKey(requestId)) continue;
      this.#forget(key);
      // Where nothing was exchanged, the server's own spelling stands there already.
      if (key === open.idKey) return notification;
      return withValueAt(notification, ['params', 'requestId'], JSON.stringify(open.shown.id));
    }
    // Unknown ids pass while ids are not exchanged: the client drops what it does not know.
    return this.#hasSeveralOrigins ? undefined : notification;
  }

  /**
   * The session is gone: what tells the client that nobody waits for its answers to it any more.
   */
  takeOrphans(origin: Origin): Notification[] {
    return [...this.#open].flatMap(([key, open]) => {
      if (open.origin !== origin) return [];
      this.#forget(key);
      return [cancellationOf(open.shown, 'the session that asked is gone')];
    });
  }

  /** The client's progress on a server's request, under the server's own token. */
  restoreProgressToken(notification: Notification): {
    readonly origin?: Origin;
    readonly message: Notification;
  } {
    const { progressToken } = paramsOf(notification);
    const token = isId(progressToken) ? this.#tokens.get(idKey(progressToken)) : undefined;
    if (!token) return { message: notification };
    return {
      origin: token.origin,
      message: withValueAt(notification, ['params', 'progressToken'], token.text),
    };
  }

  releaseAll(): void {
    for (const key of [...this.#open.keys()]) this.#forget(key);
  }
}
