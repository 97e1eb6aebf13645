import type { Shorthands } from './argv.ts';

/** Short forms of --log-level. `--quiet` also hides the notes and the progress of commands. */
export const SHORTHANDS = {
  '-v': { key: 'logLevel', value: 'info' },
  '--debug': { key: 'logLevel', value: 'debug' },
  '--quiet': { key: 'logLevel', value: 'silent' },
} as const satisfies Shorthands;
