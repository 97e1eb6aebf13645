import type { GivenTexts } from '../../config/option.ts';
import { readProfileFacts } from './shared-files.ts';

/** Blanks, commas and line ends separate the names of a list. */
const SEPARATOR = /[\s,]/;

/**
 * The profiles that an option or variable names. Reads the AWS files only if a name may contain
 * blanks or commas.
 * @param words - the value, split at blanks and commas.
 */
export async function profilesIn(
  raw: GivenTexts | undefined,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<readonly string[]> {
  if (raw === undefined || raw.how === 'single' || words.length === 0) return words;
  const values = raw.how === 'variable' ? raw.texts.flatMap((text) => text.split(/\r?\n/)) : raw.texts;
  if (!values.some((value) => mayNameSeveral(value) || /["']/.test(value))) return words;
  const { known } = await readProfileFacts(undefined, env);
  return profileNames(values, known);
}

/** True if a value may name several profiles. Only the AWS files decide. */
export const mayNameSeveral = (value: string): boolean => SEPARATOR.test(value.trim());

/**
 * Splits the values of a list into profile names. The longest run of words that is a profile wins:
 * `my dev` never becomes `my`. Quotes make one name, whether the profile exists or not.
 * @param known - all profiles in the AWS files.
 */
export function profileNames(values: readonly string[], known: readonly string[]): string[] {
  const spaced = known.filter((name) => SEPARATOR.test(name)).sort((one, other) => other.length - one.length);
  const isKnown = new Set(known);
  return values.flatMap((value) => (isKnown.has(value) ? [value] : split(value, spaced)));
}

function split(value: string, spaced: readonly string[]): string[] {
  const names: string[] = [];
  let at = 0;
  while (at < value.length) {
    if (SEPARATOR.test(value.charAt(at))) {
      at++;
      continue;
    }
    const word = /[^\s,]+/y;
    word.lastIndex = at;
    const name =
      spaced.find((each) => value.startsWith(each, at) && endsAt(value, at + each.length)) ??
      word.exec(value)?.[0] ??
      '';
    const quoted = quotedAt(value, at);
    names.push(quoted ?? name);
    at += quoted === undefined ? name.length : quoted.length + 2;
  }
  return names;
}

const endsAt = (value: string, at: number): boolean => at >= value.length || SEPARATOR.test(value.charAt(at));

/** The text between quotes that begin here and end a word; undefined without such quotes. */
function quotedAt(value: string, at: number): string | undefined {
  const quote = value.charAt(at);
  if (quote !== '"' && quote !== "'") return undefined;
  for (let end = value.indexOf(quote, at + 1); end > 0; end = value.indexOf(quote, end + 1)) {
    if (end > at + 1 && endsAt(value, end + 1)) return value.slice(at + 1, end);
  }
  return undefined;
}

/** The profiles that a proxy signs with; the default chain ("") counts as one. */
export const servedProfiles = ({
  profiles,
  defaultProfile,
}: {
  readonly profiles: readonly string[];
  readonly defaultProfile: string;
}): readonly string[] => (profiles.length === 0 ? [defaultProfile] : profiles);

/** The list value that means this profile only. */
export function toListValue(name: string, known: readonly string[]): string {
  if (known.includes(name) || !(mayNameSeveral(name) || /^["']/.test(name))) return name;
  return name.includes('"') ? `'${name}'` : `"${name}"`;
}
