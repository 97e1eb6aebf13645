/** Two typing errors. With more, any guess is arbitrary. */
const MAX_SLIPS = 2;

/** True if one word is probably a misspelling of the other. */
export const isMisspellingOf = (one: string, other: string): boolean => distance(one, other) <= MAX_SLIPS;

/** A longer list of suggestions does not help. */
const MAX_SUGGESTIONS = 5;

/**
 * The names that a user may have meant: those that begin with the given text; else those that
 * differ by a typing error; else those that are its beginning, or contain it as a word.
 */
export function similarNames(given: string, names: readonly string[]): string[] {
  const wanted = given.toLowerCase();
  if (wanted === '') return [];
  const isTypo = (name: string): boolean => {
    const length = Math.min(name.length, wanted.length);
    // Two slips turn any word of three letters into any other, one slip any letter.
    return length > 3 ? isMisspellingOf(name, wanted) : length > 1 && distance(name, wanted) === 1;
  };
  const rules: ((name: string) => boolean)[] = [
    (name) => name.startsWith(wanted),
    isTypo,
    (name) => wanted.startsWith(name),
    (name) =>
      wanted.length > 2 &&
      name
        .split(/[^a-z0-9]+/)
        .join(' ')
        .includes(wanted.replace(/[^a-z0-9]+/g, ' ')),
    // Servers put a prefix before the names of their tools: aws___list_regions.
    (name) =>
      name.split(/[^a-z0-9]{2,}|[./]/).some((part) => part.length > 3 && isMisspellingOf(part, wanted)),
  ];
  for (const rule of rules) {
    const found = names.filter((name) => rule(name.toLowerCase()));
    if (found.length > 0) return found.slice(0, MAX_SUGGESTIONS);
  }
  return [];
}

/** The end of an error message: `; did you mean tools?`, or empty where no name is similar. */
export function didYouMean(given: string, names: readonly string[]): string {
  const near = similarNames(given, names);
  return near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
}

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
