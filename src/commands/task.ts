import {
  classify,
  idText,
  isObject,
  type JsonObject,
  METHOD_NOT_FOUND,
  type Response,
  valueTextAt,
} from '../core/jsonrpc/message.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { sleep } from '../core/time/waits.ts';
import type { CommandClient } from './command-client.ts';

/** The pause between two requests for the state of a task, where the server names none. */
const POLL_MS = 1_000;
/** A server must not make the command send requests without a pause, or wait for hours. */
const MIN_POLL_MS = 50;
const MAX_POLL_MS = 300_000;

/** A task that the server created in place of a result. */
export interface Task {
  readonly id: string;
  /** The state in the answer that created it. */
  readonly state: JsonObject;
  /** True for a task of the extension: its state holds the result. False for one of a session. */
  readonly isOfExtension: boolean;
}

/** How a task ended: with the answer to the call, or with the reason why there is no answer. */
export type TaskEnd =
  | { readonly kind: 'answer'; readonly answer: Response }
  /** The server needs a person or a model during the task. */
  | { readonly kind: 'needs-input'; readonly requests: readonly JsonObject[] }
  | { readonly kind: 'cancelled'; readonly message: string | undefined }
  /** The server reports the end of the task without a result or an error. */
  | { readonly kind: 'without-result' };

/**
 * The task in the answer to a call; undefined for a result. Revision 2025-11-25 puts it into
 * `task`; the extension of 2026-07-28 marks the result itself.
 */
export function taskOf({ json }: Response): Task | undefined {
  const result = isObject(json.result) ? json.result : {};
  const isOfExtension = result.resultType === 'task';
  const state = isOfExtension ? result : result.task;
  return isObject(state) && typeof state.taskId === 'string'
    ? { id: state.taskId, state, isOfExtension }
    : undefined;
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

/** Polls a task until it ends, and returns its result. The caller cancels it on abort. */
export async function followTask(
  client: CommandClient,
  { id, state, isOfExtension }: Task,
  { signal, clock = systemClock, onStatus }: TaskDeps,
): Promise<TaskEnd> {
  const params = { taskId: id };
  for (let current = state; ; ) {
    const { status, statusMessage } = current;
    if (status === 'cancelled') return { kind: 'cancelled', message: textOr(statusMessage) };
    // In a session the server sends its questions, and then the result, during this request.
    if (!isOfExtension && ENDS_SESSION_POLLING.includes(status))
      return { kind: 'answer', answer: await client.request('tasks/result', params) };
    if (isOfExtension && status === 'input_required' && isObject(current.inputRequests))
      return { kind: 'needs-input', requests: Object.values(current.inputRequests).filter(isObject) };
    onStatus(current);
    // The answer that creates a task never holds its result.
    if (current !== state || !ENDS_TASK.includes(status)) await sleep(clock, pollMs(current), signal);
    const answer = await client.request('tasks/get', params);
    if (answer.outcome === 'error' || !isObject(answer.json.result)) return { kind: 'answer', answer };
    current = answer.json.result;
    if (isOfExtension && ENDS_TASK.includes(current.status)) {
      const inner = innerAnswer(answer, current.status === 'failed' ? 'error' : 'result');
      return inner ? { kind: 'answer', answer: inner } : { kind: 'without-result' };
    }
  }
}

const ENDS_TASK: readonly unknown[] = ['completed', 'failed'];
const ENDS_SESSION_POLLING: readonly unknown[] = [...ENDS_TASK, 'input_required'];

const textOr = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** The answer to the call inside the state of a task that ended, in the text of the server. */
function innerAnswer(state: Response, member: 'result' | 'error'): Response | undefined {
  const inner = valueTextAt(state.text, ['result', member]);
  if (inner === undefined) return undefined;
  const text = `{"jsonrpc":"2.0","id":${idText(state)},"${member}":${inner}}`;
  const answer = classify(text, JSON.parse(text));
  return typeof answer !== 'string' && answer.kind === 'response' ? answer : undefined;
}

/** The pause before the next request for the state, in the spelling of either revision. */
export function pollMs({ pollIntervalMs, pollInterval = pollIntervalMs }: JsonObject): number {
  const wanted = typeof pollInterval === 'number' && !Number.isNaN(pollInterval) ? pollInterval : POLL_MS;
  return Math.min(Math.max(wanted, MIN_POLL_MS), MAX_POLL_MS);
}
