/** Two typing errors. With more, any guess is arbitrary. */
const MAX_SLIPS = 2;

/** True if one word is probably a misspelling of the other. */
export const isNearly = (one: string, other: string): boolean => distance(one, other) <= MAX_SLIPS;

/** The Levenshtein distance: letters added, removed or replaced. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const exchanged = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(exchanged, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
