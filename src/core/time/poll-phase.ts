/**
 * In its poll phase, the event loop reads from all sockets that have bytes, one after the other.
 * The check phase follows.
 */

let waiting: (() => void)[] = [];

/**
 * Runs `act` after the poll phase. All that waits runs in one callback: between two callbacks, node
 * runs ticks and promises, and the AWS files are checked anew for each.
 */
export function afterPoll(act: () => void): void {
  if (waiting.length === 0) setImmediate(runWaiting);
  waiting.push(act);
}

function runWaiting(): void {
  const due = waiting;
  waiting = [];
  for (const act of due) {
    try {
      act();
    } catch (error) {
      // One failure must not stop the others.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
