/**
 * `${NAME}`, `${env:NAME}`, `${input:id}` and opencode's `{env:NAME}`: some clients replace them,
 * others pass them on.
 */
const PLACEHOLDER = /\$\{[^{}]*\}|\{env:[^{}]*\}/;

/** The first placeholder that the client did not replace, if any. */
export const placeholderIn = (value: string): string | undefined => PLACEHOLDER.exec(value)?.[0];

/** The problem of a value with a placeholder, as a phrase after the name of the option. */
export const placeholderProblem = (placeholder: string): string =>
  `holds ${placeholder}, which the client did not expand: write the value itself, or set the variable where the client starts`;
