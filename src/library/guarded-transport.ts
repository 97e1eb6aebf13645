import { idKey, isId, isObject, type JsonObject } from '../core/jsonrpc/message.ts';
import type { Slot } from '../core/pipeline/limits.ts';
import { CallController } from '../core/time/call-signal.ts';
import { OverloadedError } from '../layers/backpressure.ts';
import { wrapped } from './wrapped-transport.ts';

type MessageHandler = (message: object, extra?: object) => void;

/** The parts of a server transport of either generation of the SDK. */
export interface ServerTransport {
  onmessage?: MessageHandler | undefined;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  sessionId?: string | undefined;
  send(message: object, options?: object): Promise<void>;
}

/** The limits that admit the calls of a guarded transport. */
export interface Admission {
  /** Runs `run` at once, or when the call has its slots. @throws OverloadedError. */
  admit(
    call: { readonly tool: string; readonly client: string },
    signal: AbortSignal,
    run: (slots: readonly Slot[]) => void,
  ): Promise<void> | undefined;
  release(client: string, slots: readonly Slot[]): void;
  clientOf(message: object, extra: object | undefined, sessionId: string | undefined): string;
}

const INTERNAL_ERROR = -32603;
const UNKNOWN_CLIENT =
  'The client of this call is unknown, because a function of the server failed. The call did not run.';

/** A tool call that queues or runs. */
interface GuardedCall {
  readonly client: string;
  readonly controller: CallController;
  /** Undefined while it queues. */
  slots: readonly Slot[] | undefined;
}

/** Returns the transport with limits: its tool calls reach the server when they have slots. */
export function guarded<T extends ServerTransport>(backpressure: Admission, transport: T): T {
  const calls = new Map<string, GuardedCall>();
  const end = (key: string): void => {
    const call = calls.get(key);
    calls.delete(key);
    if (call?.slots) backpressure.release(call.client, call.slots);
  };
  const closeAll = (): void => {
    for (const [key, { controller }] of [...calls]) {
      controller.abort(new Error('the connection was closed'));
      end(key);
    }
  };
  const refuse = (id: string | number, error: unknown): void => {
    if (!(error instanceof OverloadedError)) return;
    const answer = { jsonrpc: '2.0', id, error: error.toJsonRpc() };
    transport.send(answer, { relatedRequestId: id }).catch(() => undefined);
  };
  const receive = (handler: MessageHandler, message: object, extra?: object): void => {
    const { id, method, params } = message as JsonObject;
    const { name, requestId } = isObject(params) ? params : ({} as JsonObject);
    if (method === 'notifications/cancelled' && isId(requestId)) {
      const key = idKey(requestId);
      const call = calls.get(key);
      call?.controller.abort(new Error('cancelled'));
      end(key);
      // The server has not received a call that was still queued.
      if (!call || call.slots) handler(message, extra);
      return;
    }
    if (method !== 'tools/call' || !isId(id) || calls.has(idKey(id))) {
      handler(message, extra);
      return;
    }
    const key = idKey(id);
    let client: string;
    try {
      client = backpressure.clientOf(message, extra, transport.sessionId);
    } catch (error) {
      // Only the program receives the cause; the caller receives a general error.
      const answer = { jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message: UNKNOWN_CLIENT } };
      transport.send(answer, { relatedRequestId: id }).catch(() => undefined);
      transport.onerror?.(error as Error);
      return;
    }
    const call: GuardedCall = { client, controller: new CallController(), slots: undefined };
    calls.set(key, call);
    const failed = (error: unknown): void => {
      if (calls.get(key) === call) calls.delete(key);
      refuse(id, error);
    };
    const run = (slots: readonly Slot[]): void => {
      // Cancelled between the grant and this turn: its places are free, and it must not run.
      if (call.controller.signal.aborted) {
        backpressure.release(client, slots);
        return;
      }
      call.slots = slots;
      handler(message, extra);
    };
    try {
      const tool = typeof name === 'string' ? name : '';
      backpressure.admit({ tool, client }, call.controller.signal, run)?.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
  const send = async (message: object, options?: object): Promise<void> => {
    const { id, method } = message as JsonObject;
    try {
      await transport.send(message, options);
    } finally {
      if (method === undefined && isId(id)) end(idKey(id));
    }
  };
  return wrapped(transport, {
    send,
    onmessage: (given: MessageHandler): MessageHandler => {
      return (message, extra) => receive(given, message, extra);
    },
    closing: closeAll,
  });
}
