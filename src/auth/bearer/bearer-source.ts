import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { fileProblem } from '../../core/system/file-facts.ts';
import type { Clock } from '../../core/time/clock.ts';
import { type FileStamps, stampFiles, unchanged } from '../credentials/file-stamps.ts';
import { type CommandLine, runCommand } from '../run-command.ts';
import { type BearerValues, readCommand } from './options.ts';
import { MAX_TOKEN_CHARACTERS } from './token.ts';

/** Room for blanks and line ends around the longest token. */
const MAX_SOURCE_BYTES = 2 * MAX_TOKEN_CHARACTERS;

/** A place that a bearer token is read from. */
export interface BearerSourceDeps {
  /** The environment of the command. */
  readonly env: NodeJS.ProcessEnv;
  /** The variables that an option may name. */
  readonly variables: NodeJS.ProcessEnv;
  readonly clock: Clock;
}

/** The source that the options name. Requires valid options. */
export function bearerSourceOf(
  { bearerTokenEnv, bearerTokenFile, bearerCommand }: BearerValues,
  { env, variables, clock }: BearerSourceDeps,
): BearerSource {
  if (bearerTokenEnv !== undefined) return variableSource(bearerTokenEnv, variables);
  if (bearerTokenFile !== undefined) return fileSource(bearerTokenFile);
  const command = readCommand(bearerCommand ?? '');
  if (typeof command === 'object' && 'problem' in command) throw new TypeError(command.problem);
  return commandSource(command, { env, clock });
}

export interface BearerSource {
  /** Where the token comes from, as a noun phrase: `the file /run/token`. */
  readonly origin: string;
  /** The instruction for a token that is missing or rejected, as a sentence. */
  readonly remedy: string;
  /** True if it may return another token before the last one expires or is rejected. */
  changed(): boolean;
  /** True if it returns a new token near the end of the last one. */
  readonly renews: boolean;
  /** @throws Error whose message contains no part of the token. */
  read(signal: AbortSignal): Promise<string> | string;
}

function variableSource(name: string, env: NodeJS.ProcessEnv): BearerSource {
  return {
    origin: `the environment variable ${name}`,
    remedy:
      'A running process cannot read a new value: set the variable in the configuration of your client, and restart the proxy.',
    renews: false,
    changed: () => false,
    read() {
      const value = env[name];
      if (!value) throw new Error('it is not set');
      return value;
    },
  };
}

function fileSource(path: string): BearerSource {
  let stamps: FileStamps | undefined;
  return {
    origin: `the file ${path}`,
    remedy: 'Write a valid token to the file: the next call uses it, no restart is needed.',
    renews: false,
    changed: () => stamps !== undefined && !unchanged(stamps),
    read() {
      // The stamp is read before the file, so that the next call finds a change during the read.
      stamps = stampFiles([path]);
      return readTokenFile(path);
    },
  };
}

/** Refuses FIFOs and devices: opening one would wait for its other end. */
function readTokenFile(path: string): string {
  const fd = opened(path);
  try {
    const problem = fileProblem(fstatSync(fd, { bigint: true }), MAX_SOURCE_BYTES);
    if (problem !== undefined) throw new Error(problem);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    throw new Error(code === 'ENOENT' ? 'the file does not exist' : `the file cannot be opened (${code})`);
  }
}

function commandSource(
  command: CommandLine,
  { env, clock }: { readonly env: NodeJS.ProcessEnv; readonly clock: Clock },
): BearerSource {
  return {
    origin: 'the command of --bearer-command',
    remedy: 'Run the command in a terminal to see what it prints; the next call runs it again.',
    renews: true,
    changed: () => false,
    async read(signal) {
      const { stdout, failure } = await runCommand(command, MAX_SOURCE_BYTES, { env, clock, signal });
      if (failure !== undefined) throw new Error(`it ${failure}`);
      return stdout;
    },
  };
}
