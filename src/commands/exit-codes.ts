/** Wrong settings or arguments, by convention. */
export const EXIT_USAGE = 2;
/** A run that failed. */
export const EXIT_FAILED = 1;
