const QUOTE = 34;
const BACKSLASH = 92;

/**
 * V8 gives a string of 128 KiB and more memory of its own, which takes longer to provide than the
 * string takes to parse: 8 MB of text are parsed in 5 ms in such pieces, and in 10 ms at once.
 */
const PIECE_BYTES = 64 * 1024;

/** Throws if a text is not JSON. Node.js 22 does so without making the value, in half the time. */
const check: (json: string) => unknown =
  (JSON as { readonly rawJSON?: (json: string) => unknown }).rawJSON ?? JSON.parse;

/** The longest escape: `\u0000`. */
const ESCAPE_BYTES = 6;

/** Pieces that look like the inside of a string and are not, each of which costs an exception. */
const MAX_FAILURES = 8;

/** Long arrays of numbers, which have no quote either; the beginning of a piece tells. */
const NUMBERS = /^[\d\s.,+\-eE[\]]*$/;
const NUMBERS_BYTES = 64;

/** Stands for what was cut out: JSON allows a backslash inside strings only. */
const MARK = Buffer.from('\\b');

/** The character that a string contains from which something was cut out. */
export const CUT = '\b';

/**
 * Shortens the long strings of a JSON text, whose insides are parsed piece by piece and forgotten.
 * If the outline is JSON, then the text is, with the same objects, arrays, numbers and short
 * strings. If it is not, the text may still be.
 * @param json - in valid UTF-8.
 * @returns undefined where no long string was found.
 */
export function outlineOf(json: Buffer, pieceBytes = PIECE_BYTES): string | undefined {
  const quoted = Buffer.allocUnsafe(pieceBytes + 2);
  const kept: Buffer[] = [];
  let keptFrom = 0;
  let failures = 0;
  // The last piece is never the inside of a string, because the text ends there.
  for (let at = 0; at + pieceBytes < json.length && failures < MAX_FAILURES; ) {
    const end = pieceEnd(json, at, pieceBytes);
    if (end <= at) break;
    const piece = json.subarray(at, end);
    if (mayBeInside(piece)) {
      if (isInside(piece, quoted)) {
        if (kept.length === 0 || at > keptFrom) kept.push(json.subarray(keptFrom, at), MARK);
        keptFrom = end;
      } else failures++;
    }
    at = end;
  }
  if (kept.length === 0) return undefined;
  kept.push(json.subarray(keptFrom));
  return Buffer.concat(kept).toString();
}

/** Finds the end of a piece: not behind a backslash, nor inside an escape or a character. */
function pieceEnd(json: Buffer, from: number, pieceBytes: number): number {
  let end = from + pieceBytes;
  while (isContinuation(json[end])) end--;
  const last = json.subarray(Math.max(from, end - ESCAPE_BYTES), end).lastIndexOf(BACKSLASH);
  if (last < 0) return end;
  end = Math.max(from, end - ESCAPE_BYTES) + last;
  while (end > from && json[end - 1] === BACKSLASH) end--;
  return end;
}

/** True for a byte of a UTF-8 character that is not its first. */
const isContinuation = (byte = 0): boolean => (byte & 0xc0) === 0x80;

/** A first look, which rules most pieces out that hold keys or whole strings. */
function mayBeInside(piece: Buffer): boolean {
  const quote = piece.indexOf(QUOTE);
  if (quote >= 0) return piece[quote - 1] === BACKSLASH;
  return !NUMBERS.test(piece.toString('latin1', 0, NUMBERS_BYTES));
}

/**
 * True where the piece, put between quotes, is a JSON string. In Latin-1, because JSON allows all
 * characters beyond ASCII there, and nowhere else.
 * @param quoted - where it is put between quotes.
 */
function isInside(piece: Buffer, quoted: Buffer): boolean {
  quoted[0] = QUOTE;
  piece.copy(quoted, 1);
  quoted[piece.length + 1] = QUOTE;
  try {
    check(quoted.toString('latin1', 0, piece.length + 2));
    return true;
  } catch {
    return false;
  }
}
