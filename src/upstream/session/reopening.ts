import { CallController } from '../../core/call-signal.ts';

/** An attempt to open something anew that all who ask share while it runs, and that ends when nobody can want it any more. */
export class Reopening<T> {
  readonly #closing: AbortSignal;
  #running: { readonly attempt: Promise<T>; readonly stop: CallController } | undefined;

  /** @param closing - ends every attempt. */
  constructor(closing: AbortSignal) {
    this.#closing = closing;
  }

  get running(): Promise<T> | undefined {
    return this.#running?.attempt;
  }

  /** The attempt that runs, or a new one. */
  join(open: (until: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#running) return this.#running.attempt;
    const closing = this.#closing;
    const stop = new CallController();
    const onClose = (): void => stop.abort(closing.reason);
    closing.addEventListener('abort', onClose, { once: true });
    if (closing.aborted) onClose();
    const attempt = open(stop.signal).finally(() => {
      closing.removeEventListener('abort', onClose);
      if (this.#running === running) this.#running = undefined;
    });
    const running = { attempt, stop };
    this.#running = running;
    return attempt;
  }

  /** What is being opened is not wanted any more: who asks from now on starts another attempt. */
  abandon(reason: Error): void {
    this.#running?.stop.abort(reason);
    this.#running = undefined;
  }
}
