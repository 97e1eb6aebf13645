import { headerProblem } from '../upstream/options.ts';

/** True for a value that a header can carry. Pure. */
export const isSendable = (value: unknown): value is string =>
  typeof value === 'string' && !/[^\t\x20-\x7e\x80-\xff]/.test(value);

/** The problem of a header of the program, as a predicate; undefined if there is none. Pure. */
export const headerMemberProblem = (name: string, value: unknown): string | undefined =>
  headerProblem(`${name}: `) ??
  (isSendable(value) ? undefined : `have a value for ${name} that no header can carry`);
