import { type ChildProcess, spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { soundsSecret } from '../../config/secrets.ts';
import { Redactor } from '../../core/errors/redact.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { Credentials } from './credentials.ts';

/**
 * Long enough for a helper that opens a browser, short of the minute after which clients give up on
 * a request.
 */
export const MAX_PROCESS_MS = 60_000;
/** A set of credentials has a few kilobytes; whatever prints more is no credential_process. */
export const MAX_STDOUT_BYTES = 1024 * 1024;
/** The last line says what went wrong; the rest is banner. */
const MAX_STDERR_BYTES = 4096;
const MAX_STDERR_CHARACTERS = 300;
/**
 * A daemon left behind by the helper holds its stdout open; what was printed by then is what there
 * is.
 */
const MAX_OUTPUT_WAIT_MS = 1000;

export interface ProcessDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Kills the helper and everything that it started. */
  readonly signal: AbortSignal;
}

/**
 * Runs a `credential_process` in the shell, as the SDK does, but without our stdin (it carries the
 * protocol, and a helper that reads it would hang or eat messages), with a time limit and a cap on
 * its output.
 * @throws an Error whose message holds neither the helper's arguments nor anything it printed to
 * stdout.
 */
export async function runCredentialProcess(command: string, deps: ProcessDeps): Promise<Credentials> {
  const { stdout, failure } = await run(command, deps);
  if (failure !== undefined) throw new Error(`credential_process ${failure}`);
  return readOutput(stdout, deps.clock);
}

interface ProcessOutcome {
  readonly stdout: string;
  readonly failure: string | undefined;
}

function run(command: string, { env, clock, signal }: ProcessDeps): Promise<ProcessOutcome> {
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
      const said = lastLine(err.toString('utf8'), command);
      finish(said === '' ? how : `${how}: ${said}`);
    };

    let grace: { cancel(): void } | undefined;
    const limit = clock.schedule(MAX_PROCESS_MS, () =>
      stop(
        `did not finish within ${MAX_PROCESS_MS / 1000} s and was stopped; if it waits for input, it gets none here`,
      ),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > MAX_STDOUT_BYTES) stop(`printed more than ${MAX_STDOUT_BYTES} bytes and was stopped`);
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

function start(command: string, env: NodeJS.ProcessEnv) {
  try {
    return spawn(command, {
      shell: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
      windowsHide: true,
      // A group of its own, so that the shell's children can be killed with it.
      detached: process.platform !== 'win32',
    });
  } catch {
    // Node refuses some command lines outright, and quotes them in full.
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
    // The group is gone already.
  }
}

/**
 * The last line says what went wrong; people put secrets into arguments, and helpers repeat them
 * and print others.
 */
function lastLine(stderr: string, command: string): string {
  const printable = stripVTControlCharacters(stderr).replace(/[^\P{C}\n]/gu, ' ');
  const line = printable.trim().split('\n').at(-1)?.trim() ?? '';
  const hidden = secretArguments(command).reduce((text, arg) => text.replaceAll(arg, '***'), line);
  return withoutSecretValues(new Redactor().clean(hidden)).slice(0, MAX_STDERR_CHARACTERS);
}

/**
 * The longest first. Plain words and flags are parts of any sentence, unless a flag that sounds
 * secret stands before them.
 */
function secretArguments(command: string): string[] {
  const words = command
    .split(/\s+/)
    .slice(1)
    .map((part) => part.replace(/["']/g, ''));
  return words
    .flatMap((word, at) => {
      if (/^--?[\w-]+$/.test(word)) return [];
      const [name = '', ...rest] = word.split('=');
      const value = rest.join('=');
      if (value !== '') return soundsSecret(name) || !isPlain(value) ? [value] : [];
      return soundsSecret(words[at - 1] ?? '') || !isPlain(word) ? [word] : [];
    })
    .filter((word) => word.length > 3)
    .sort((one, other) => other.length - one.length);
}

const isPlain = (word: string): boolean => /^[A-Za-z]+[.,;:!?]?$/.test(word);

/** `token: x`, `password=x`, and what is too long and too mixed for a word or a path. */
const withoutSecretValues = (text: string): string =>
  text
    .replace(
      /([\w-]*(?:key|token|secret|passw\w*|credential|signature)["']?\s*[:=]\s*["']?)([^\s"',;]+)/gi,
      (whole, name: string, value: string) => (isPlain(value) ? whole : `${name}***`),
    )
    .replace(/(?=[\w+=/-]*\d)(?=[\w+=/-]*[A-Za-z])(?<![\w+=/.-])[\w+=-][\w+=/-]{31,}/g, '***');

/** Checks what the helper printed against the format that AWS defines for it. */
function readOutput(stdout: string, clock: Clock): Credentials {
  let data: unknown;
  try {
    data = JSON.parse(stdout.trim());
  } catch {
    throw new Error('credential_process did not print JSON');
  }
  if (typeof data !== 'object' || data === null || !('Version' in data) || data.Version !== 1) {
    throw new Error('credential_process did not print an object with "Version": 1');
  }
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = data as Record<string, unknown>;
  if (
    typeof AccessKeyId !== 'string' ||
    typeof SecretAccessKey !== 'string' ||
    !AccessKeyId ||
    !SecretAccessKey
  ) {
    throw new Error('credential_process did not print AccessKeyId and SecretAccessKey');
  }
  const keys = {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    ...(typeof SessionToken === 'string' && SessionToken ? { sessionToken: SessionToken } : {}),
  };
  if (Expiration === undefined || Expiration === null || Expiration === '') return keys;
  const expiration = new Date(typeof Expiration === 'string' ? Expiration : Number.NaN);
  if (Number.isNaN(expiration.getTime()))
    throw new Error('credential_process printed an Expiration that is no date');
  if (expiration.getTime() <= clock.now()) {
    throw new Error(`credential_process printed credentials that expired at ${expiration.toISOString()}`);
  }
  return { ...keys, expiration };
}
