/** One invalid option. */
export interface OptionProblem {
  /** The name of the option; undefined where the problem is not that of one option. */
  readonly field: string | undefined;
  /** The fault, with the allowed values. */
  readonly message: string;
}

/** Invalid options of the library. It lists all problems, not the first one only. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
  /** All problems, in the order of the options. */
  readonly problems: readonly OptionProblem[];

  /** @param what - the function or class that received the options. */
  constructor(what: string, problems: readonly OptionProblem[]) {
    super(`${what}: ${problems.map(({ message }) => message).join('; ')}`);
    this.problems = problems;
  }
}
