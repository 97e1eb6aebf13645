import { setTimeout as wait } from 'node:timers/promises';
import type { EventWriter, Rpc } from './mcp-answers.ts';

/** The parts that the answer to a call needs. */
export interface ToolContext {
  readonly id: unknown;
  readonly params: Record<string, unknown>;
  /** Answers in the server's manner: JSON, or one event of a stream. */
  result(result: unknown): void;
  error(code: number, message: string, data?: unknown): void;
  /** Begins an SSE answer; write to it, then `end` it. */
  events(): EventWriter;
  /**
   * Sends a request of the server's own down the given stream and waits for the client's POSTed
   * answer.
   */
  ask(via: EventWriter, method: string, params?: unknown): Promise<Rpc>;
}

type Arguments = Record<string, unknown>;
type Tool = (context: ToolContext, args: Arguments) => void | Promise<void>;

const textResult = (text: string): unknown => ({ content: [{ type: 'text', text }] });

const numberOf = (args: Arguments, name: string, fallback: number): number => {
  const value = args[name];
  return typeof value === 'number' ? value : fallback;
};

/** Answers with its arguments as JSON text. */
const echo: Tool = (context, args) => context.result(textResult(JSON.stringify(args)));

const sleep: Tool = async (context, args) => {
  await wait(numberOf(args, 'ms', 0));
  context.result(textResult('slept'));
};

/** Asks the user in mid-call, on the call's own stream, and answers with what came back. */
const elicit: Tool = async (context, args) => {
  const events = context.events();
  const message = typeof args.message === 'string' ? args.message : 'Go on?';
  const requestedSchema = { type: 'object', properties: { name: { type: 'string' } } };
  const answer = await context.ask(events, 'elicitation/create', { message, requestedSchema });
  events.send({
    jsonrpc: '2.0',
    id: context.id,
    result: textResult(JSON.stringify(answer.result ?? answer.error)),
  });
  events.end();
};

/** Sends `steps` progress notifications, if the client gave a token, and then the result. */
const progress: Tool = (context, args) => {
  const events = context.events();
  const meta = context.params._meta;
  const token =
    typeof meta === 'object' && meta !== null && 'progressToken' in meta ? meta.progressToken : undefined;
  const total = numberOf(args, 'steps', 3);
  for (let step = 1; token !== undefined && step <= total; step++) {
    const params = { progressToken: token, progress: step, total };
    events.send({ jsonrpc: '2.0', method: 'notifications/progress', params });
  }
  events.send({ jsonrpc: '2.0', id: context.id, result: textResult('done') });
  events.end();
};

const big: Tool = (context, args) =>
  context.result(textResult('x'.repeat(numberOf(args, 'bytes', 1_000_000))));

export const READY_MADE_TOOLS: Readonly<Record<string, Tool>> = { echo, sleep, elicit, progress, big };

const define = (
  name: string,
  properties: Record<string, string>,
  annotations?: Record<string, unknown>,
): unknown => ({
  name,
  description: `The ${name} tool`,
  inputSchema: {
    type: 'object',
    properties: Object.fromEntries(Object.entries(properties).map(([key, type]) => [key, { type }])),
  },
  ...(annotations === undefined ? {} : { annotations }),
});

export const TOOL_DEFINITIONS: readonly unknown[] = [
  define('echo', { text: 'string' }, { readOnlyHint: true }),
  define('sleep', { ms: 'number' }),
  define('elicit', { message: 'string' }),
  define('progress', { steps: 'number' }),
  define('big', { bytes: 'number' }, { idempotentHint: true }),
];
