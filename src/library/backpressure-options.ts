import { didYouMean } from '../config/spelling.ts';
import type { OverloadReason } from '../core/pipeline/limits.ts';
import type { Clock } from '../core/time/clock.ts';
import type { OptionProblem } from './options-error.ts';

/** The limits of one queue. */
export interface BackpressureLimits {
  /** The maximum number of tool calls that run at once, from 1. */
  readonly maxConcurrent: number;
  /** The maximum number of tool calls that queue. Default: 0, which refuses at once. */
  readonly queueSize?: number | undefined;
  /** The longest wait in the queue, in seconds. Default: 30. */
  readonly queueTimeout?: number | undefined;
}

/** A tool call that was refused. */
export interface Overload {
  /** Why it was refused. */
  readonly reason: OverloadReason;
  /** The limit that refused it. */
  readonly scope: 'server' | 'tool' | 'client';
  /** The tool that was called. */
  readonly tool: string;
  /** The client that called it; empty if unknown. */
  readonly client: string;
  /** Calls that ran under this limit. */
  readonly active: number;
  /** Calls that queued under this limit. */
  readonly queued: number;
}

/** The options of `withBackpressure`. */
export interface BackpressureOptions extends BackpressureLimits {
  /** The JSON-RPC error code of a refused call. Default: -32001. */
  readonly overloadErrorCode?: number | undefined;
  /** Limits of single tools, by name, in addition to the limit of the server. */
  readonly tools?: Readonly<Record<string, BackpressureLimits>> | undefined;
  /** The limit of each client, in addition to the limit of the server. */
  readonly perClient?: BackpressureLimits | undefined;
  /** Names the client of a call. Default: the client id of its token, else its session id. */
  readonly clientOf?: ((message: object, extra: object | undefined) => string) | undefined;
  /** Called once for each refused call. Nothing waits for it, and its errors are ignored. */
  readonly onOverload?: ((overload: Overload) => unknown) | undefined;
  /** Default: the system clock. */
  readonly clock?: Clock | undefined;
}

/** The counts of a server: calls at this moment, and all refusals since the start. */
export interface BackpressureMetrics {
  /** Calls that run. */
  readonly active: number;
  /** Calls that queue. */
  readonly queued: number;
  /** All refused calls. */
  readonly totalRejected: number;
  /** Refused calls that found no free slot and no queue. */
  readonly rejectedConcurrencyLimit: number;
  /** Refused calls that found the queue full. */
  readonly rejectedQueueFull: number;
  /** Refused calls that waited longer than `queueTimeout`. */
  readonly rejectedQueueTimeout: number;
}

/** The problems of limits, each with the name of its option. */
function limitProblems(limits: BackpressureLimits, prefix: string): OptionProblem[] {
  const { maxConcurrent, queueSize, queueTimeout } = limits;
  const problem = (name: string, allowed: string): OptionProblem => ({
    field: `${prefix}${name}`,
    message: `${prefix}${name} must be ${allowed}`,
  });
  const isCount = (value: unknown, min: number): boolean =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
  return [
    ...(isCount(maxConcurrent, 1) ? [] : [problem('maxConcurrent', 'an integer >= 1')]),
    ...(queueSize === undefined || isCount(queueSize, 0) ? [] : [problem('queueSize', 'an integer >= 0')]),
    ...(queueTimeout === undefined || (Number.isFinite(queueTimeout) && queueTimeout > 0)
      ? []
      : [problem('queueTimeout', 'a number of seconds > 0')]),
  ];
}

const LIMITS = ['maxConcurrent', 'queueSize', 'queueTimeout'];
const NAMES = [...LIMITS, 'overloadErrorCode', 'tools', 'perClient', 'clientOf', 'onOverload', 'clock'];

/** All problems of the options. Pure. */
export function backpressureProblems(options: BackpressureOptions): OptionProblem[] {
  const { tools = {}, perClient, overloadErrorCode, clientOf, onOverload } = options;
  const unknown = Object.keys(options)
    .filter((name) => !NAMES.includes(name))
    .map((field) => ({ field, message: `${field} is not an option${didYouMean(field, NAMES)}` }));
  const notFunctions = Object.entries({ clientOf, onOverload })
    .filter(([, value]) => value !== undefined && typeof value !== 'function')
    .map(([field]) => ({ field, message: `${field} must be a function` }));
  const isCode = overloadErrorCode === undefined || Number.isSafeInteger(overloadErrorCode);
  return [
    ...unknown,
    ...limitProblems(options, ''),
    ...Object.entries(tools).flatMap(([name, limits]) => limitProblems(limits, `tools.${name}.`)),
    ...(perClient ? limitProblems(perClient, 'perClient.') : []),
    ...(isCode ? [] : [{ field: 'overloadErrorCode', message: 'overloadErrorCode must be an integer' }]),
    ...notFunctions,
  ];
}
