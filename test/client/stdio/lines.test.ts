import { describe, expect, it, vi } from 'vitest';
import { LineSplitter } from '../../../src/client/stdio/lines.ts';
import { fc } from '../../support/property.ts';

function split(chunks: readonly Uint8Array[], longest?: number) {
  const lines: string[] = [];
  const tooLong: number[] = [];
  const splitter = new LineSplitter(
    { line: (bytes) => lines.push(bytes.toString('utf8')), tooLong: (bytes) => tooLong.push(bytes) },
    longest,
  );
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.end();
  return { lines, tooLong };
}

/** Cuts bytes at the given places, which may fall inside a character. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
}

const text = fc
  .array(fc.constantFrom('a', 'é', '€', '😀', '\n', '\r\n', '\r', ' ', '\t', '{"x":1}', '\u2028', '\u0085'))
  .map((parts) => parts.join(''));

describe('lines', () => {
  it('lines are the same wherever chunks are cut, inside characters and line ends too', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 8 }), (whole, places) => {
        const expected = whole
          .split('\n')
          .map((line) => line.replace(/\r$/, ''))
          .filter((line) => /[^ \t\r]/.test(line));
        expect(split(cut(Buffer.from(whole), places)).lines).toEqual(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  it('lines are the same byte by byte', () => {
    const whole = Buffer.from('{"t":"é€😀"}\r\n\r\n  \n{"last":true}');
    expect(split([...whole].map((byte) => Buffer.from([byte]))).lines).toEqual([
      '{"t":"é€😀"}',
      '{"last":true}',
    ]);
  });

  it('lines end at LF and CR LF, not at a lone CR or at line separators of Unicode', () => {
    expect(split([Buffer.from('a\rb\r\nc\u2028d\u0085e\n')]).lines).toEqual(['a\rb', 'c\u2028d\u0085e']);
  });

  it('the last line may lack an end', () => {
    expect(split([Buffer.from('a\nb')]).lines).toEqual(['a', 'b']);
    expect(split([Buffer.from('a\nb\r')]).lines).toEqual(['a', 'b']);
    expect(split([Buffer.from('a\n')]).lines).toEqual(['a']);
    expect(split([]).lines).toEqual([]);
  });

  it('a line of 20 MB is joined once, however many chunks it has', () => {
    const chunk = Buffer.alloc(65_536, 'x');
    const chunks = Array.from({ length: 320 }, () => chunk);
    const concat = vi.spyOn(Buffer, 'concat');
    try {
      const { lines } = split([...chunks, Buffer.from('\nshort\n')]);
      expect(lines.map(({ length }) => length)).toEqual([320 * 65_536, 5]);
      expect(concat).toHaveBeenCalledOnce();
    } finally {
      concat.mockRestore();
    }
  });

  it('a line in one chunk is not copied', () => {
    const concat = vi.spyOn(Buffer, 'concat');
    try {
      expect(split([Buffer.from('a\nb\nc\n')]).lines).toEqual(['a', 'b', 'c']);
      expect(concat).not.toHaveBeenCalled();
    } finally {
      concat.mockRestore();
    }
  });
});

describe('a line that is too long', () => {
  it('a line that is too long is counted and dropped, and the next line is read', () => {
    const chunks = ['12345', '67890', '123\nshort\n', '123456789', '0', '\n'].map((part) =>
      Buffer.from(part),
    );
    expect(split(chunks, 10)).toEqual({ lines: ['short', '1234567890'], tooLong: [13] });
  });

  it('a line that is too long is never joined', () => {
    const concat = vi.spyOn(Buffer, 'concat');
    try {
      const chunks = Array.from({ length: 1_000 }, () => Buffer.alloc(1_000, 'x'));
      expect(split([...chunks, Buffer.from('\n')], 5_000).tooLong).toEqual([1_000_000]);
      expect(concat).not.toHaveBeenCalled();
    } finally {
      concat.mockRestore();
    }
  });

  it('a line that is too long may be the last, without an end', () => {
    expect(split([Buffer.from('a\n12345678901')], 10)).toEqual({ lines: ['a'], tooLong: [11] });
  });
});
