import { headerProblem } from '../upstream/options.ts';

/** True for a value that a header can carry. Pure. */
export const isSendable = (value: unknown): value is string =>
  typeof value === 'string' && !/[^\t\x20-\x7e\x80-\xff]/.test(value);

/**
 * Returns the problem of a header that the program sets, or undefined if the header is valid. Pure.
 */
export const headerMemberProblem = (name: string, value: unknown): string | undefined =>
  headerProblem(`${name}: `) ??
  (isSendable(value) ? undefined : `have a value for ${name} that no header can carry`);
