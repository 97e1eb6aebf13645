/**
 * True where the whole text matches: `*` stands for any run of characters, `?` for exactly one,
 * everything else for itself, case and all. No braces, no classes: tool names hold neither, and a
 * person must see at once what a pattern lets through.
 *
 * No regular expression: `a*a*a*b` against a long name would backtrack for hours. The pieces
 * between two `*` are searched one after the other, each from where the one before it ended.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  const last = others.pop();
  let at = endOf(first, text, 0);
  if (last === undefined) return at === text.length;
  for (const piece of others) {
    if (at < 0) return false;
    at = find(piece, text, at);
  }
  if (at < 0) return false;
  const start = startFromEnd(last, text);
  return (
    start >= at && !(start > at && splitsCharacter(text, start)) && endOf(last, text, start) === text.length
  );
}

/** Where the piece ends that is looked for at exactly this place; -1 where it is not there. */
function endOf(piece: string, text: string, from: number): number {
  if (!piece.includes('?')) return text.startsWith(piece, from) ? from + piece.length : -1;
  let at = from;
  for (let next = 0; next < piece.length; next++) {
    if (at >= text.length) return -1;
    if (piece[next] === '?') at += widthAt(text, at);
    else if (piece[next] === text[at]) at++;
    else return -1;
  }
  return at;
}

/** The end of the first match of the piece from here on; -1 without a match. */
function find(piece: string, text: string, from: number): number {
  if (!piece.includes('?')) {
    let at = text.indexOf(piece, from);
    while (at >= 0 && splitsCharacter(text, at)) at = text.indexOf(piece, at + 1);
    return at < 0 ? -1 : at + piece.length;
  }
  for (let at = from; at < text.length; at += widthAt(text, at)) {
    const end = endOf(piece, text, at);
    if (end >= 0) return end;
  }
  return -1;
}

/** Where a piece must start to end with the text; below zero where the text is too short. */
function startFromEnd(piece: string, text: string): number {
  let at = text.length;
  for (let next = piece.length - 1; next >= 0; next--) {
    at -= piece[next] === '?' && at >= 2 && widthAt(text, at - 2) === 2 ? 2 : 1;
  }
  return at;
}

/** Astral characters are two units of a string but one character of the pattern. */
const widthAt = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);

/** True in the middle of a character of two units. */
const splitsCharacter = (text: string, at: number): boolean => at > 0 && widthAt(text, at - 1) === 2;

/** True if any of the patterns matches; false for an empty list. */
export const matchesAny = (patterns: readonly string[], text: string): boolean =>
  patterns.some((pattern) => matchesGlob(pattern, text));
