import { isObject, type JsonObject, METHOD_NOT_FOUND, type Response } from '../core/jsonrpc/message.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { sleep } from '../core/time/waits.ts';
import type { CommandClient } from './command-client.ts';

/** The pause between two requests for the state of a task, where the server names none. */
const POLL_MS = 1_000;
/** A server must not make the command send requests without a pause, or wait for hours. */
const MIN_POLL_MS = 50;
const MAX_POLL_MS = 30_000;

/** A task in the state `input_required` delivers its questions during `tasks/result`. */
const ENDS_POLLING: readonly unknown[] = ['completed', 'failed', 'cancelled', 'input_required'];

/** The task in the answer to a call; undefined for a result. */
export function taskOf({ json }: Response): JsonObject | undefined {
  const { task } = isObject(json.result) ? json.result : {};
  return isObject(task) && typeof task.taskId === 'string' ? task : undefined;
}

/** True where a tool can be called as a task only (MCP 2025-11-25, Tasks). */
export const needsTask = (tool: JsonObject | undefined): boolean =>
  isObject(tool?.execution) && tool.execution.taskSupport === 'required';

/** True where the server refused a call without a task. */
export const isTaskMissing = ({ outcome, json }: Response): boolean =>
  outcome === 'error' && isObject(json.error) && json.error.code === METHOD_NOT_FOUND;

export interface TaskDeps {
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly onStatus: (status: JsonObject) => void;
}

/** Polls a task until it ends, then requests its result. Cancels the task on abort. */
export async function followTask(
  client: CommandClient,
  task: JsonObject,
  { signal, clock = systemClock, onStatus }: TaskDeps,
): Promise<Response> {
  const taskId = String(task.taskId);
  try {
    for (let state = task; !ENDS_POLLING.includes(state.status); ) {
      onStatus(state);
      await sleep(clock, pollMs(state), signal);
      const answer = await client.request('tasks/get', { taskId });
      if (answer.outcome === 'error' || !isObject(answer.json.result)) return answer;
      state = answer.json.result;
    }
    return await client.request('tasks/result', { taskId });
  } catch (error) {
    if (signal.aborted) await client.requestAtEnd('tasks/cancel', { taskId });
    throw error;
  }
}

export function pollMs({ pollInterval }: JsonObject): number {
  const wanted = typeof pollInterval === 'number' && !Number.isNaN(pollInterval) ? pollInterval : POLL_MS;
  return Math.min(Math.max(wanted, MIN_POLL_MS), MAX_POLL_MS);
}
