/** Waits before a worker is replaced: the first is short, because most faults happen once. */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 30_000;
/** A worker that lived so long has worked: its successor starts after the shortest wait. */
const HEALTHY_MS = 60_000;
/** Starts in a row of one worker that end before it listens, after which all workers end. */
const MAX_FAILED_STARTS = 5;

/** The history of one worker and its predecessors. */
export interface StartRecord {
  /** Starts in a row that ended before the worker listened. */
  readonly failedStarts: number;
  /** Deaths in a row of workers that were not healthy for long enough. */
  readonly deaths: number;
}

export const NO_STARTS: StartRecord = { failedStarts: 0, deaths: 0 };

/** The life of a worker that has ended. */
export interface EndedLife {
  readonly listened: boolean;
  readonly aliveMs: number;
}

export type RestartDecision = { readonly record: StartRecord } & (
  | { readonly restartMs: number }
  | { readonly giveUp: string }
);

/** Decides what follows the death of a worker. Pure. */
export function decideRestart(record: StartRecord, { listened, aliveMs }: EndedLife): RestartDecision {
  const isHealthy = listened && aliveMs >= HEALTHY_MS;
  const deaths = isHealthy ? 1 : record.deaths + 1;
  const failedStarts = listened ? 0 : record.failedStarts + 1;
  const next = { failedStarts, deaths };
  if (failedStarts >= MAX_FAILED_STARTS) {
    return { record: next, giveUp: `it ended ${failedStarts} times in a row before it listened` };
  }
  return { record: next, restartMs: Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (deaths - 1)) };
}
