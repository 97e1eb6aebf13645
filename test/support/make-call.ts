import type { Id, Message } from '../../src/core/jsonrpc/message.ts';
import { readLine, readMessages } from '../../src/core/jsonrpc/parse.ts';
import type { Call, Deadline, Emit, Reply } from '../../src/core/pipeline/call.ts';

/** A client's message, as the relay would pass it to the first layer. */
export function messageOf(json: Readonly<Record<string, unknown>>): Message {
  const line = readLine(JSON.stringify({ jsonrpc: '2.0', ...json }));
  if (line.kind !== 'message') throw new Error(`no message: ${JSON.stringify(json)}`);
  return line.message;
}

export const requestOf = (method: string, params?: unknown, id: Id = 0): Message =>
  messageOf({ id, method, ...(params === undefined ? {} : { params }) });

/** A deadline that only counts how often it is held. */
export class HeldDeadline implements Deadline {
  remainingMs = Number.POSITIVE_INFINITY;
  holds = 0;
  held = 0;

  hold(): () => void {
    this.holds++;
    this.held++;
    let over = false;
    return () => {
      if (!over) this.held--;
      over = true;
    };
  }
}

export interface MadeCall {
  readonly call: Call & { readonly deadline: HeldDeadline };
  cancel(reason?: unknown): void;
}

export const CANCELLED = new Error('cancelled by the client');

/** One call, and the means to cancel it. */
export function makeCall(message: Message, { emit = async () => undefined }: { emit?: Emit } = {}): MadeCall {
  const controller = new AbortController();
  const { signal } = controller;
  const call = {
    message,
    client: { id: 'client-1' },
    profile: '',
    signal,
    emit,
    deadline: new HeldDeadline(),
  };
  return { call, cancel: (reason = CANCELLED) => controller.abort(reason) };
}

/** A tools/call; the ids 0, -1 and "" are valid. */
export const makeToolCall = (id: Id = 0, name = 'tool'): MadeCall =>
  makeCall(requestOf('tools/call', { name, arguments: {} }, id));

/** The server's answer to it, with the HTTP facts that it came by. */
export function answerOf(
  json: Readonly<Record<string, unknown>>,
  http?: { status: number; headers?: Readonly<Record<string, string>> },
): Reply {
  const [message] = readMessages(JSON.stringify({ jsonrpc: '2.0', id: 0, ...json }));
  if (message?.kind !== 'response') throw new Error(`no answer: ${JSON.stringify(json)}`);
  return {
    kind: 'answer',
    message,
    ...(http ? { http: { status: http.status, headers: http.headers ?? {} } } : {}),
  };
}

export const RESULT: Reply = answerOf({ result: { content: [] } }, { status: 200 });

/** Lets every promise that can go on do so. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
