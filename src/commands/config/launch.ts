import { resolve } from 'node:path';
import { asListValue } from '../../auth/credentials/profile-list.ts';
import type { Arguments } from '../../config/argv.ts';
import { flagOf, type Option, type OptionTable, variableOf } from '../../config/option.ts';
import { type Secret, secretsOfUrl } from '../../config/secrets.ts';
import { ENDPOINT_VARIABLE, OPTIONS, type Settings } from '../../settings.ts';
import { heededVariables, namesFile } from '../environment.ts';

/** Text with holes where a secret goes; each client has its own way to fill them. */
export type Template = readonly (string | { readonly variable: string })[];

/** How a client must start the proxy to get what this command line asks for. */
export interface Launch {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, Template>>;
}

/** Without a profile these are the credentials; each is asked for by its own name. */
const KEYS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'];

const options: OptionTable = OPTIONS;

/**
 * They decide whose account is used and where. Some clients let the environment of a shell win over
 * the one in their file (https://github.com/kirodotdev/Kiro/issues/5089), and a flag wins over
 * both.
 */
const IDENTITY: ReadonlySet<string> = new Set([
  'profile',
  'region',
  'service',
  'roleArn',
  'roleSessionName',
  'externalId',
]);

/**
 * The command line and environment that stand for the same settings in a client's configuration.
 * @param knownProfiles - every profile in the AWS files.
 */
export function launchOf(
  given: Arguments,
  settings: Settings,
  { cwd, knownProfiles }: { readonly cwd: string; readonly knownProfiles: readonly string[] },
): Launch {
  const { env, from, fromFile } = settings;
  const args: string[] = [];
  const variables: Record<string, Template> = {};

  if (given.endpoint !== undefined) {
    const secrets = secretsOfUrl(given.endpoint, 'ENDPOINT_PASSWORD');
    if (secrets.length === 0) args.push(given.endpoint);
    else variables[ENDPOINT_VARIABLE] = templateOf(given.endpoint, secrets);
  } else if (from.endpoint === ENDPOINT_VARIABLE && !fromFile.has(ENDPOINT_VARIABLE)) {
    const text = env[ENDPOINT_VARIABLE] ?? '';
    variables[ENDPOINT_VARIABLE] = templateOf(text, secretsOfUrl(text, 'ENDPOINT_PASSWORD'));
  }

  for (const [key, texts] of Object.entries(given.options)) {
    const option = options[key];
    if (!option) continue;
    if (key === 'profile') {
      args.push(...profileArgs(settings.profiles, knownProfiles));
      continue;
    }
    const values = valuesOf(option, texts, cwd);
    const secrets = values.map((value) => secretsIn(key, option, value));
    // A command line is seen by everybody on the machine, so what is secret goes another way.
    if (secrets.some((found) => found.length > 0))
      variables[variableOf(key)] = joined(option, values, secrets);
    else args.push(...flagged(flagOf(key), option, values));
  }
  for (const [key, option] of Object.entries(options)) {
    const name = from[key];
    if (name === undefined || given.options[key] || fromFile.has(name)) continue;
    if (key === 'profile') {
      args.push(...profileArgs(settings.profiles, knownProfiles));
      continue;
    }
    const values = valuesOf(option, (env[name] ?? '').split('\n'), cwd);
    if (IDENTITY.has(key)) {
      args.push(...flagged(flagOf(key), option, values));
      continue;
    }
    const secrets = values.map((value) => secretsIn(key, option, value));
    variables[name] = joined(option, values, secrets);
  }
  const regions = regionArgs(given, settings);
  args.push(...regions);
  for (const [name, value] of heededVariables(env)) {
    if (fromFile.has(name) || name in variables) continue;
    if (REGION_VARIABLES.includes(name) && regions.length > 0) continue;
    const text = namesFile(name) ? resolve(cwd, value) : value;
    variables[name] = templateOf(text, secretsOfUrl(text, 'PROXY_PASSWORD'));
  }
  if (settings.defaultProfile === '' && settings.auth !== 'none' && env.AWS_SECRET_ACCESS_KEY) {
    for (const name of KEYS) if (env[name] && !fromFile.has(name)) variables[name] = [{ variable: name }];
  }
  return { args, env: variables };
}

const REGION_VARIABLES = ['AWS_REGION', 'AWS_DEFAULT_REGION'];

