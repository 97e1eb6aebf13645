export type FindingVerdict = 'ok' | 'warning' | 'failed' | 'skipped';

interface Checked {
  /** The name of the check: one or two words. */
  readonly check: string;
  /** The result, on one line. */
  readonly detail: string;
}

/** The outcome of one check. Every warning and failure has a remedy. */
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

/** The finding of a check that is skipped because another one failed. */
export const skippedFor = (check: string, cause: Finding): Finding => skipped(check, `needs ${cause.check}`);

/** True if the checks that depend on this one can run. */
export const isUsable = ({ verdict }: Finding): boolean => verdict === 'ok' || verdict === 'warning';

/** A duration in the largest unit that leaves about two digits. */
export function durationText(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3_600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
