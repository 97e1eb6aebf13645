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
  it('the memory for bodies is shared and bounded, and complete bodies keep theirs', () => {
    const { open, dropped } = rig();
    const bodies = [open('first'), open('second'), open('third')];
    expect(bodies[0]?.reserve(128 * MIB)).toBe(true);
    expect(bodies[1]?.reserve(128 * MIB)).toBe(true);
    for (const body of bodies.slice(0, 2)) body.complete();
    expect(bodies[2]?.reserve(2 * MIB)).toBe(false);
    bodies[0]?.release();
    bodies[0]?.release();
    expect(bodies[2]?.reserve(2 * MIB)).toBe(true);
    expect(dropped).toEqual([]);
  });

  it('the memory for bodies always has room for an ordinary request', () => {
    const { open, held } = rig();
    const first = open('first');
    expect(first.reserve(256 * MIB)).toBe(true);
    first.complete();
    for (let count = 0; count < 1_024; count++) expect(open('short').reserve(held.exemptBytes)).toBe(true);
    expect(held.exemptBytes).toBe(64 * 1024);
    expect(rig(65_536).held.exemptBytes).toBe(1024);
  });

  it('the memory for bodies is taken from the oldest incomplete body of the largest user', () => {
    const { open, dropped } = rig();
    const victim = open('victim', 'b');
    expect(victim.reserve(16 * MIB)).toBe(true);
    for (let count = 0; count < 15; count++) {
      expect(open(`many-${count}`, 'a', count < 12 ? 's' : 't').reserve(16 * MIB)).toBe(true);
    }
    expect(victim.reserve(2 * MIB)).toBe(true);
    expect(dropped).toEqual(['many-0']);
    // The caller with the most bytes has to make room itself.
    expect(open('one more', 'a', 's').reserve(17 * MIB)).toBe(true);
    expect(dropped).toEqual(['many-0', 'many-1']);
  });

  it('the memory for bodies is refused to a body that itself is the largest', () => {
    const { open, dropped } = rig();
    const small = open('small', 'b');
    expect(small.reserve(MIB)).toBe(true);
    const large = open('large');
    expect(large.reserve(255 * MIB)).toBe(true);
    expect(large.reserve(2 * MIB)).toBe(false);
    expect(dropped).toEqual([]);
  });
});
