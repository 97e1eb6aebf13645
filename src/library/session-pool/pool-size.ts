import type { OptionProblem } from '../options-error.ts';

/** The sizes that `resize` changes. */
export interface PoolSizeOptions {
  /** Sessions that are kept open. Default: as before. */
  readonly minSessions?: number | undefined;
  /** The maximum number of sessions of each key. Default: as before. */
  readonly maxSessions?: number | undefined;
}

/** The sizes of one key. */
export interface KeySize {
  readonly min: number;
  readonly max: number;
}

/** The problems of sizes, each with its field. Pure. */
export function sizeProblems({ min, max }: KeySize): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const add = (field: string, allowed: string): void =>
    void problems.push({ field, message: `${field} must be ${allowed}` });
  if (!Number.isSafeInteger(min) || min < 0) add('minSessions', `an integer >= 0, not ${min}`);
  if (!Number.isSafeInteger(max) || max < 1) add('maxSessions', `an integer >= 1, not ${max}`);
  if (problems.length === 0 && min > max) add('minSessions', `<= maxSessions (${max}), not ${min}`);
  return problems;
}
