import {
  type Id,
  idKey,
  idText,
  type Request,
  type Response,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import type { HttpFacts, Reply } from '../../core/pipeline/call.ts';
import { withOneLineText } from '../transport/answer.ts';

interface PendingResponse {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The pending answers of one POST: one for a request, several for a batch, none for notifications.
 * Each settles once.
 */
export class PendingResponses {
  readonly #pending = new Map<string, PendingResponse>();
  /** Ids of abandoned requests; bounded by the posted ones. */
  readonly #abandoned = new Set<string>();

  get size(): number {
    return this.#pending.size;
  }

  /** The request of a POST that carried one; undefined where that has its answer. */
  get only(): Request | undefined {
    for (const { request } of this.#pending.values()) return request;
    return undefined;
  }

  get requests(): readonly Request[] {
    return [...this.#pending.values()].map(({ request }) => request);
  }

  /** The promise always settles, once. */
  expect(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#pending.set(idKey(request.id), { request, resolve, reject });
    });
  }

  has(id: Id): boolean {
    return this.#pending.has(idKey(id));
  }

  /** Settles a request, with the id as its client spelled it. */
  answer(id: Id, response: Response, http: HttpFacts | undefined): void {
    const pending = this.#take(id);
    if (!pending) return;
    const wanted = idText(pending.request);
    const same =
      response.id === pending.request.id &&
      (typeof response.id === 'string' || isExactId(response.id, wanted));
    const message = withOneLineText(same ? response : withIdText(response, wanted));
    pending.resolve({ kind: 'answer', message, ...(http ? { http } : {}) });
  }

  fail(id: Id, error: unknown): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: unknown): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  /** Abandons a request; its late answer is still recognized. */
  abandon(id: Id, reason: unknown): void {
    this.fail(id, reason);
    this.#abandoned.add(idKey(id));
  }

  wasAbandoned(id: Id): boolean {
    return this.#abandoned.has(idKey(id));
  }

  #take(id: Id): PendingResponse | undefined {
    const key = idKey(id);
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    return pending;
  }
}

/** Integers beyond 2^53 are equal only if their texts are. */
const isExactId = (id: number, text: string): boolean => Number.isSafeInteger(id) && String(id) === text;
