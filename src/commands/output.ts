import { plainJson, plainText } from '../core/system/plain-text.ts';

export interface OutputOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly columns: number;
  /** True if only people read the output, even in a file or pipe, as with stderr. */
  readonly forPeople?: boolean;
  /** True if notes and progress are not wanted. */
  readonly quiet?: boolean;
}

/** The output of a command. Only here control characters are removed, from everything printed. */
export class Output {
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly quiet: boolean;
  readonly #write: (text: string) => void;
  readonly #cleans: boolean;

  constructor({ write, isTerminal, columns, forPeople = false, quiet = false }: OutputOptions) {
    this.quiet = quiet;
    this.isTerminal = isTerminal;
    this.columns = columns;
    this.#write = write;
    this.#cleans = isTerminal || forPeople;
  }

  /** Writes text: without control characters for people, unchanged for programs. */
  write(text: string): void {
    this.#write(this.#cleans ? plainText(text) : text);
  }

  /** Writes text that only explains; nothing with --quiet. */
  note(text: string): void {
    if (!this.quiet) this.write(text);
  }

  /** Writes a JSON document; for people, control characters are escaped. */
  json(text: string): void {
    this.#write(this.#cleans ? plainJson(text) : text);
  }

  /** Writes a control sequence of this program, such as a colour; never text of a server. */
  control(sequence: string): void {
    this.#write(sequence);
  }
}
