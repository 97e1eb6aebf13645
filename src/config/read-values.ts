import { type Configured, givenTextsOf, type OptionTable, type OptionValues, readOption } from './option.ts';
import { urlWithoutSecrets, withoutSecrets } from './secrets.ts';

const MAX_SHOWN_CHARACTERS = 80;

/** A given value for an error message: shortened, and without the secrets that a URL may hold. */
export function displayValue(value: string): string {
  const text = urlWithoutSecrets(value);
  return JSON.stringify(
    text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}...` : text,
  );
}

export interface ReadValues<T extends OptionTable> {
  readonly values: OptionValues<T>;
  /**
   * The flag or variable that gave the value, per option; options with their default are absent.
   */
  readonly from: Record<string, string>;
  readonly problems: readonly string[];
}

/** Reads the values of all options: a flag, a variable, or the configuration file. Never throws. */
export function readValues<T extends OptionTable>(
  table: T,
  given: Readonly<Record<string, readonly string[]>>,
  env: NodeJS.ProcessEnv,
  configured?: Configured,
): ReadValues<T> {
  const values: Record<string, unknown> = {};
  const from: Record<string, string> = {};
  const problems: string[] = [];
  for (const [key, option] of Object.entries(table)) {
    values[key] = option.fallback;
    const raw = givenTextsOf(key, option, given, env, configured);
    if (!raw) continue;
    const { texts, name, how } = raw;
    const checked = readOption(option, texts, how);
    if ('problem' in checked) {
      const last = texts.at(-1) ?? '';
      const value =
        option.kind === 'list'
          ? ''
          : `, not ${displayValue(withoutSecrets(last, option.secrets?.(last) ?? []))}`;
      const needsValue = checked.problem.startsWith('must be') && !checked.problem.includes(', not ');
      problems.push(`${name} ${checked.problem}${needsValue ? value : ''}`);
      continue;
    }
    values[key] = checked.value;
    from[key] = name;
  }
  // Each value has the type of its option: its fallback, or the result of the check of its kind.
  return { values: values as OptionValues<T>, from, problems };
}
