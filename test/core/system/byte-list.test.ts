import { describe, expect, it } from 'vitest';
import { ByteList } from '../../../src/core/system/byte-list.ts';
import { fc } from '../../support/property.ts';

describe('a list of bytes', () => {
  it('a byte list returns what was appended, in pieces of any size', () => {
    const piece = fc.oneof(fc.nat(40), fc.nat(6_000), fc.constant(0), fc.constant(70_000));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.boolean(), (lengths, inPieces) => {
        const list = new ByteList();
        const all: Buffer[] = [];
        for (const [at, length] of lengths.entries()) {
          const bytes = Buffer.alloc(length, at + 1);
          all.push(bytes);
          list.append(bytes);
          expect(list.length).toBe(Buffer.concat(all).length);
          if (at % 5 === 0) expect(list.peek().equals(Buffer.concat(all))).toBe(true);
          expect(list.head(20).equals(Buffer.concat(all).subarray(0, 20))).toBe(true);
        }
        const taken = inPieces ? Buffer.concat(list.takePieces()) : list.take();
        expect(taken.equals(Buffer.concat(all))).toBe(true);
        expect(list.length).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('a byte list joins small pieces and keeps a large one as it is', () => {
    const list = new ByteList();
    for (let n = 0; n < 10_000; n++) list.append(Buffer.of(1));
    const large = Buffer.alloc(100_000, 2);
    list.append(large);
    const pieces = list.takePieces();
    expect(pieces.length).toBeLessThan(10);
    expect(pieces.at(-1)).toBe(large);
  });
});
