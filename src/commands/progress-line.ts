import type { JsonObject } from '../core/jsonrpc/message.ts';
import { cutTo, firstLine } from '../core/system/plain-text.ts';
import type { Output } from './output.ts';

const CLEAR = '\r\u001b[K';

/** One line on a terminal that is written over and over; nothing anywhere else. */
export class ProgressLine {
  readonly #output: Output;
  #shown = false;

  constructor(output: Output) {
    this.#output = output;
  }

  show(params: JsonObject): void {
    if (!this.#output.isTerminal) return;
    this.#shown = true;
    // One column is left free: a full line makes some terminals go on to the next.
    this.#output.control(CLEAR);
    this.#output.write(cutTo(progressText(params), this.#output.columns - 1));
  }

  /** Takes it away, before anything else is written. */
  clear(): void {
    if (this.#shown) this.#output.control(CLEAR);
    this.#shown = false;
  }
}

/** `3/10 Reading files`; whatever the server left out is left out. */
export function progressText({ progress, total, message }: JsonObject): string {
  const far = typeof progress === 'number' ? String(progress) : '';
  const count = far !== '' && typeof total === 'number' ? `${far}/${total}` : far;
  return [count, typeof message === 'string' ? firstLine(message) : ''].filter(Boolean).join(' ');
}
