import type { LimitStore, StoreDeps } from '../limits/store.ts';
import type { LimitOperation, SendMessage, ToPrimary, ToWorker } from './messages.ts';

type LimitMessage = Extract<ToWorker, { readonly type: 'limit.result' | 'limit.free' }>;

/** The shared limits of the primary process, as a worker uses them. */
export class LimitClient {
  readonly #send: SendMessage<ToPrimary>;
  /** Operations without a result. `StoreLink` bounds their number and their waits. */
  readonly #waiting = new Map<number, (value: unknown) => void>();
  #deps: StoreDeps | undefined;
  #next = 0;

  constructor(send: SendMessage<ToPrimary>) {
    this.#send = send;
  }

  receive(message: LimitMessage): void {
    if (message.type === 'limit.free') {
      this.#deps?.onFree(message.key);
      return;
    }
    const settle = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    settle?.(message.value);
  }

  /** The store behind `SharedLimits`. */
  readonly open = (deps: StoreDeps): LimitStore => {
    this.#deps = deps;
    return {
      connected: async () => undefined,
      rate: (...args) => this.#run('rate', args),
      enter: (...args) => this.#run('enter', args),
      release: (...args) => this.#run('release', args),
      renew: (...args) => this.#run('renew', args),
      quit: (...args) => this.#run('quit', args),
      beat: (...args) => this.#run('beat', args),
      probe: (...args) => this.#run('probe', args),
      close: () => this.#waiting.clear(),
    };
  };

  #run<T>(operation: LimitOperation, args: readonly unknown[]): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      // The primary process runs the operation of this name, which returns that type.
      this.#waiting.set(id, (value) => resolve(value as T));
      if (this.#send({ type: 'limit.run', id, operation, args })) return;
      this.#waiting.delete(id);
      reject(new Error('the primary process has ended'));
    });
  }
}
