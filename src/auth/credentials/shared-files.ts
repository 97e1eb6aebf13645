import { existsSync, promises as fs } from 'node:fs';
import { join } from 'node:path';
import { didYouMean } from '../../config/spelling.ts';
import { passwdHome } from '../../core/system/home-folder.ts';
import { type FileStamps, stampFiles } from './file-stamps.ts';
import { profileOfAlias, withAliases } from './profile-alias.ts';

/** The settings of one profile, without a prototype of names such as `constructor`. */
export type ProfileData = Readonly<Record<string, string | undefined>>;
export type Profiles = Readonly<Record<string, ProfileData>>;

/** The AWS files `config` and `credentials`. */
export interface SharedFiles {
  readonly profiles: Profiles;
  readonly ssoSessions: Profiles;
  readonly paths: SharedPaths;
}

export interface SharedPaths {
  readonly config: string;
  readonly credentials: string;
}

/** The files, and their state before they were read. */
export interface StampedFiles extends SharedFiles {
  readonly stamps: FileStamps;
}

/** For credentials that come from variables alone. */
export const NO_FILES: StampedFiles = {
  profiles: {},
  ssoSessions: {},
  paths: { config: '', credentials: '' },
  stamps: new Map(),
};

/** The facts of a profile that other parts of the proxy need. */
export interface ProfileFacts {
  readonly exists: boolean;
  readonly region?: string;
  readonly caBundle?: string;
  /** All profiles, sorted. */
  readonly known: readonly string[];
}

const SSO_SESSION = 'sso-session.';
const NOT_A_PROFILE = /^(sso-session|services)\./;

/** The profile that was asked for; undefined for the default chain. */
export const profileIn = (option: string | undefined, env: NodeJS.ProcessEnv): string | undefined =>
  option ?? (env.AWS_PROFILE || undefined);

export function sharedPaths(env: NodeJS.ProcessEnv): SharedPaths {
  const home = env.HOME || env.USERPROFILE || passwdHome();
  const resolve = (path: string | undefined, name: string): string =>
    path ? path.replace(/^~(?=\/)/, home) : join(home, '.aws', name);
  return {
    config: resolve(env.AWS_CONFIG_FILE, 'config'),
    credentials: resolve(env.AWS_SHARED_CREDENTIALS_FILE, 'credentials'),
  };
}

/**
 * Reads both files with the SDK's parser, so that only profiles that the SDK finds are reported.
 */
export async function readSharedFiles(env: NodeJS.ProcessEnv): Promise<SharedFiles> {
  const paths = sharedPaths(env);
  // Without a prototype, so that a missing profile called "constructor" is not found.
  const profiles: Record<string, ProfileData> = Object.create(null);
  const ssoSessions: Record<string, ProfileData> = Object.create(null);
  for (const [name, data] of Object.entries(await readSections(paths))) {
    if (name.startsWith(SSO_SESSION)) ssoSessions[name.slice(SSO_SESSION.length)] = data;
    else if (!NOT_A_PROFILE.test(name)) profiles[profileOfAlias(name)] = withSourceName(data);
  }
  return { profiles, ssoSessions, paths };
}

export async function readStampedFiles(env: NodeJS.ProcessEnv): Promise<StampedFiles> {
  const stamps = stampFiles(Object.values(sharedPaths(env)));
  return { ...(await readSharedFiles(env)), stamps };
}

async function readSections({ config, credentials }: SharedPaths): Promise<Profiles> {
  // Containers and pipelines have neither file, and need not load the parser.
  if (!existsSync(config) && !existsSync(credentials)) return {};
  const { externalDataInterceptor, parseKnownFiles } = await import('@smithy/shared-ini-file-loader');
  // The SDK's providers read the files again, and look for the alias of the profile.
  const replaced = externalDataInterceptor.getFileRecord();
  for (const [path, file] of [
    [config, 'config'],
    [credentials, 'credentials'],
  ] as const) {
    const text = await fs.readFile(path, 'utf8').catch(() => '');
    const readable = withAliases(text, file);
    if (readable === text) delete replaced[path];
    else externalDataInterceptor.interceptFile(path, readable);
  }
  return parseKnownFiles({ filepath: credentials, configFilepath: config, ignoreCache: true });
}

function withSourceName(data: ProfileData): ProfileData {
  const { source_profile } = data;
  const name = source_profile && profileOfAlias(source_profile);
  return name === source_profile ? data : { ...data, source_profile: name };
}

/**
 * Reads the facts of a profile from the files on every call. A file that is missing or unreadable
 * has no profiles.
 */
export async function readProfileFacts(
  profile: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ProfileFacts> {
  const { profiles } = await readSharedFiles(env);
  const data = profiles[profileIn(profile, env) ?? 'default'];
  return {
    exists: data !== undefined,
    known: Object.keys(profiles).sort(),
    ...(data?.region === undefined ? {} : { region: data.region }),
    ...(data?.ca_bundle === undefined ? {} : { caBundle: data.ca_bundle }),
  };
}

/**
 * The problem with profiles that are in neither file: lists the known profiles and the defects of
 * the files.
 */
export async function missingProfiles(
  wanted: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const { profiles, paths } = await readSharedFiles(env);
  const missing = wanted.filter((name) => profiles[name] === undefined);
  if (missing.length === 0) return undefined;
  const known = Object.keys(profiles).sort();
  const choice = known.length === 0 ? 'they have no profiles' : `there are: ${profileNamesText(known)}`;
  const defects = (await defectsOf(paths)).map((defect) => `; ${defect}`).join('');
  const names = missing.map((name) => JSON.stringify(name)).join(', ');
  const guess = didYouMean(missing[0] ?? '', known);
  return `must name profiles that are in ${paths.config} or ${paths.credentials}, not ${names}; ${choice}${defects}${guess}`;
}

/** Enough to recognize a typing mistake, and short enough for an error message. */
const MAX_SHOWN_PROFILES = 20;

export const profileNamesText = (names: readonly string[]): string =>
  names.length <= MAX_SHOWN_PROFILES
    ? names.join(', ')
    : `${names.slice(0, MAX_SHOWN_PROFILES).join(', ')} and ${names.length - MAX_SHOWN_PROFILES} more`;

/** Why the SDK cannot read a file, which it does not report. At most one phrase for each file. */
export async function defectsOf(paths: SharedPaths): Promise<string[]> {
  const defects = await Promise.all(
    [paths.config, paths.credentials].map(async (path) => {
      try {
        const defect = defectOf(await fs.readFile(path, 'utf8'));
        return defect === undefined ? [] : [`${path} ${defect}`];
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
        return code === 'ENOENT' ? [] : [`${path} cannot be read (${code})`];
      }
    }),
  );
  return defects.flat();
}

/** Names the line only: its text may contain a key. */
export function defectOf(text: string): string | undefined {
  if (text.includes('\0') || text.startsWith('\uFFFD')) return 'is not UTF-8 text';
  let inSection = false;
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const content = line.split(/(^|\s)[;#]/)[0]?.trim() ?? '';
    if (content === '') continue;
    const isSection = /^\[[^[\]]+\]$/.test(content);
    if (!isSection && !(inSection && content.indexOf('=') > 0)) return `is broken in line ${at + 1}`;
    inSection = true;
  }
  return undefined;
}
