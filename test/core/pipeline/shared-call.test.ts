import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import type { Call, Emit } from '../../../src/core/pipeline/call.ts';
import { SharedCall } from '../../../src/core/pipeline/shared-call.ts';
import { CANCELLED, makeCall, messageOf, requestOf, settle } from '../../support/make-call.ts';

const ORIGIN = { profile: '', gone: new Promise<void>(() => undefined) };

/** Work that the test ends, or that the signal of its call does. */
function flying(leader = makeCall(requestOf('tools/list', {}, 0))) {
  let end: (value: string) => void = () => undefined;
  let carried: Call = leader.call;
  const flight = new SharedCall<string>(leader.call, (call) => {
    carried = call;
    return new Promise((resolve, reject) => {
      end = resolve;
      call.signal.addEventListener('abort', () => reject(new Error('cut', { cause: call.signal.reason })));
    });
  });
  return { flight, leader, end: (value: string) => end(value), carried };
}

describe('single flight', () => {
  it('single flight runs once and returns the same to all callers', async () => {
    const { flight, leader, end } = flying();
    const both = [flight.join(leader.call), flight.join(makeCall(requestOf('tools/list', {}, '')).call)];
    expect(flight.shared).toBe(true);
    end('done');
    expect(await Promise.all(both)).toEqual(['done', 'done']);
    expect(flight.abandoned).toBe(false);
    expect(flight.shared).toBe(false);
  });

  it('single flight goes on when one caller aborts, the first included', async () => {
    const { flight, leader, end } = flying();
    const other = makeCall(requestOf('tools/list', {}, -1));
    const left = flight.join(leader.call);
    const stayed = flight.join(other.call);
    leader.cancel();
    await expect(left).rejects.toBe(CANCELLED);
    expect(flight.shared).toBe(true);
    end('done');
    expect(await stayed).toBe('done');
  });

  it('single flight ends with its last caller, which receives how far it got', async () => {
    const { flight, leader } = flying();
    const other = makeCall(requestOf('tools/list', {}, 1));
    const waits = [flight.join(leader.call), flight.join(other.call)];
    other.cancel();
    await expect(waits[1]).rejects.toBe(CANCELLED);
    expect(flight.abandoned).toBe(false);
    leader.cancel();
    await expect(waits[0]).rejects.toMatchObject({ message: 'cut', cause: CANCELLED });
    expect(flight.abandoned).toBe(true);
    await flight.ended;
  });

  it('an aborted caller does not join a single flight', async () => {
    const { flight, leader, end } = flying();
    const late = makeCall(requestOf('tools/list'));
    late.cancel();
    await expect(flight.join(late.call)).rejects.toBe(CANCELLED);
    const waits = flight.join(leader.call);
    expect(flight.shared).toBe(false);
    end('done');
    expect(await waits).toBe('done');
  });

  it('single flight emits messages to a caller that still waits', async () => {
    const received: string[] = [];
    const ear =
      (name: string): Emit =>
      async () =>
        void received.push(name);
    const leader = makeCall(requestOf('tools/list', {}, 0), { emit: ear('leader') });
    const other = makeCall(requestOf('tools/list', {}, 1), { emit: ear('other') });
    const { flight, carried, end } = flying(leader);
    const said: Message = messageOf({ method: 'notifications/tools/list_changed' });
    await carried.emit(said, ORIGIN);
    const left = flight.join(leader.call).catch(() => undefined);
    const stayed = flight.join(other.call);
    await carried.emit(said, ORIGIN);
    leader.cancel();
    await left;
    await carried.emit(said, ORIGIN);
    end('done');
    await stayed;
    expect(received).toEqual(['leader', 'leader', 'other']);
  });

  it('single flight rejects for all callers alike when it fails', async () => {
    const { call } = makeCall(requestOf('tools/list'));
    const flight = new SharedCall<string>(call, () => Promise.reject(new Error('down')));
    await flight.ended;
    await settle();
    await expect(flight.join(call)).rejects.toThrow('down');
  });
});
