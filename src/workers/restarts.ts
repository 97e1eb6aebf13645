/** Delays before a worker is replaced. The first is short, because most faults happen once. */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 30_000;
/** After this uptime a worker counts as healthy, and is replaced after the shortest delay. */
const HEALTHY_MS = 60_000;
/** All workers end after this many starts in a row of one worker that ended before it listened. */
const MAX_FAILED_STARTS = 5;

/** The start history of one worker slot. */
export interface StartRecord {
  /** Starts in a row that ended before the worker listened. */
  readonly failedStarts: number;
  /** Deaths in a row of workers that were not healthy for long enough. */
  readonly deaths: number;
}

export const NO_STARTS: StartRecord = { failedStarts: 0, deaths: 0 };

/** The run of a worker that has ended. */
export interface EndedRun {
  readonly listened: boolean;
  readonly aliveMs: number;
}

export type RestartDecision = { readonly record: StartRecord } & (
  | { readonly restartMs: number }
  | { readonly giveUp: string }
);

/** Decides what follows the death of a worker. Pure. */
export function decideRestart(record: StartRecord, { listened, aliveMs }: EndedRun): RestartDecision {
  const isHealthy = listened && aliveMs >= HEALTHY_MS;
  const deaths = isHealthy ? 1 : record.deaths + 1;
  const failedStarts = listened ? 0 : record.failedStarts + 1;
  const next = { failedStarts, deaths };
  if (failedStarts >= MAX_FAILED_STARTS) {
    return { record: next, giveUp: `it ended ${failedStarts} times in a row before it listened` };
  }
  return { record: next, restartMs: Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (deaths - 1)) };
}
