import type { Clock, Timer } from '../core/time/clock.ts';
import type { LineTarget } from './line-target.ts';

/** How long a line may wait for others: less than a person who follows the file notices. */
const HELD_MS = 50;
/** Characters that are held; more are written at once. */
const MAX_HELD_CHARACTERS = 64 * 1024;

/**
 * Writes lines together: a write of its own costs the process three times as much as the line
 * itself.
 */
export function inBatches(target: LineTarget, clock: Clock): LineTarget {
  let held = '';
  let timer: Timer | undefined;
  const writeHeld = (): void => {
    timer?.cancel();
    timer = undefined;
    if (held === '') return;
    const text = held;
    held = '';
    target.write(text);
  };
  return {
    write(text) {
      held += text;
      if (held.length >= MAX_HELD_CHARACTERS) writeHeld();
      else timer ??= clock.schedule(HELD_MS, writeHeld, { keepAlive: false });
    },
    flush() {
      writeHeld();
      target.flush?.();
    },
    reopen() {
      // The lines so far belong to the file that was renamed.
      writeHeld();
      target.reopen?.();
    },
  };
}
