import { boundsOf, flagOf, type Option } from './option.ts';

/** The flag of an option with its placeholder: `--profile <name...>`. */
export function usageOf(key: string, option: Option): string {
  if (option.kind === 'switch') return flagOf(key);
  return `${flagOf(key)} <${option.placeholder}${option.kind === 'list' ? '...' : ''}>`;
}

/** The default of an option as text; empty if the option has none. */
export function defaultOf(option: Option): string {
  if (option.defaultText !== undefined) return option.defaultText;
  if (option.kind === 'switch') return 'off';
  if (option.kind === 'list' || option.fallback === undefined) return '';
  return String(option.fallback);
}

/** The help text of an option with its bounds and its default, in one line. */
export function describeOption(option: Option): string {
  const isBounded = option.kind === 'number' || (option.kind === 'text' && option.choices);
  const byDefault = defaultOf(option);
  const facts = [...(isBounded ? [boundsOf(option)] : []), ...(byDefault ? [`default: ${byDefault}`] : [])];
  return facts.length > 0 ? `${option.help} (${facts.join('; ')})` : option.help;
}
