import { describe, expect, it } from 'vitest';
import { HeldBodies, type HeldBody } from '../../../src/client/http/held-bodies.ts';

const MIB = 1024 * 1024;

function rig(maxClients = 1_024) {
  const held = new HeldBodies(maxClients);
  const dropped: string[] = [];
  const open = (name: string, caller = 'a', session = ''): HeldBody =>
    held.open({ caller, session }, () => dropped.push(name));
  return { held, dropped, open };
}

describe('the memory for bodies', () => {
  it('is one for all, and has an end: complete bodies keep what they have', () => {
    const { open, dropped } = rig();
    const bodies = [open('first'), open('second'), open('third')];
    expect(bodies[0]?.take(128 * MIB)).toBe(true);
    expect(bodies[1]?.take(128 * MIB)).toBe(true);
    for (const body of bodies.slice(0, 2)) body.complete();
    expect(bodies[2]?.take(2 * MIB)).toBe(false);
    bodies[0]?.giveBack();
    bodies[0]?.giveBack();
    expect(bodies[2]?.take(2 * MIB)).toBe(true);
    expect(dropped).toEqual([]);
  });

  it('always has room for an ordinary request', () => {
    const { open, held } = rig();
    const first = open('first');
    expect(first.take(256 * MIB)).toBe(true);
    first.complete();
    for (let count = 0; count < 1_024; count++) expect(open('short').take(held.beginning)).toBe(true);
    expect(held.beginning).toBe(64 * 1024);
    expect(rig(65_536).held.beginning).toBe(1024);
  });

  it('is taken from the oldest incomplete body of the caller and session with most, not from others', () => {
    const { open, dropped } = rig();
    const victim = open('victim', 'b');
    expect(victim.take(16 * MIB)).toBe(true);
    for (let count = 0; count < 15; count++) {
      expect(open(`many-${count}`, 'a', count < 12 ? 's' : 't').take(16 * MIB)).toBe(true);
    }
    expect(victim.take(2 * MIB)).toBe(true);
    expect(dropped).toEqual(['many-0']);
    // Whose own bodies are the most has to make room itself.
    expect(open('one more', 'a', 's').take(17 * MIB)).toBe(true);
    expect(dropped).toEqual(['many-0', 'many-1']);
  });

  it('is refused to a body that itself is the largest', () => {
    const { open, dropped } = rig();
    const small = open('small', 'b');
    expect(small.take(MIB)).toBe(true);
    const large = open('large');
    expect(large.take(255 * MIB)).toBe(true);
    expect(large.take(2 * MIB)).toBe(false);
    expect(dropped).toEqual([]);
  });
});
