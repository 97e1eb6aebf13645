import { isObject, type JsonObject, type Response } from '../core/jsonrpc/message.ts';
import { firstLine } from '../core/system/plain-text.ts';
import { type CommandContext, printError } from './command.ts';
import type { CommandClient } from './command-client.ts';
import { fail, failUnusable, wantsJson } from './failure.ts';
import type { ProgressLine } from './progress-line.ts';
import { followTask, type Task } from './task.ts';

/** Waits for a task, and cancels it on an interrupt. A number is an exit code. */
export async function answerOfTask(
  context: CommandContext,
  client: CommandClient,
  task: Task,
  progress: ProgressLine,
): Promise<Response | number> {
  const { signal } = context;
  try {
    const end = await followTask(client, task, {
      signal,
      onStatus: (state) => progress.show(statusOf(state)),
    });
    progress.clear();
    switch (end.kind) {
      case 'answer':
        return end.answer;
      case 'without-result':
        return failUnusable(context, 'the task ended without a result');
      case 'cancelled': {
        const why = end.message === undefined ? '' : `: ${firstLine(end.message)}`;
        return fail(context, {
          code: null,
          reason: 'task-cancelled',
          message: `the task was cancelled at the server${why}`,
        });
      }
      case 'needs-input':
        await client.request('tasks/cancel', { taskId: task.id });
        return fail(context, {
          code: null,
          reason: 'input-required',
          message: `the task requires input by ${end.requests.map(requestText).join(', ')}, which this command cannot provide: the task is cancelled. Call this tool from an MCP client instead.`,
        });
    }
  } catch (error) {
    if (signal.aborted) {
      progress.clear();
      await cancelAtEnd(context, client, task);
    }
    throw error;
  }
}

const statusOf = ({ status, statusMessage }: JsonObject): JsonObject => ({
  message: typeof statusMessage === 'string' ? statusMessage : `task ${String(status)}`,
});

/** For example `elicitation/create (Your name?)`. */
function requestText({ method, params }: JsonObject): string {
  const message = isObject(params) && typeof params.message === 'string' ? ` (${params.message})` : '';
  return firstLine(`${String(method)}${message}`);
}

/** Cancels the task after an interrupt, and reports a task that may run on. */
async function cancelAtEnd(context: CommandContext, client: CommandClient, { id }: Task): Promise<void> {
  const isCancelled = await client.requestAtEnd('tasks/cancel', { taskId: id });
  if (isCancelled || wantsJson(context.args)) return;
  printError(
    context.stderr,
    `the server did not confirm the cancellation of the task ${firstLine(id)}, which may run on`,
  );
}
