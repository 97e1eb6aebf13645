import type { readSettings, Settings } from '../../src/settings.ts';

type Outcome = Awaited<ReturnType<typeof readSettings>>;

/** The settings that were read; fails the test with the problems where there are some. */
export function settingsIn(outcome: Outcome): Settings {
  if ('problems' in outcome) throw new Error(outcome.problems.join('\n'));
  return outcome.settings;
}

/** The problems of the settings; empty if they are valid. */
export const problemsIn = (outcome: Outcome): readonly string[] =>
  'problems' in outcome ? outcome.problems : [];
