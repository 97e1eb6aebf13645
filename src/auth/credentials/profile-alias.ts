/**
 * The characters of a profile name that the SDK's parser reads. The AWS CLI accepts any name, so
 * other names are given to the SDK as aliases: https://github.com/awslabs/aws-sdk-rust/issues/1097.
 */
const READABLE = /^[\w\-@+.%:/]+$/;
/**
 * The SDK would take the name of an object property, such as `constructor`, for a known profile.
 */
const isReadable = (name: string): boolean => READABLE.test(name) && !(name in Object.prototype);
const PREFIX = 'mcp-sigv4-proxy:';

/** The name of a profile in the SDK. */
export const aliasOf = (profile: string): string =>
  isReadable(profile) ? profile : `${PREFIX}${Buffer.from(profile).toString('hex')}`;

/** The profile of an alias. Other names are returned as they are. */
export const profileOfAlias = (name: string): string =>
  name.startsWith(PREFIX) ? Buffer.from(name.slice(PREFIX.length), 'hex').toString('utf8') : name;

/** Replaces aliases in a message of the SDK by the names of the profiles. */
export const withProfileNames = (text: string): string =>
  text.replace(new RegExp(`${PREFIX}[0-9a-f]+`, 'g'), profileOfAlias);

/**
 * Replaces the names that the SDK cannot read by aliases.
 * @param file - only `config` has the word `profile` in section names, and quoted names.
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
