import type { JsonObject } from '../core/jsonrpc/message.ts';
import { firstLine, truncate } from '../core/system/plain-text.ts';
import { type Clock, systemClock, type Timer } from '../core/time/clock.ts';
import type { Output } from './output.ts';

const CLEAR = '\r\u001b[K';
/** A person who waits longer wants to know for what. */
const SHOW_AFTER_MS = 1_000;

/**
 * One line on a terminal: what the command waits for after a second, or the last progress
 * notification. Pipes get nothing.
 */
export class ProgressLine {
  readonly #output: Output;
  readonly #clock: Clock;
  #shown = false;
  #timer: Timer | undefined;

  constructor(output: Output, clock: Clock = systemClock) {
    this.#output = output;
    this.#clock = clock;
  }

  /** Shows progress, which replaces the text about the wait. */
  show(params: JsonObject): void {
    this.#stopTimer();
    this.#draw(progressText(params));
  }

  /** Shows each second what the work waits for, until the work settles or reports progress. */
  async during<T>(awaited: string, work: Promise<T>): Promise<T> {
    if (!this.#isWanted) return work;
    this.#stopTimer();
    const since = this.#clock.monotonic();
    let isDrawn = false;
    const tick = (): void => {
      isDrawn = true;
      const seconds = Math.round((this.#clock.monotonic() - since) / 1_000);
      this.#draw(`waiting for ${awaited} (${seconds} s)`);
      this.#timer = this.#clock.schedule(SHOW_AFTER_MS, tick, { keepAlive: false });
    };
    this.#timer = this.#clock.schedule(SHOW_AFTER_MS, tick, { keepAlive: false });
    try {
      return await work;
    } finally {
      this.#stopTimer();
      // Progress that the server reported stays until the next output.
      if (isDrawn) this.clear();
    }
  }

  /** Clears the line. Call it before any other output. */
  clear(): void {
    this.#stopTimer();
    if (this.#shown) this.#output.control(CLEAR);
    this.#shown = false;
  }

  get #isWanted(): boolean {
    return this.#output.isTerminal && !this.#output.quiet;
  }

  #draw(text: string): void {
    if (!this.#isWanted) return;
    this.#shown = true;
    // One column stays free: some terminals wrap after a full line.
    this.#output.control(CLEAR);
    this.#output.write(truncate(text, this.#output.columns - 1));
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

/** For example `3/10 Reading files`; fields that the server left out are omitted. */
export function progressText({ progress, total, message }: JsonObject): string {
  const current = typeof progress === 'number' ? String(progress) : '';
  const count = current !== '' && typeof total === 'number' ? `${current}/${total}` : current;
  return [count, typeof message === 'string' ? firstLine(message) : ''].filter(Boolean).join(' ');
}
