import { describe, expect, it } from 'vitest';
import { CallController } from '../../../src/core/time/call-signal.ts';

describe.each([
  ['AbortController', () => new AbortController()],
  ['CallController', () => new CallController()],
])('the signal of %s', (_whose, make) => {
  it('an aborted signal reports its state and keeps the first reason', () => {
    const { signal, ...controller } = controllerOf(make);
    expect([signal.aborted, signal.reason]).toEqual([false, undefined]);
    signal.throwIfAborted();
    controller.abort('first');
    controller.abort('second');
    expect([signal.aborted, signal.reason]).toEqual([true, 'first']);
    expect(() => signal.throwIfAborted()).toThrow('first');
  });

  it('an aborted signal calls its listeners once, in order, and after its state has changed', () => {
    const { signal, abort } = controllerOf(make);
    const received: unknown[] = [];
    signal.addEventListener('abort', () => received.push(['a', signal.aborted, signal.reason]));
    signal.addEventListener('abort', { handleEvent: ({ type }) => received.push(type) }, { once: true });
    signal.addEventListener('other', () => received.push('other'));
    abort(0);
    abort(1);
    expect(received).toEqual([['a', true, 0], 'abort']);
  });

  it('a signal calls a listener once, however often it was added, and not after its removal', () => {
    const { signal, abort } = controllerOf(make);
    const received: string[] = [];
    const twice = (): void => void received.push('twice');
    const removed = (): void => void received.push('removed');
    for (const listener of [twice, removed, twice]) signal.addEventListener('abort', listener);
    signal.removeEventListener('abort', removed);
    abort('');
    expect(received).toEqual(['twice']);
  });

  it('a signal does not call a listener that an earlier one removed, or that was added too late', () => {
    const { signal, abort } = controllerOf(make);
    const received: string[] = [];
    const later = (): void => void received.push('later');
    signal.addEventListener('abort', () => {
      signal.removeEventListener('abort', later);
      signal.addEventListener('abort', () => received.push('too late'));
    });
    signal.addEventListener('abort', later);
    abort('');
    signal.addEventListener('abort', later);
    expect(received).toEqual([]);
  });

  it('a signal calls the other listeners if one throws, and the error reaches the process', async () => {
    const { signal, abort } = controllerOf(make);
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
    try {
      const received: string[] = [];
      signal.addEventListener('abort', () => {
        throw new Error('broken');
      });
      signal.addEventListener('abort', () => received.push('received'));
      abort('');
      expect(received).toEqual(['received']);
      expect(await uncaught).toEqual(new Error('broken'));
    } finally {
      for (const other of others) process.on('uncaughtException', other);
    }
  });
});

function controllerOf(make: () => { readonly signal: AbortSignal; abort(reason: unknown): void }) {
  const controller = make();
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
}
