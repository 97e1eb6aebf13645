import { plainJson, plainText } from '../core/system/plain-text.ts';

export interface OutputOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly columns: number;
  /** True: nobody but a person reads it, wherever it goes, as with stderr. */
  readonly forPeople?: boolean;
}

/**
 * Where a command's output goes. Everything that a command prints passes through here, and here
 * alone it is cleaned.
 */
export class Output {
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly #write: (text: string) => void;
  readonly #cleans: boolean;

  constructor({ write, isTerminal, columns, forPeople = false }: OutputOptions) {
    this.isTerminal = isTerminal;
    this.columns = columns;
    this.#write = write;
    this.#cleans = isTerminal || forPeople;
  }

  /** Writes text: for a person without control characters, for a program as it is. */
  write(text: string): void {
    this.#write(this.#cleans ? plainText(text) : text);
  }

  /** Writes a JSON document: its value is the same for a person and a program. */
  json(text: string): void {
    this.#write(this.#cleans ? plainJson(text) : text);
  }

  /**
   * Writes a control sequence of the program's own, such as a colour: never text from elsewhere.
   */
  control(sequence: string): void {
    this.#write(sequence);
  }
}
