import type { Readable } from 'node:stream';
import type { Rpc } from './mcp-answers.ts';
import { parseJson } from './scripted-server.ts';

interface Waiter {
  readonly look: () => boolean;
  readonly fail: (error: Error) => void;
}

function asMessage(line: string): Rpc | undefined {
  const value = parseJson(line);
  const isMessage =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    'jsonrpc' in value &&
    value.jsonrpc === '2.0';
  return isMessage ? (value as Rpc) : undefined;
}

/** Collects the lines of a stream, and lets callers wait for the messages among them. */
export class LineLog {
  readonly lines: string[] = [];
  readonly messages: Rpc[] = [];
  /** Lines that are no JSON-RPC message. */
  readonly strange: string[] = [];
  readonly #taken = new Set<Rpc>();
  readonly #waiters = new Set<Waiter>();
  #parts: string[] = [];
  #ended = false;

  constructor(stream: Readable) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      const [first = '', ...others] = text.split('\n');
      this.#parts.push(first);
      for (const part of others) {
        this.#add(this.#parts.join(''));
        this.#parts = [part];
      }
    });
  }

  /** The first message that matches, past or future. */
  find(predicate: (message: Rpc) => boolean): Promise<Rpc> {
    return this.#wait(() => this.messages.find(predicate));
  }

  /** The first matching message that was not taken before. */
  take(predicate: (message: Rpc) => boolean): Promise<Rpc> {
    return this.#wait(() => {
      const found = this.messages.find((message) => !this.#taken.has(message) && predicate(message));
      if (found) this.#taken.add(found);
      return found;
    });
  }

  /** No more lines will come: what is still awaited fails at once. */
  end(): void {
    const rest = this.#parts.join('');
    this.#parts = [];
    if (rest !== '') this.#add(rest);
    this.#ended = true;
    for (const waiter of this.#waiters) waiter.fail(new Error('the process ended first'));
    this.#waiters.clear();
  }

  #add(line: string): void {
    this.lines.push(line);
    const message = asMessage(line);
    if (message) this.messages.push(message);
    else this.strange.push(line);
    for (const waiter of this.#waiters) if (waiter.look()) this.#waiters.delete(waiter);
  }

  #wait(seek: () => Rpc | undefined): Promise<Rpc> {
    return new Promise((resolve, reject) => {
      const look = (): boolean => {
        const found = seek();
        if (found) resolve(found);
        return found !== undefined;
      };
      if (look()) return;
      if (this.#ended) reject(new Error('the process ended first'));
      else this.#waiters.add({ look, fail: reject });
    });
  }
}