/**
 * The region to sign for, and the one that the server works in, where variables or the AWS files
 * gave them. Of several profiles each works in its own region first, so that the variable stays
 * what it was: a fallback.
 */
function regionArgs(
  given: Arguments,
  { env, from, fromFile, scope, scopeFrom, profiles, metadata }: Settings,
): string[] {
  const variable = REGION_VARIABLES.find((name) => env[name] && !fromFile.has(name));
  if (profiles.length > 1) return [];
  const isPinned = given.options.region !== undefined || from.region !== undefined;
  const isOpen = variable !== undefined || scopeFrom.region === 'the profile';
  const args: string[] = [];
  if (scope && !isPinned && isOpen) args.push(flagOf('region'), scope.region);
  const works = variable === undefined ? undefined : env[variable];
  const isNamed = metadata.some((entry) => entry.startsWith('AWS_REGION='));
  // Beside MCP_PROXY_METADATA the flag would replace what the variable holds.
  const isFree = from.metadata === undefined || given.options.metadata !== undefined;
  if (works && !isNamed && isFree) args.push(flagOf('metadata'), `AWS_REGION=${works}`);
  return args;
}

/**
 * One flag for each name that a list would take for a flag, for the endpoint or for several names.
 */
function profileArgs(profiles: readonly string[], known: readonly string[]): string[] {
  const flag = flagOf('profile');
  const isPlain = (name: string): boolean => !/^-|:\/\/|^arn:/.test(name);
  const plain = profiles.every(isPlain);
  if (plain) return [flag, ...profiles.map((name) => asListValue(name, known))];
  return profiles.map((name) => `${flag}=${asListValue(name, known)}`);
}

/**
 * The option's value as texts, one per entry; files by their whole path, because a client starts
 * somewhere else.
 */
function valuesOf(option: Option, raw: readonly string[], cwd: string): string[] {
  switch (option.kind) {
    case 'list': {
      const separator = option.separator === 'words' ? /[\s,]+/ : /\r?\n/;
      return raw.flatMap((text) => text.split(separator)).filter((entry) => entry.trim() !== '');
    }
    case 'text': {
      const last = raw.at(-1) ?? '';
      return [option.placeholder === 'path' || option.placeholder === 'file' ? resolve(cwd, last) : last];
    }
    default:
      return raw.slice(-1);
  }
}

function flagged(flag: string, option: Option, values: readonly string[]): string[] {
  switch (option.kind) {
    case 'switch':
      return values[0] === 'true' || values[0] === '1' ? [flag] : [`${flag}=false`];
    case 'list':
      return option.separator === 'words' ? [flag, ...values] : values.flatMap((value) => [flag, value]);
    default:
      // In one word where it would pass for a flag.
      return values[0]?.startsWith('--') ? [`${flag}=${values[0]}`] : [flag, ...values];
  }
}

/**
 * What is secret in a value, and what --header takes from an environment that the client does not
 * hand on.
 */
function secretsIn(key: string, option: Option, value: string): readonly Secret[] {
  const secrets = option.secrets?.(value) ?? [];
  if (key !== 'header') return secrets;
  const named = [...value.matchAll(/\$\{(\w+)\}/g)].map(({ 0: whole, 1: variable = '', index }) => ({
    start: index,
    end: index + whole.length,
    variable,
  }));
  return [...secrets, ...named];
}

function templateOf(text: string, secrets: readonly Secret[]): Template {
  const parts: (string | { variable: string })[] = [];
  let at = 0;
  for (const { start, end, variable } of [...secrets].sort((one, other) => one.start - other.start)) {
    parts.push(text.slice(at, start), { variable });
    at = end;
  }
  parts.push(text.slice(at));
  return parts.filter((part) => part !== '');
}

function joined(
  option: Option,
  values: readonly string[],
  secrets: readonly (readonly Secret[])[],
): Template {
  const between = option.kind === 'list' && option.separator === 'words' ? ' ' : '\n';
  return values.flatMap((value, at) => [
    ...(at > 0 ? [between] : []),
    ...templateOf(value, secrets[at] ?? []),
  ]);
}

/** The variables that somebody has to supply, once each, in order. */
export const holesOf = ({ env }: Launch): string[] => [
  ...new Set(
    Object.values(env).flatMap((parts) =>
      parts.flatMap((part) => (typeof part === 'string' ? [] : part.variable)),
    ),
  ),
];
