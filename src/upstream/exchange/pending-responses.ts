import { type Id, idText, type Request, type Response, withIdText } from '../../core/jsonrpc/message.ts';
import type { HttpFacts, Reply } from '../../core/pipeline/call.ts';
import { withOneLineText } from '../transport/answer.ts';

/** A request of a POST that has no answer yet. */
class PendingResponse {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;

  constructor(request: Request, resolve: (reply: Reply) => void, reject: (error: unknown) => void) {
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/**
 * The pending answers of one POST: one for a request, several for a batch, none for notifications.
 * Each settles once. Almost always one, and a batch is bounded: no table, which each waiting call
 * would pay for.
 */
export class PendingResponses {
  #pending: PendingResponse[] = NONE;
  /** Ids of abandoned requests; bounded by the posted ones. */
  #abandoned: Id[] | undefined;

  get size(): number {
    return this.#pending.length;
  }

  /** The request of a POST that carried one; undefined where that has its answer. */
  get only(): Request | undefined {
    return this.#pending[0]?.request;
  }

  get requests(): readonly Request[] {
    return this.#pending.map(({ request }) => request);
  }

  /** The promise always settles, once. */
  expect(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const pending = new PendingResponse(request, resolve, reject);
      if (this.#pending === NONE) this.#pending = [pending];
      else this.#pending.push(pending);
    });
  }

  has(id: Id): boolean {
    return this.#pending.some(({ request }) => request.id === id);
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
    pending.resolve(http ? { kind: 'answer', message, http } : { kind: 'answer', message });
  }

  fail(id: Id, error: unknown): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: unknown): void {
    const failed = this.#pending;
    this.#pending = NONE;
    for (const { reject } of failed) reject(error);
  }

  /** Abandons a request; its late answer is still recognized. */
  abandon(id: Id, reason: unknown): void {
    this.fail(id, reason);
    this.#abandoned ??= [];
    if (!this.#abandoned.includes(id)) this.#abandoned.push(id);
  }

  wasAbandoned(id: Id): boolean {
    return this.#abandoned?.includes(id) ?? false;
  }

  #take(id: Id): PendingResponse | undefined {
    const at = this.#pending.findIndex(({ request }) => request.id === id);
    if (at < 0) return undefined;
    const pending = this.#pending[at];
    if (this.#pending.length === 1) this.#pending = NONE;
    else this.#pending.splice(at, 1);
    return pending;
  }
}

/** Shared, and never written: an empty array of each would grow to seventeen places. */
const NONE: PendingResponse[] = [];

/** Integers beyond 2^53 are equal only if their texts are. */
const isExactId = (id: number, text: string): boolean => Number.isSafeInteger(id) && String(id) === text;
