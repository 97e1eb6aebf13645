import type { Check } from './suite.ts';

export interface Verdict {
  /** The labels of the checks that pass directly. */
  readonly direct: readonly string[];
  /** Those among them that do not pass through the proxy. */
  readonly lost: readonly string[];
}

/** A check's name says what it is about; some that are about several things differ by their ids only. */
export const labelOf = ({ id, name }: Pick<Check, 'id' | 'name'>): string => `${name} (${id})`;

/** The labels of the checks that pass. One that is made several times passes where it never fails. */
export function passing(checks: readonly Check[]): string[] {
  const failed = new Set(checks.filter(({ status }) => /FAILURE|WARNING/.test(status)).map(labelOf));
  const passed = checks.filter(({ status }) => status === 'SUCCESS').map(labelOf);
  return [...new Set(passed)].filter((label) => !failed.has(label));
}

/** A check that passes directly must pass through the proxy; a missing check counts as lost. */
export function compare(direct: readonly Check[], through: readonly Check[]): Verdict {
  const kept = new Set(passing(through));
  const passed = passing(direct);
  return { direct: passed, lost: passed.filter((label) => !kept.has(label)) };
}
