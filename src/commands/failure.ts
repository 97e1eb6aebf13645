import type { Arguments } from '../config/argv.ts';
import { ERROR_SOURCE } from '../core/errors/errors.ts';
import { isObject, type Response } from '../core/jsonrpc/message.ts';
import { plainText } from '../core/system/plain-text.ts';
import { type CommandContext, printError } from './command.ts';
import { EXIT_FAILED } from './exit-codes.ts';
import { errorTextOf } from './server-answer.ts';

/** Why a command failed, for a person and for a script. */
export interface CommandFailure {
  /** The JSON-RPC code; null where no JSON-RPC error is the cause. */
  readonly code: number | null;
  /** A reason of docs/errors.md, or one of docs/commands.md. */
  readonly reason: string;
  readonly message: string;
  /** The `data` of the error that the server or the proxy returned. */
  readonly data?: unknown;
}

/** The failure that an error answer reports. */
export function failureOf(answer: Response): CommandFailure {
  const error = isObject(answer.json.error) ? answer.json.error : {};
  const { code, data } = error;
  const isOurs = isObject(data) && data.source === ERROR_SOURCE && typeof data.reason === 'string';
  return {
    code: typeof code === 'number' ? code : null,
    reason: isOurs ? String(data.reason) : 'server-error',
    message: errorTextOf(answer),
    ...(data === undefined ? {} : { data }),
  };
}

/** True where --json is set; its value is checked elsewhere. */
export const wantsJson = ({ options }: Arguments): boolean =>
  ['true', '1'].includes(options.json?.at(-1) ?? '');

/** Prints a failure on stderr, as one JSON document with --json. @returns the exit code. */
export function fail(
  { args, stderr }: Pick<CommandContext, 'args' | 'stderr'>,
  failure: CommandFailure,
): number {
  if (wantsJson(args))
    stderr.json(`${JSON.stringify({ error: { ...failure, message: plainText(failure.message) } })}\n`);
  else printError(stderr, failure.message);
  return EXIT_FAILED;
}

/** Reports an answer without the expected content. */
export const failUnusable = (context: CommandContext, problem: string): number =>
  fail(context, {
    code: null,
    reason: 'unusable-answer',
    message: `The server's answer cannot be used: ${problem}.`,
  });
