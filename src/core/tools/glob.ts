/**
 * True where the whole text matches: `*` stands for any run of characters, `?` for exactly one,
 * everything else for itself, case and all. No braces, no classes: tool names hold neither, and a
 * person must see at once what a pattern lets through.
 *
 * Walked by hand and not as a regular expression: `a*a*a*b` against a long name sends that into
 * hours of backtracking, and both come from elsewhere, the pattern from a settings file and the
 * name from a server.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let from = 0;
  /**
   * Behind the last `*`, and how much of the text that one has taken: only that one ever has to
   * take more.
   */
  let star = -1;
  let taken = 0;
  while (at < text.length) {
    const next = pattern[from];
    if (next === '*') {
      star = ++from;
      taken = at;
    } else if (next === '?') {
      from++;
      at += widthAt(text, at);
    } else if (next !== undefined && next === text[at]) {
      from++;
      at++;
    } else if (star >= 0) {
      from = star;
      taken += widthAt(text, taken);
      at = taken;
    } else return false;
  }
  while (pattern[from] === '*') from++;
  return from === pattern.length;
}

/** Astral characters are two units of a string but one character of the pattern. */
const widthAt = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);

/** True where any of the patterns matches; never, where there is none. */
export const matchesAny = (patterns: readonly string[], text: string): boolean =>
  patterns.some((pattern) => matchesGlob(pattern, text));
