export type FindingVerdict = 'ok' | 'warning' | 'failed' | 'skipped';

interface Checked {
  /** What was looked at: one or two words. */
  readonly check: string;
  /** What was found, on one line. */
  readonly detail: string;
}

/**
 * The outcome of one check. What is wrong has a remedy, always: a finding that leaves a person
 * helpless is none.
 */
export type Finding = Checked &
  (
    | { readonly verdict: 'ok' | 'skipped' }
    | { readonly verdict: 'warning' | 'failed'; readonly remedy: string }
  );

export const ok = (check: string, detail: string): Finding => ({ check, detail, verdict: 'ok' });
export const skipped = (check: string, detail: string): Finding => ({ check, detail, verdict: 'skipped' });
export const warning = (check: string, detail: string, remedy: string): Finding => ({
  check,
  detail,
  verdict: 'warning',
  remedy,
});
export const failed = (check: string, detail: string, remedy: string): Finding => ({
  check,
  detail,
  verdict: 'failed',
  remedy,
});

/** A check that rests on one that has failed. */
export const needs = (check: string, cause: Finding): Finding => skipped(check, `needs ${cause.check}`);

/** True where what rests on this finding can be looked at. */
export const stands = ({ verdict }: Finding): boolean => verdict === 'ok' || verdict === 'warning';

/** A duration for a person: the largest unit that leaves two digits or so. */
export function durationText(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3_600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
