import {
  cancellationOfId,
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
  /** The server's id, as text and as key. */
  readonly idText: string;
  readonly idKey: string;
  /** The id as sent to the client. The request itself may be megabytes long, and is not kept. */
  readonly shownId: string;
  readonly characters: number;
  readonly release: () => void;
  readonly tokenKey: string | undefined;
}

interface ReplacedToken {
  readonly origin: Origin;
  readonly text: string;
}

const TOKEN_PATH = ['params', '_meta', 'progressToken'] as const;

/**
 * Open requests of servers to the client. Every server counts ids and progress tokens from 0, so
 * with a second session they are replaced by unique ones and restored in the answers.
 */
export class ServerRequests {
  readonly #open = new Map<string, OpenServerRequest>();
  readonly #tokens = new Map<string, ReplacedToken>();
  #firstOrigin: Origin | undefined;
  #hasSeveralOrigins = false;
  #characters = 0;
  #next = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Characters of the ids and tokens that are kept. */
  get characters(): number {
    return this.#characters;
  }

  /**
   * Registers a server request. `release` runs once, when it is answered or dropped.
   * @returns the request to send to the client.
   */
  admit(request: Request, origin: Origin, release: () => void): Request {
    this.#firstOrigin ??= origin;
    this.#hasSeveralOrigins ||= this.#firstOrigin !== origin;
    const shown = this.#hasSeveralOrigins ? this.#replaceIds(request, origin) : request;
    const key = idKey(shown.id);
    // A reused id means that the server has dropped the first request.
    this.#forget(key);
    const token = progressTokenOf(shown);
    const shownId = idText(shown);
    const theirs = idText(request);
    const opened = {
      origin,
      idText: theirs,
      idKey: idKey(request.id),
      shownId,
      // Each is also a key of a map.
      characters: 2 * (theirs.length + shownId.length + (token === undefined ? 0 : String(token).length)),
      release,
      tokenKey: token === undefined ? undefined : idKey(token),
    };
    this.#open.set(key, opened);
    this.#characters += opened.characters;
    return shown;
  }

  #replaceIds(request: Request, origin: Origin): Request {
    // A server's id may look like one of the proxy's.
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
    this.#characters -= open.characters;
    if (open.tokenKey !== undefined) this.#tokens.delete(open.tokenKey);
    open.release();
    return open;
  }

  /**
   * Returns the client's answer under the server's id, and its origin; undefined where no request
   * matches.
   */
  takeAnswer(response: Response): { readonly origin: Origin; readonly message: Response } | undefined {
    if (response.id === undefined) return undefined;
    const open = this.#forget(idKey(response.id));
    return open && { origin: open.origin, message: withIdText(response, open.idText) };
  }

  /** The server cancels its own request. @returns the notification to send to the client. */
  cancel(notification: Notification, origin: Origin): Notification | undefined {
    const { requestId } = paramsOf(notification);
    if (!isId(requestId)) return notification;
    for (const [key, open] of this.#open) {
      if (open.origin !== origin || open.idKey !== idKey(requestId)) continue;
      this.#forget(key);
      // The id was not replaced.
      if (key === open.idKey) return notification;
      return withValueAt(notification, ['params', 'requestId'], open.shownId);
    }
    // Unknown ids pass while no id is replaced: clients ignore them.
    return this.#hasSeveralOrigins ? undefined : notification;
  }

  /** Removes the requests of a session that is gone, and returns their cancellations. */
  takeOrphans(origin: Origin): Notification[] {
    return [...this.#open].flatMap(([key, open]) => {
      if (open.origin !== origin) return [];
      this.#forget(key);
      return [cancellationOfId(open.shownId, 'the session that asked is gone')];
    });
  }

  /** Restores the server's token in the client's progress notification. */
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
