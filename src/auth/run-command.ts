import { type ChildProcess, spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { isSecretName } from '../config/secrets.ts';
import { Redactor } from '../core/errors/redact.ts';
import type { Clock } from '../core/time/clock.ts';

/**
 * Enough for a helper that opens a browser, and less than the minute after which clients give up.
 */
export const MAX_PROCESS_MS = 60_000;
/** The last line holds the error; the lines before it are a banner. */
const MAX_STDERR_BYTES = 4096;
const MAX_STDERR_CHARACTERS = 300;
/** A daemon that the helper leaves behind keeps its stdout open. The output so far counts. */
const MAX_OUTPUT_WAIT_MS = 1000;

export interface CommandDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Kills the helper and its children. */
  readonly signal: AbortSignal;
}

/** A command line for the shell, or a program with its arguments, which runs without a shell. */
export type CommandLine = string | readonly [program: string, ...args: string[]];

export interface CommandOutcome {
  readonly stdout: string;
  /** How it failed, as a phrase without arguments and stdout; undefined if it succeeded. */
  readonly failure: string | undefined;
}

/** Runs a command without stdin, which carries the protocol. Never rejects. */
export function runCommand(
  command: CommandLine,
  maxStdoutBytes: number,
  { env, clock, signal }: CommandDeps,
): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve({ stdout: '', failure: 'was stopped' });
      return;
    }
    const child = start(command, env);
    if (child === undefined) {
      resolve({ stdout: '', failure: 'could not be started' });
      return;
    }
    const out: Buffer[] = [];
    let outBytes = 0;
    let err = Buffer.alloc(0);

    let over = false;
    const finish = (failure: string | undefined): void => {
      if (over) return;
      over = true;
      limit.cancel();
      grace?.cancel();
      signal.removeEventListener('abort', onAbort);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ stdout: Buffer.concat(out).toString('utf8'), failure });
    };
    const stop = (failure: string): void => {
      killTree(child);
      finish(failure);
    };
    const onAbort = (): void => stop('was stopped');
    const ended = (code: number | null, killedBy: string | null): void => {
      if (code === 0) {
        finish(undefined);
        return;
      }
      const how = code === null ? `was ended by ${killedBy}` : `exited with code ${code}`;
      const message = lastLine(err.toString('utf8'), command);
      finish(message === '' ? how : `${how}: ${message}`);
    };

    let grace: { cancel(): void } | undefined;
    const limit = clock.schedule(MAX_PROCESS_MS, () =>
      stop(
        `did not finish within ${MAX_PROCESS_MS / 1000} s and was stopped; if it waits for input, run it in a terminal: here it receives none`,
      ),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > maxStdoutBytes) stop(`printed more than ${maxStdoutBytes} bytes and was stopped`);
      else out.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err = Buffer.concat([err, chunk]).subarray(-MAX_STDERR_BYTES);
    });
    child.on('error', (error) =>
      finish(`could not be started (${'code' in error ? error.code : error.name})`),
    );
    child.on('exit', (code, killedBy) => {
      if (!over) grace = clock.schedule(MAX_OUTPUT_WAIT_MS, () => ended(code, killedBy));
    });
    child.on('close', ended);
  });
}

function start(command: CommandLine, env: NodeJS.ProcessEnv) {
  const [program, args] = typeof command === 'string' ? [command, []] : [command[0], command.slice(1)];
  try {
    return spawn(program, args, {
      shell: typeof command === 'string',
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
      windowsHide: true,
      // A separate process group, so that the children of the shell are killed too.
      detached: process.platform !== 'win32',
    });
  } catch {
    // Node rejects some command lines, and quotes them in its error.
    return undefined;
  }
}

function killTree(child: ChildProcess): void {
  if (child.pid === undefined) return;
  if (process.platform === 'win32') {
    spawn('taskkill', ['/pid', String(child.pid), '/T', '/F'], { stdio: 'ignore', windowsHide: true }).on(
      'error',
      () => child.kill(),
    );
    return;
  }
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The group has already ended.
  }
}

/**
 * The last line of stderr, without secrets: arguments may contain some, and helpers print others.
 */
function lastLine(stderr: string, command: CommandLine): string {
  const printable = stripVTControlCharacters(stderr).replace(/[^\P{C}\n]/gu, ' ');
  const line = printable.trim().split('\n').at(-1)?.trim() ?? '';
  const hidden = secretArguments(command).reduce((text, arg) => text.replaceAll(arg, '***'), line);
  return withoutSecretValues(new Redactor().clean(hidden)).slice(0, MAX_STDERR_CHARACTERS);
}

/**
 * Longest first. Plain words and flags are kept, unless a flag that names a secret precedes them.
 */
function secretArguments(command: CommandLine): string[] {
  const parts = typeof command === 'string' ? command.split(/\s+/) : command;
  const words = parts.slice(1).map((part) => part.replace(/["']/g, ''));
  return words
    .flatMap((word, at) => {
      if (/^--?[\w-]+$/.test(word)) return [];
      const [name = '', ...rest] = word.split('=');
      const value = rest.join('=');
      if (value !== '') return isSecretName(name) || !isPlain(value) ? [value] : [];
      return isSecretName(words[at - 1] ?? '') || !isPlain(word) ? [word] : [];
    })
    .filter((word) => word.length > 3)
    .sort((one, other) => other.length - one.length);
}

const isPlain = (word: string): boolean => /^[A-Za-z]+[.,;:!?]?$/.test(word);

/** Hides `token: x`, `password=x`, and words too long and too mixed for a word or a path. */
const withoutSecretValues = (text: string): string =>
  text
    .replace(
      /([\w-]*(?:key|token|secret|passw\w*|credential|signature)["']?\s*[:=]\s*["']?)([^\s"',;]+)/gi,
      (whole, name: string, value: string) => (isPlain(value) ? whole : `${name}***`),
    )
    .replace(/(?<![\w+=/.-])(?=[\w+=/-]*\d)(?=[\w+=/-]*[A-Za-z])[\w+=-][\w+=/-]{31,}/g, '***');
