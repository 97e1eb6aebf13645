import { createInterface, type Interface } from 'node:readline/promises';
import type { Output } from './output.ts';

export interface QuestionsDeps {
  readonly stdin: NodeJS.ReadableStream;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Questions to a person at a terminal. */
export class Questions {
  readonly #output: Output;
  readonly #signal: AbortSignal;
  readonly #lines: Interface;
  readonly #iterator: AsyncIterator<string>;

  constructor({ stdin, output, signal }: QuestionsDeps) {
    this.#output = output;
    this.#signal = signal;
    // Without `output` the terminal itself echoes and edits the line, and Ctrl-C stays a signal.
    this.#lines = createInterface({ input: stdin, terminal: false });
    this.#iterator = this.#lines[Symbol.asyncIterator]();
    signal.addEventListener('abort', () => this.close(), { once: true });
  }

  show(text: string): void {
    this.#output.write(`${text}\n`);
  }

  /** Asks for a text; an empty answer is the fallback. @throws the signal's reason on abort. */
  async ask(question: string, fallback: string): Promise<string> {
    this.#output.write(`${question}${fallback === '' ? '' : ` [${fallback}]`}: `);
    const { value, done } = await this.#iterator.next();
    this.#signal.throwIfAborted();
    if (done) throw new Error('stdin ended before all questions were answered');
    return value.trim() || fallback;
  }

  /** Asks until the answer is yes or no. */
  async confirm(question: string, fallback: boolean): Promise<boolean> {
    for (;;) {
      const answer = (await this.ask(`${question} (y/n)`, fallback ? 'y' : 'n')).toLowerCase();
      if (['y', 'yes'].includes(answer)) return true;
      if (['n', 'no'].includes(answer)) return false;
    }
  }

  close(): void {
    this.#lines.close();
  }
}
