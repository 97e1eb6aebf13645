import { type Id, idText, type Request, type Response, withIdText } from '../../core/jsonrpc/message.ts';
import type { HttpFacts, Reply } from '../../core/pipeline/call.ts';
import { withOneLineText } from '../transport/answer.ts';

/** Observes one request. An object, because a promise more would live as long as the request. */
export interface SettlementObserver {
  /** Called once, when the request has its answer or its error. */
  onSettled(): void;
}

/** A request of a POST that has no answer yet. */
class PendingResponse {
  readonly request: Request;
  next: PendingResponse | undefined = undefined;
  readonly #resolve: (reply: Reply) => void;
  readonly #reject: (error: unknown) => void;
  readonly #observer: SettlementObserver | undefined;

  constructor(
    request: Request,
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
    observer: SettlementObserver | undefined,
  ) {
    this.request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#observer = observer;
  }

  resolve(reply: Reply): void {
    this.#resolve(reply);
    this.#observer?.onSettled();
  }

  reject(error: unknown): void {
    this.#reject(error);
    this.#observer?.onSettled();
  }
}

/**
 * The pending answers of one POST: one for a request, several for a batch, none for notifications.
 * Each settles once. Almost always one, and a batch is bounded: no table and no array, which each
 * waiting call would pay for.
 */
export class PendingResponses {
  #first: PendingResponse | undefined;
  #size = 0;
  /** Ids of abandoned requests; bounded by the posted ones. */
  #abandoned: Id[] | undefined;

  get size(): number {
    return this.#size;
  }

  /** The request of a POST that carried one; undefined where that has its answer. */
  get only(): Request | undefined {
    return this.#first?.request;
  }

  get requests(): readonly Request[] {
    return [...this.#entries()].map(({ request }) => request);
  }

  *#entries(): IterableIterator<PendingResponse> {
    for (let pending = this.#first; pending; pending = pending.next) yield pending;
  }

  /** The promise always settles, once. */
  expect(request: Request, observer?: SettlementObserver): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const added = new PendingResponse(request, resolve, reject, observer);
      this.#size++;
      let last = this.#first;
      while (last?.next) last = last.next;
      if (last) last.next = added;
      else this.#first = added;
    });
  }

  has(id: Id): boolean {
    return this.#find(id) !== undefined;
  }

  #find(id: Id): PendingResponse | undefined {
    let pending = this.#first;
    while (pending && pending.request.id !== id) pending = pending.next;
    return pending;
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
    const failed = [...this.#entries()];
    this.#first = undefined;
    this.#size = 0;
    for (const pending of failed) pending.reject(error);
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
    const taken = this.#find(id);
    if (!taken) return undefined;
    this.#size--;
    if (taken === this.#first) this.#first = taken.next;
    else {
      let before = this.#first;
      while (before && before.next !== taken) before = before.next;
      if (before) before.next = taken.next;
    }
    return taken;
  }
}

/** Integers beyond 2^53 are equal only if their texts are. */
const isExactId = (id: number, text: string): boolean => Number.isSafeInteger(id) && String(id) === text;
