import type { JsonObject } from '../core/jsonrpc/message.ts';
import { firstLine, truncate } from '../core/system/plain-text.ts';
import type { Output } from './output.ts';

const CLEAR = '\r\u001b[K';

/** One line on a terminal that each progress notification overwrites. Pipes get nothing. */
export class ProgressLine {
  readonly #output: Output;
  #shown = false;

  constructor(output: Output) {
    this.#output = output;
  }

  show(params: JsonObject): void {
    if (!this.#output.isTerminal) return;
    this.#shown = true;
    // One column stays free: some terminals wrap after a full line.
    this.#output.control(CLEAR);
    this.#output.write(truncate(progressText(params), this.#output.columns - 1));
  }

  /** Clears the line. Call it before any other output. */
  clear(): void {
    if (this.#shown) this.#output.control(CLEAR);
    this.#shown = false;
  }
}

/** For example `3/10 Reading files`; fields that the server left out are omitted. */
export function progressText({ progress, total, message }: JsonObject): string {
  const current = typeof progress === 'number' ? String(progress) : '';
  const count = current !== '' && typeof total === 'number' ? `${current}/${total}` : current;
  return [count, typeof message === 'string' ? firstLine(message) : ''].filter(Boolean).join(' ');
}
