/** Options as a program gives them. */
export type GivenMembers = Readonly<Record<string, unknown>>;

/** The rule of a number. */
export interface NumberRule<F = number | undefined> {
  readonly fallback: F;
  readonly least: number;
  /** The value must be above the least. */
  readonly above?: boolean;
  readonly integer?: boolean;
}

/** The rule of a count. */
export const count = <F extends number | undefined>(fallback: F, least: number): NumberRule<F> => ({
  fallback,
  least,
  integer: true,
});
/** The rule of a time, or of another number with a fraction. */
export const seconds = <F extends number | undefined>(fallback: F, above = false): NumberRule<F> => ({
  fallback,
  least: 0,
  above,
});
/** The values of a table of rules: undefined only where there is no default. */
export type Numbers<R extends Readonly<Record<string, NumberRule>>> = {
  readonly [K in keyof R]: undefined extends R[K]['fallback'] ? number | undefined : number;
};
