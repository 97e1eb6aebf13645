import type { Check } from './suite.ts';

export interface Verdict {
  /** The checks that pass directly. */
  readonly direct: readonly string[];
  /** Those among them that do not pass through the proxy. */
  readonly lost: readonly string[];
}

const nameOf = ({ id, name }: Check): string => `${id} (${name})`;

/** The checks that pass. One that is made several times passes where it never fails. */
export function passing(checks: readonly Check[]): string[] {
  const failed = new Set(checks.filter(({ status }) => /FAILURE|WARNING/.test(status)).map(nameOf));
  const passed = checks.filter(({ status }) => status === 'SUCCESS').map(nameOf);
  return [...new Set(passed)].filter((name) => !failed.has(name));
}

/** What passes directly must pass through the proxy; a check that is no longer made is lost too. */
export function compare(direct: readonly Check[], through: readonly Check[]): Verdict {
  const kept = new Set(passing(through));
  const passed = passing(direct);
  return { direct: passed, lost: passed.filter((name) => !kept.has(name)) };
}
