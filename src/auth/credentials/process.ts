import type { Clock } from '../../core/time/clock.ts';
import { type CommandDeps, runCommand } from '../run-command.ts';
import type { Credentials } from './credentials.ts';

/** Credentials have a few kilobytes. */
export const MAX_STDOUT_BYTES = 1024 * 1024;

/**
 * Runs a `credential_process` in the shell, without stdin: the SDK gives it a pipe that never
 * closes, so that a helper that reads stdin waits for ever.
 * @throws an Error whose message contains neither arguments nor stdout of the helper.
 */
export async function runCredentialProcess(command: string, deps: CommandDeps): Promise<Credentials> {
  const { stdout, failure } = await runCommand(command, MAX_STDOUT_BYTES, deps);
  if (failure !== undefined) throw new Error(`credential_process ${failure}`);
  return readOutput(stdout, deps.clock);
}

/** Checks the output against the format that AWS defines. */
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
    throw new Error('credential_process printed an Expiration that is not a date');
  if (expiration.getTime() <= clock.now()) {
    throw new Error(`credential_process printed credentials that expired at ${expiration.toISOString()}`);
  }
  return { ...keys, expiration };
}
