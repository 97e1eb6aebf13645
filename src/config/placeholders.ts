/**
 * `${NAME}`, `${env:NAME}`, `${input:id}` and opencode's `{env:NAME}`: clients replace them, or
 * hand them on as they are.
 */
const PLACEHOLDER = /\$\{[^{}]*\}|\{env:[^{}]*\}/;

/** The first placeholder in a value that no client has replaced; undefined where there is none. */
export const placeholderIn = (value: string): string | undefined => PLACEHOLDER.exec(value)?.[0];

/** The problem with such a value, as a phrase that follows the name of its option or variable. */
export const unexpanded = (placeholder: string): string =>
  `holds ${placeholder}, which the client did not expand: write the value itself, or set the variable where the client starts`;
