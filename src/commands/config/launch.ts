import { resolve } from 'node:path';
import { toListValue } from '../../auth/credentials/profile-list.ts';
import { maySignWithAws } from '../../auth/kinds.ts';
import type { Arguments } from '../../config/argv.ts';
import { flagOf, type Option, type OptionTable, variableOf } from '../../config/option.ts';
import { type Secret, secretsOfUrl } from '../../config/secrets.ts';
import { ENDPOINT_VARIABLE, OPTIONS, type Settings } from '../../settings.ts';
import { isPathVariable, relevantVariables } from '../environment.ts';

/** Text with placeholders for secrets; each client has its own syntax for them. */
export type Template = readonly (string | { readonly variable: string })[];

/** The arguments and environment with which a client has to start the proxy. */
export interface Launch {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, Template>>;
}

/** The credentials if no profile is used; each becomes a placeholder of its own name. */
const CREDENTIAL_VARIABLES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'];

const options: OptionTable = OPTIONS;

/**
 * Options that choose account and region become flags: in some clients the shell's environment wins
 * over the file's (https://github.com/kirodotdev/Kiro/issues/5089).
 */
const IDENTITY_OPTIONS: ReadonlySet<string> = new Set([
  'profile',
  'region',
  'service',
  'roleArn',
  'roleSessionName',
  'externalId',
]);

/**
 * Creates the command line and environment that give a client the same settings.
 * @param knownProfiles - all profiles in the AWS files.
 */
export function createLaunch(
  given: Arguments,
  settings: Settings,
  { cwd, knownProfiles }: { readonly cwd: string; readonly knownProfiles: readonly string[] },
): Launch {
  const { env, from, fromFile } = settings;
  const args: string[] = [];
  const variables: Record<string, Template> = {};

  if (given.endpoint !== undefined) {
    const secrets = secretsOfEndpoint(given.endpoint);
    if (secrets.length === 0) args.push(given.endpoint);
    else variables[ENDPOINT_VARIABLE] = toTemplate(given.endpoint, secrets);
  } else if (from.endpoint === ENDPOINT_VARIABLE && !fromFile.has(ENDPOINT_VARIABLE)) {
    const text = env[ENDPOINT_VARIABLE] ?? '';
    variables[ENDPOINT_VARIABLE] = toTemplate(text, secretsOfEndpoint(text));
  }

  for (const [key, texts] of Object.entries(given.options)) {
    const option = options[key];
    if (!option) continue;
    if (key === 'profile') {
      args.push(...profileArgs(settings.profiles, knownProfiles));
      continue;
    }
    const values = toValues(option, texts, cwd);
    const secrets = values.map((value) => findSecrets(key, option, value));
    // All users of a machine can read command lines, so secrets go into variables.
    if (secrets.some((found) => found.length > 0))
      variables[variableOf(key)] = joinTemplates(option, values, secrets);
    else args.push(...toFlags(flagOf(key), option, values));
  }
  for (const [key, option] of Object.entries(options)) {
    const name = from[key];
    // The proxy reads the configuration file itself: its names are no variables.
    const isVariable = name !== undefined && /^[A-Z_a-z0-9]+$/.test(name);
    if (!isVariable || given.options[key] || fromFile.has(name)) continue;
    if (key === 'profile') {
      args.push(...profileArgs(settings.profiles, knownProfiles));
      continue;
    }
    const values = toValues(option, (env[name] ?? '').split('\n'), cwd);
    if (IDENTITY_OPTIONS.has(key)) {
      args.push(...toFlags(flagOf(key), option, values));
      continue;
    }
    const secrets = values.map((value) => findSecrets(key, option, value));
    variables[name] = joinTemplates(option, values, secrets);
  }
  const regions = regionArgs(given, settings);
  args.push(...regions);
  for (const [name, value] of relevantVariables(env)) {
    if (fromFile.has(name) || name in variables) continue;
    if (REGION_VARIABLES.includes(name) && regions.length > 0) continue;
    const text = isPathVariable(name) ? resolve(cwd, value) : value;
    variables[name] = toTemplate(text, secretsOfUrl(text, 'PROXY_PASSWORD'));
  }
  if (settings.defaultProfile === '' && maySignWithAws(settings.auth) && env.AWS_SECRET_ACCESS_KEY) {
    for (const name of CREDENTIAL_VARIABLES)
      if (env[name] && !fromFile.has(name)) variables[name] = [{ variable: name }];
  }
  const { bearerTokenEnv } = settings;
  if (bearerTokenEnv !== undefined && env[bearerTokenEnv] && !fromFile.has(bearerTokenEnv))
    variables[bearerTokenEnv] = [{ variable: bearerTokenEnv }];
  return { args, env: variables };
}

