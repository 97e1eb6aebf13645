/**
 * An abort controller for calls. Node's own costs 2 µs per signal and 1 µs per listener, a tenth of
 * the proxy's work for a call, and warns on stderr from the eleventh listener on.
 */
export class CallController {
  readonly #signal = new CallSignal();

  get signal(): AbortSignal {
    return this.#signal;
  }

  abort(reason: unknown): void {
    this.#signal.abort(reason);
  }
}

/** Shared by the signals without a listener. */
const NONE: AbortListener[] = [];
const FEW = 4;

type AbortListener = NonNullable<Parameters<AbortSignal['addEventListener']>[1]>;

/**
 * For code that reads `aborted` and `reason` or adds listeners. Platform functions (fetch,
 * AbortSignal.any) need a real AbortSignal.
 */
class CallSignal implements AbortSignal {
  /**
   * A few at most, or, on a signal that several calls share, as many as wait there: looked through
   * one by one. A Set would make itself a new table whenever its last entry leaves, and the old
   * ones outlive their call.
   */
  #listeners: AbortListener[] = NONE;
  #aborted = false;
  #reason: unknown;

  /**
   * No field: to define one took V8 a slow path and left almost 1 KB behind for each signal, until
   * a full collection.
   */
  get onabort(): null {
    return null;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  addEventListener(type: string, listener: AbortListener | null): void {
    if (type !== 'abort' || !listener || this.#aborted || this.#listeners.includes(listener)) return;
    // An array that is pushed to gets seventeen places; a call has three listeners.
    if (this.#listeners.length < FEW) this.#listeners = this.#listeners.concat([listener]);
    else this.#listeners.push(listener);
  }

  removeEventListener(type: string, listener: AbortListener | null): void {
    if (type !== 'abort' || !listener) return;
    const at = this.#listeners.indexOf(listener);
    if (at < 0) return;
    if (this.#listeners.length === 1) this.#listeners = NONE;
    else this.#listeners.splice(at, 1);
  }

  dispatchEvent(): boolean {
    throw new TypeError('a signal is aborted by its controller');
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const event = new Event('abort');
    // A listener that an earlier one removes is not called, as with any event target.
    for (let listener = this.#listeners.shift(); listener; listener = this.#listeners.shift()) {
      try {
        if (typeof listener === 'function') listener.call(this, event);
        else listener.handleEvent(event);
      } catch (error) {
        // One failing listener must not stop the others.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
