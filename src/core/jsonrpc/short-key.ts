import { createHash } from 'node:crypto';

/** Longer keys are hashed: ids, names and cursors of an untrusted peer may be megabytes long. */
const MAX_KEY_CHARACTERS = 256;

/**
 * A key for a map that is bounded by its number of entries: the text itself, or its hash where it
 * is long.
 */
export const shortKey = (text: string): string =>
  text.length <= MAX_KEY_CHARACTERS ? text : `sha256:${createHash('sha256').update(text).digest('base64')}`;