/** @work is the name of an endpoint in the configuration file, and no URL with a user. */
const secretsOfEndpoint = (text: string): readonly Secret[] =>
  text.startsWith('@') ? [] : secretsOfUrl(text, 'ENDPOINT_PASSWORD');

const REGION_VARIABLES = ['AWS_REGION', 'AWS_DEFAULT_REGION'];

/**
 * The signing region and the operating region, if variables or the AWS files set them. With several
 * profiles the variable stays a fallback, because each profile's region comes first.
 */
function regionArgs(
  given: Arguments,
  { auth, env, from, fromFile, scope, scopeFrom, profiles, metadata }: Settings,
): string[] {
  const variable = REGION_VARIABLES.find((name) => env[name] && !fromFile.has(name));
  // The variables do not name the regions of SigV4A, but that of STS.
  if (profiles.length > 1 || auth === 'sigv4a') return [];
  const isGiven = given.options.region !== undefined || from.region !== undefined;
  const isFromEnvironment = variable !== undefined || scopeFrom.region === 'the profile';
  const args: string[] = [];
  if (scope && !isGiven && isFromEnvironment) args.push(flagOf('region'), scope.region);
  const operatingRegion = variable === undefined ? undefined : env[variable];
  const isInMetadata = metadata.some((entry) => entry.startsWith('AWS_REGION='));
  // The flag would replace the entries of MCP_PROXY_METADATA.
  const mayAddMetadata = from.metadata === undefined || given.options.metadata !== undefined;
  if (operatingRegion && !isInMetadata && mayAddMetadata)
    args.push(flagOf('metadata'), `AWS_REGION=${operatingRegion}`);
  return args;
}

/** One flag per name if a list would read a name as a flag, an endpoint or several names. */
function profileArgs(profiles: readonly string[], known: readonly string[]): string[] {
  const flag = flagOf('profile');
  const isPlain = (name: string): boolean => !/^-|:\/\/|^arn:/.test(name);
  const plain = profiles.every(isPlain);
  if (plain) return [flag, ...profiles.map((name) => toListValue(name, known))];
  return profiles.map((name) => `${flag}=${toListValue(name, known)}`);
}

/** The option's entries as texts. Paths are absolute, because clients start in another folder. */
function toValues(option: Option, raw: readonly string[], cwd: string): string[] {
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

function toFlags(flag: string, option: Option, values: readonly string[]): string[] {
  switch (option.kind) {
    case 'switch':
      return values[0] === 'true' || values[0] === '1' ? [flag] : [`${flag}=false`];
    case 'list':
      return option.separator === 'words' ? [flag, ...values] : values.flatMap((value) => [flag, value]);
    default:
      // One word, because the value looks like a flag.
      return values[0]?.startsWith('--') ? [`${flag}=${values[0]}`] : [flag, ...values];
  }
}

/** The secrets in a value, and the variables of --header, which the client does not pass on. */
function findSecrets(key: string, option: Option, value: string): readonly Secret[] {
  const secrets = option.secrets?.(value) ?? [];
  if (key !== 'header') return secrets;
  const named = [...value.matchAll(/\$\{(\w+)\}/g)].map(({ 0: whole, 1: variable = '', index }) => ({
    start: index,
    end: index + whole.length,
    variable,
  }));
  return [...secrets, ...named];
}

function toTemplate(text: string, secrets: readonly Secret[]): Template {
  const parts: (string | { variable: string })[] = [];
  let at = 0;
  for (const { start, end, variable } of [...secrets].sort((one, other) => one.start - other.start)) {
    parts.push(text.slice(at, start), { variable });
    at = end;
  }
  parts.push(text.slice(at));
  return parts.filter((part) => part !== '');
}

function joinTemplates(
  option: Option,
  values: readonly string[],
  secrets: readonly (readonly Secret[])[],
): Template {
  const separator = option.kind === 'list' && option.separator === 'words' ? ' ' : '\n';
  return values.flatMap((value, at) => [
    ...(at > 0 ? [separator] : []),
    ...toTemplate(value, secrets[at] ?? []),
  ]);
}

/** The variables that the user has to supply, once each, in order. */
export const placeholderVariables = ({ env }: Launch): string[] => [
  ...new Set(
    Object.values(env).flatMap((parts) =>
      parts.flatMap((part) => (typeof part === 'string' ? [] : part.variable)),
    ),
  ),
];
