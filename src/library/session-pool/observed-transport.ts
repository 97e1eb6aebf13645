import { isObject } from '../../core/jsonrpc/message.ts';
import { wrapped } from '../wrapped-transport.ts';
import type { PoolTransport } from './session.ts';
import { faultOfError, faultOfReply, type SessionFault } from './session-fault.ts';

export interface TransportObserver {
  onFault(fault: SessionFault): void;
  onClosed(): void;
  /** The server requested a pause. */
  onPause(ms: number): void;
  onToolsChanged(): void;
}

type Callback = (...args: unknown[]) => void;

/** Wraps a transport, so that the pool observes its failures and notifications. */
export function observed(transport: PoolTransport, observer: TransportObserver): PoolTransport {
  const observe = (message: unknown): void => {
    if (!isObject(message)) return;
    if (message.method === 'notifications/tools/list_changed') observer.onToolsChanged();
    const { error } = message;
    const fault = error === undefined ? undefined : faultOfReply(error);
    if (fault) observer.onFault(fault);
    if (fault === 'throttled' && isObject(error) && isObject(error.data)) {
      const { retryAfterMs } = error.data;
      if (typeof retryAfterMs === 'number' && retryAfterMs > 0) observer.onPause(retryAfterMs);
    }
  };
  const send = async (message: never, options?: never): Promise<void> => {
    try {
      await transport.send(message, options);
    } catch (error) {
      const fault = faultOfError(error);
      if (fault) observer.onFault(fault);
      throw error;
    }
  };
  return wrapped(transport, {
    send,
    onmessage: (given: Callback): Callback => {
      return (message, ...rest) => {
        observe(message);
        given(message, ...rest);
      };
    },
    closing: () => observer.onClosed(),
  });
}
