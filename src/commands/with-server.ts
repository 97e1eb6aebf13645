import type { Response } from '../core/jsonrpc/message.ts';
import type { CommandContext } from './command.ts';
import { CommandClient, type CommandClientDeps } from './command-client.ts';
import { EXIT_FAILED } from './exit-codes.ts';
import { fail, failureOf } from './failure.ts';
import { ProgressLine } from './progress-line.ts';

interface ServerRun extends Pick<CommandClientDeps, 'onProgress' | 'onDeclined'> {
  /** The line that shows waits. */
  readonly progress?: ProgressLine;
}

/**
 * Opens a client, runs `use`, and closes the client in every case. A refused session is reported.
 * @returns the exit code.
 */
export async function withServer(
  context: CommandContext,
  use: (client: CommandClient, opened: Response) => Promise<number>,
  { progress = new ProgressLine(context.stderr), ...deps }: ServerRun = {},
): Promise<number> {
  const { settings, signal } = context;
  const watch: CommandClientDeps['watch'] = (awaited, work) => progress.during(awaited, work);
  const client = new CommandClient({ settings, signal, watch, ...deps });
  try {
    const opened = await client.open();
    return opened.outcome === 'error' ? fail(context, failureOf(opened)) : await use(client, opened);
  } catch (error) {
    if (signal.aborted) return EXIT_FAILED;
    throw error;
  } finally {
    await client.close();
  }
}
