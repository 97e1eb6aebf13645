import type { Call, Handler, Reply } from '../../src/core/pipeline/call.ts';
import { RESULT } from './make-call.ts';

/** One call that a held handler has begun and not ended. */
export interface Running {
  readonly call: Call;
  finish(reply?: Reply): void;
  fail(error: unknown): void;
}

/** A handler whose calls run until the test ends them, or until their signal does. */
export class HeldHandler {
  /** Every call that ever reached the handler, in order. */
  readonly begun: Call[] = [];
  readonly running: Running[] = [];

  readonly handle: Handler = (call) => {
    this.begun.push(call);
    return new Promise<Reply>((resolve, reject) => {
      const over = (): void => {
        call.signal.removeEventListener('abort', abort);
        const at = this.running.indexOf(running);
        if (at >= 0) this.running.splice(at, 1);
      };
      const running: Running = {
        call,
        finish: (reply = RESULT) => {
          over();
          resolve(reply);
        },
        fail: (error) => {
          over();
          reject(error);
        },
      };
      const abort = (): void => running.fail(call.signal.reason);
      call.signal.addEventListener('abort', abort, { once: true });
      this.running.push(running);
    });
  };

  /** Ends the longest running call. */
  finishOldest(): void {
    const [oldest] = this.running;
    if (!oldest) throw new Error('nothing runs');
    oldest.finish();
  }
}
