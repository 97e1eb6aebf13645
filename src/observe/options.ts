import { closeSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import { type OptionValues, text, toggle } from '../config/option.ts';
import { causeText } from '../core/errors/errors.ts';
import { openTrusted } from '../core/system/trusted-file.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Readable by the owner only: at trace level the log contains tool arguments. */
const LOG_FILE_MODE = 0o600;

/**
 * Opens the log file to append to it.
 * @throws Error if another user can write or replace the file.
 */
export const openLogFile = (path: string): number =>
  openTrusted(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, LOG_FILE_MODE);

/** Names of stderr, which is open already and cannot be checked as a file. */
const STDERR_PATHS: ReadonlySet<string> = new Set(['/dev/stderr', '/dev/fd/2', '/proc/self/fd/2']);
const STDOUT_PATHS: ReadonlySet<string> = new Set(['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']);

/** The file of `--log-file`; undefined if the option is absent or names stderr. */
export const logFileOf = (path: string | undefined): string | undefined =>
  path !== undefined && STDERR_PATHS.has(path) ? undefined : path;

function fileProblem(path: string): string | undefined {
  if (STDERR_PATHS.has(path)) return undefined;
  if (STDOUT_PATHS.has(path)) {
    return 'must not be stdout, which carries MCP messages only: leave it out to log to stderr';
  }
  try {
    closeSync(openLogFile(path));
    return undefined;
  } catch (error) {
    return `must be a regular file in a folder that no other user can write to, such as your home folder, or be left out to log to stderr (${causeText(error)})`;
  }
}

export const observeOptions = {
  logLevel: text({
    group: 'Observability',
    common: true,
    placeholder: 'level',
    choices: LOG_LEVELS,
    fallback: 'error',
    help: 'lowest severity that is logged; a healthy run logs nothing at error',
  }),
  logFile: text({
    group: 'Observability',
    placeholder: 'path',
    fallback: undefined,
    defaultText: 'stderr',
    check: fileProblem,
    help: 'file for the log in place of stderr (mode 0600; no other user may be able to write to the file or its folder); SIGHUP reopens the file',
  }),
  accessLog: text({
    group: 'Observability',
    placeholder: 'path',
    fallback: undefined,
    check: (path) => (path === 'stderr' ? undefined : fileProblem(path)),
    help: 'file, or stderr, for one JSON line per request of a client: time, client, tool, identity, outcome, durations (same rules as --log-file)',
  }),
  accessLogArguments: toggle({
    group: 'Observability',
    help: 'add the arguments of tools and prompts, which may be confidential, to the access log',
  }),
  logFormat: text({
    group: 'Observability',
    placeholder: 'format',
    choices: ['json', 'pretty', 'emf'],
    fallback: 'json',
    help: 'format of log lines; emf: JSON, and the metrics as lines in the Embedded Metric Format of CloudWatch, for Lambda and ECS',
  }),
} as const;

/** Returns the problems of the access log's options taken together. */
export function accessLogProblems(
  {
    accessLog,
    accessLogArguments,
    logFile,
  }: Pick<OptionValues<typeof observeOptions>, 'accessLog' | 'accessLogArguments' | 'logFile'>,
  from: Readonly<Record<string, string>>,
): string[] {
  const problems: string[] = [];
  if (accessLogArguments && accessLog === undefined)
    problems.push(`${from.accessLogArguments} needs --access-log, which names the file`);
  if (accessLog !== undefined && logFile !== undefined && resolve(accessLog) === resolve(logFile))
    problems.push(`${from.accessLog} must be another file than that of ${from.logFile}`);
  return problems;
}
