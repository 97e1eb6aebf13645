import {
  type Id,
  idKey,
  idText,
  type Request,
  type Response,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import type { HttpFacts, Reply } from '../../core/pipeline/call.ts';
import { onOneLine } from '../transport/answer.ts';

interface Owed {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The answers that one POST owes: one for a request, several for a batch, none for notifications.
 * Each is given once.
 */
export class PendingResponses {
  readonly #owed = new Map<string, Owed>();
  /** No more than were posted. */
  readonly #abandoned = new Set<string>();

  get size(): number {
    return this.#owed.size;
  }

  /** The request of a POST that carried one; undefined where that has its answer. */
  get only(): Request | undefined {
    for (const { request } of this.#owed.values()) return request;
    return undefined;
  }

  get requests(): readonly Request[] {
    return [...this.#owed.values()].map(({ request }) => request);
  }

  /** The promise settles once, whatever happens. */
  expect(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#owed.set(idKey(request.id), { request, resolve, reject });
    });
  }

  has(id: Id): boolean {
    return this.#owed.has(idKey(id));
  }

  /**
   * Answers a request under its own id: as its client wrote it, where the server's spelling
   * differs.
   */
  answer(id: Id, response: Response, http: HttpFacts | undefined): void {
    const owed = this.#take(id);
    if (!owed) return;
    const wanted = idText(owed.request);
    const same =
      response.id === owed.request.id && (typeof response.id === 'string' || exact(response.id, wanted));
    const message = onOneLine(same ? response : withIdText(response, wanted));
    owed.resolve({ kind: 'answer', message, ...(http ? { http } : {}) });
  }

  fail(id: Id, error: unknown): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: unknown): void {
    for (const { reject } of this.#owed.values()) reject(error);
    this.#owed.clear();
  }

  /** Nobody waits for this answer any more; should it still come, it is known. */
  abandon(id: Id, reason: unknown): void {
    this.fail(id, reason);
    this.#abandoned.add(idKey(id));
  }

  wasAbandoned(id: Id): boolean {
    return this.#abandoned.has(idKey(id));
  }

  #take(id: Id): Owed | undefined {
    const key = idKey(id);
    const owed = this.#owed.get(key);
    this.#owed.delete(key);
    return owed;
  }
}

/** A double keeps an integer up to 2^53; beyond that, only the text tells two ids apart. */
const exact = (id: number, text: string): boolean => Number.isSafeInteger(id) && String(id) === text;
