/**
 * The AWS SDK's parser passes over a profile whose name holds anything but these characters, where
 * the AWS CLI takes every name: https://github.com/awslabs/aws-sdk-rust/issues/1097. Such a profile
 * goes to the SDK under a name that it can read.
 */
const READABLE = /^[\w\-@+.%:/]+$/;
/**
 * A name that every object has, such as `constructor`, would be taken for a profile that was read
 * before.
 */
const isReadable = (name: string): boolean => READABLE.test(name) && !(name in Object.prototype);
const PREFIX = 'mcp-sigv4-proxy:';

/** The name under which the SDK knows a profile. */
export const aliasOf = (profile: string): string =>
  isReadable(profile) ? profile : `${PREFIX}${Buffer.from(profile).toString('hex')}`;

/** The profile of an alias; any other name as it is. */
export const profileOfAlias = (name: string): string =>
  name.startsWith(PREFIX) ? Buffer.from(name.slice(PREFIX.length), 'hex').toString('utf8') : name;

/** A text of the SDK with the profiles' own names in place of their aliases. */
export const withProfileNames = (text: string): string =>
  text.replace(new RegExp(`${PREFIX}[0-9a-f]+`, 'g'), profileOfAlias);

/**
 * The text of an AWS file with aliases in place of the names that the SDK cannot read; the same
 * text where it can read all.
 * @param file - only in `config` do sections carry the word `profile`, and names quotes.
 */
export function withAliases(text: string, file: 'config' | 'credentials'): string {
  if (!/^[ \t]*(?:\[|source_profile)/m.test(text)) return text;
  return text
    .split('\n')
    .map((line) => aliased(line, file))
    .join('\n');
}

function aliased(line: string, file: 'config' | 'credentials'): string {
  const content = line.split(/(?:^|\s)[;#]/)[0]?.trim() ?? '';
  const [, source] = /^source_profile\s*=\s*(.+)$/.exec(content) ?? [];
  if (source !== undefined) return isReadable(source) ? line : `source_profile = ${aliasOf(source)}`;
  const [, header] = /^\[(.+)\]$/.exec(content) ?? [];
  if (header === undefined) return line;
  if (file === 'credentials') return isReadable(header) ? line : `[${aliasOf(header)}]`;
  const [, given] = /^profile\s+(.+)$/.exec(header) ?? [];
  if (given === undefined) return line;
  const [, , name = given.trim()] = /^(["'])(.*)\1$/.exec(given.trim()) ?? [];
  return isReadable(name) ? line : `[profile ${aliasOf(name)}]`;
}
