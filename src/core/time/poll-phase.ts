/**
 * In its poll phase, the event loop reads from all sockets that have bytes, one after the other.
 * The check phase follows, which ends a turn here.
 */

let waiting: (() => void)[] = [];
let isRunning = false;

/**
 * Runs `act` after the poll phase. All that waits runs in one callback: between two callbacks, node
 * runs ticks and promises, and the AWS files are checked anew for each.
 */
export function afterPoll(act: () => void): void {
  if (waiting.length === 0) {
    // While others run, the poll phase before them still counts.
    if (!isRunning) endedTurn = undefined;
    setImmediate(runWaiting);
  }
  waiting.push(act);
}

function runWaiting(): void {
  const due = waiting;
  waiting = [];
  isRunning = true;
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
  isRunning = false;
}

/** A turn of the event loop. */
export type Turn = Readonly<Record<never, never>>;

let thisTurn: Turn | undefined;
/** The turn that ended last; undefined where a poll phase comes before what waits. */
let endedTurn: Turn | undefined;

/** Identifies the current turn; one setImmediate for all users of a turn. */
export function currentTurn(): Turn {
  if (thisTurn) return thisTurn;
  thisTurn = {};
  setImmediate(() => {
    endedTurn = thisTurn;
    thisTurn = undefined;
  });
  return thisTurn;
}

export const isCurrentTurn = (turn: Turn | undefined): boolean => turn !== undefined && turn === thisTurn;

/**
 * Whether all sockets were read since the turn ended: an action after the poll phase can know. What
 * is not known is false.
 */
export const hasPolledSince = (turn: Turn): boolean => isRunning && turn !== thisTurn && turn !== endedTurn;
