import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { afterPoll } from '../../../src/core/time/poll-phase.ts';

describe('actions after the poll phase', () => {
  it('actions after the poll phase run in order, and the promises that the first one settles after the last one', async () => {
    const seen: string[] = [];
    afterPoll(() => {
      seen.push('first');
      void Promise.resolve().then(() => seen.push('promise of the first'));
    });
    afterPoll(() => seen.push('second'));
    expect(seen).toEqual([]);
    await nextTurn();
    expect(seen).toEqual(['first', 'second', 'promise of the first']);
  });

  it('an action that is added while others run after the poll phase runs in the next turn', async () => {
    const seen: string[] = [];
    afterPoll(() => {
      afterPoll(() => seen.push('added'));
      seen.push('first');
    });
    afterPoll(() => seen.push('second'));
    await nextTurn();
    expect(seen).toEqual(['first', 'second']);
    await nextTurn();
    expect(seen).toEqual(['first', 'second', 'added']);
  });

  it('an action after the poll phase runs if the one before it throws, and the error reaches the process', async () => {
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
    try {
      const seen: string[] = [];
      afterPoll(() => {
        throw new Error('broken');
      });
      afterPoll(() => seen.push('second'));
      expect(await uncaught).toEqual(new Error('broken'));
      expect(seen).toEqual(['second']);
    } finally {
      for (const other of others) process.on('uncaughtException', other);
    }
  });
});
