import { closeSync, openSync } from 'node:fs';
import { text } from '../core/options.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Only the owner reads it: at trace level it holds what tools were asked. */
export const LOG_FILE_MODE = 0o600;

function fileProblem(path: string): string | undefined {
  try {
    closeSync(openSync(path, 'a', LOG_FILE_MODE));
    return undefined;
  } catch (error) {
    return `must be a file that can be written: ${error instanceof Error ? error.message : path}`;
  }
}

export const observeOptions = {
  logLevel: text({
    group: 'Seeing it',
    placeholder: 'level',
    choices: LOG_LEVELS,
    fallback: 'error',
    help: 'what is logged; a healthy run writes nothing at error',
  }),
  logFile: text({
    group: 'Seeing it',
    placeholder: 'path',
    fallback: undefined,
    defaultText: 'stderr',
    check: fileProblem,
    help: 'log to this file (mode 0600) instead of stderr',
  }),
  logFormat: text({
    group: 'Seeing it',
    placeholder: 'format',
    choices: ['json', 'pretty'],
    fallback: 'json',
    help: 'how log lines look',
  }),
} as const;
