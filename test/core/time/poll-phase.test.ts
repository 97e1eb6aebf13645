import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { afterPoll, currentTurn, hasPolledSince } from '../../../src/core/time/poll-phase.ts';

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

/** The finding of an action after the poll phase. */
const found = (find: () => boolean): Promise<boolean> =>
  new Promise((resolve) => afterPoll(() => resolve(find())));

describe('a poll phase since a turn', () => {
  it('a poll phase since a turn is known to an action that was added in a later turn', async () => {
    const turn = currentTurn();
    await nextTurn();
    expect(await found(() => hasPolledSince(turn))).toBe(true);
  });

  it('a poll phase since a turn is not known to an action of the same turn, whichever began first', async () => {
    const before = currentTurn();
    const after = found(() => hasPolledSince(before));
    expect(await after).toBe(false);
    await nextTurn();
    const earlier = found(() => hasPolledSince(turn));
    const turn = currentTurn();
    expect(await earlier).toBe(false);
  });

  it('a poll phase since a turn is not known to an action of the same turn that adds another one', async () => {
    const turn = currentTurn();
    const seen = found(() => {
      afterPoll(() => undefined);
      return hasPolledSince(turn);
    });
    expect(await seen).toBe(false);
  });

  it('a poll phase since a turn is not known outside an action', async () => {
    const turn = currentTurn();
    await nextTurn();
    expect(await found(() => hasPolledSince(turn))).toBe(true);
    expect(hasPolledSince(turn)).toBe(false);
  });
});
