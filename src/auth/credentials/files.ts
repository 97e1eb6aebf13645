import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { CredentialPlan, ProfileData, Profiles } from './plan.ts';
import { profileOfAlias, withAliases } from './profile-alias.ts';

export interface SharedFiles {
  readonly profiles: Profiles;
  readonly ssoSessions: Profiles;
  readonly paths: SharedPaths;
}

export interface SharedPaths {
  readonly config: string;
  readonly credentials: string;
}

/** What the rest of the proxy wants to know of a profile. */
export interface ProfileFacts {
  readonly exists: boolean;
  readonly region?: string;
  readonly caBundle?: string;
  /** Every profile there is, sorted. */
  readonly known: readonly string[];
}

/** What a file looked like. */
interface Print {
  /** Numbers: to write them down as text would take as long as the look itself. */
  readonly modifiedMs: number;
  readonly size: number;
  readonly inode: number;
  readonly text: string;
  /** True where no edit since can have left the stat as it is. */
  readonly settled: boolean;
}

export type FileStamps = ReadonlyMap<string, Print>;

/**
 * Above the tick of any file system's clock: two seconds on FAT, one on HFS+ and old NFS, up to ten
 * milliseconds on ext4.
 */
const SETTLED_MS = 3_000;

const SSO_SESSION = 'sso-session.';
const NOT_A_PROFILE = /^(sso-session|services)\./;

export function sharedPaths(env: NodeJS.ProcessEnv): SharedPaths {
  const home = env.HOME || env.USERPROFILE || homedir();
  const place = (path: string | undefined, usual: string): string =>
    path ? path.replace(/^~(?=\/)/, home) : join(home, '.aws', usual);
  return {
    config: place(env.AWS_CONFIG_FILE, 'config'),
    credentials: place(env.AWS_SHARED_CREDENTIALS_FILE, 'credentials'),
  };
}

/**
 * Reads both files afresh, with the SDK's own parser: what it would not see must not be reported as
 * there.
 */
export async function readSharedFiles(env: NodeJS.ProcessEnv): Promise<SharedFiles> {
  const paths = sharedPaths(env);
  const sections = await sectionsOf(paths);
  // Without a prototype: a profile may be called "constructor", and one that is not there must not
  // be found all the same.
  const profiles: Record<string, ProfileData> = Object.create(null);
  const ssoSessions: Record<string, ProfileData> = Object.create(null);
  for (const [name, data] of Object.entries(sections)) {
    if (name.startsWith(SSO_SESSION)) ssoSessions[name.slice(SSO_SESSION.length)] = data;
    else if (!NOT_A_PROFILE.test(name)) profiles[profileOfAlias(name)] = withSourceName(data);
  }
  return { profiles, ssoSessions, paths };
}

async function sectionsOf({ config, credentials }: SharedPaths): Promise<Profiles> {
  // Containers and pipelines have neither file: the parser need not be loaded to find nothing.
  if (!existsSync(config) && !existsSync(credentials)) return {};
  const { externalDataInterceptor, parseKnownFiles } = await import('@smithy/core/config');
  // For the SDK's own providers too, which read the files again and are given the alias of the
  // profile.
  const replaced = externalDataInterceptor.getFileRecord();
  for (const [path, file] of [
    [config, 'config'],
    [credentials, 'credentials'],
  ] as const) {
    const text = await readFile(path, 'utf8').catch(() => '');
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
 * Reads a profile's facts afresh on every call.
 * @returns `exists: false` for a missing or unreadable file, never a throw.
 */
export async function readProfileFacts(
  profile: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ProfileFacts> {
  const { profiles } = await readSharedFiles(env);
  const data = profiles[profile ?? (env.AWS_PROFILE || 'default')];
  return {
    exists: data !== undefined,
    known: Object.keys(profiles).sort(),
    ...(data?.region === undefined ? {} : { region: data.region }),
    ...(data?.ca_bundle === undefined ? {} : { caBundle: data.ca_bundle }),
  };
}

/**
 * What to say of profiles that neither file has, those that are there and what is wrong with the
 * files included.
 */
export async function missingProfiles(
  wanted: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const { profiles, paths } = await readSharedFiles(env);
  const missing = wanted.filter((name) => profiles[name] === undefined);
  if (missing.length === 0) return undefined;
  const known = Object.keys(profiles).sort();
  const there = known.length === 0 ? 'they have no profiles' : `there are: ${shownProfiles(known)}`;
  const faults = (await faultsIn(paths)).map((fault) => `; ${fault}`).join('');
  const which = missing.map((name) => JSON.stringify(name)).join(', ');
  return `must name profiles that are in ${paths.config} or ${paths.credentials}, not ${which}; ${there}${faults}`;
}

/** Enough to recognise a typing mistake, short enough for an error line. */
const SHOWN_PROFILES = 20;

export const shownProfiles = (names: readonly string[]): string =>
  names.length <= SHOWN_PROFILES
    ? names.join(', ')
    : `${names.slice(0, SHOWN_PROFILES).join(', ')} and ${names.length - SHOWN_PROFILES} more`;

/** The token files that a login or a rotation rewrites, for the profile at the end of the plan. */
export function tokenFiles(plan: CredentialPlan, files: SharedFiles, env: NodeJS.ProcessEnv): string[] {
  const data = files.profiles[plan.base.profile] ?? {};
  switch (plan.base.kind) {
    case 'sso': {
      const id = data.sso_session ?? data.sso_start_url;
      const home = env.HOME || env.USERPROFILE || homedir();
      return id === undefined ? [] : [join(home, '.aws', 'sso', 'cache', `${digest('sha1', id)}.json`)];
    }
    case 'login': {
      const folder = env.AWS_LOGIN_CACHE_DIRECTORY ?? join(homedir(), '.aws', 'login', 'cache');
      return [join(folder, `${digest('sha256', data.login_session ?? '')}.json`)];
    }
    case 'web-identity':
      return data.web_identity_token_file === undefined ? [] : [data.web_identity_token_file];
    default:
      return [];
  }
}

const digest = (algorithm: string, text: string | Buffer): string =>
  createHash(algorithm).update(text).digest('hex');

/**
 * A stat per file, which shows every edit of a file that was not touched of late. One that was is
 * read as well: a second edit within one tick of the file system's clock has the time of the first,
 * and one key is as long as another.
 * @param known - earlier prints of these files, to read none again that they still tell.
 */
export function stampFiles(paths: Iterable<string>, known?: FileStamps): FileStamps {
  const prints = new Map<string, Print>();
  for (const path of paths) prints.set(path, printOf(path, known?.get(path)));
  return prints;
}

const ABSENT: Print = { modifiedMs: -1, size: -1, inode: -1, text: '', settled: true };

function printOf(path: string, known: Print | undefined): Print {
  try {
    // Synchronous, because a stat takes microseconds and a turn through the thread pool a hundred
    // times as long.
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return ABSENT;
    const { mtimeMs: modifiedMs, size, ino: inode } = found;
    const stat = { modifiedMs, size, inode };
    if (known?.settled && isSameStat(known, stat)) return known;
    // The time of the machine, as the file's own is. One of the future, of a server whose clock is
    // ahead, may still be set again.
    const settled = Date.now() - modifiedMs > SETTLED_MS;
    return {
      modifiedMs,
      size,
      inode,
      settled,
      text: found.isFile() ? digest('sha256', readFileSync(path)) : '',
    };
  } catch {
    return ABSENT;
  }
}

type Stat = Pick<Print, 'modifiedMs' | 'size' | 'inode'>;

const isSameStat = (one: Stat, other: Stat): boolean =>
  one.modifiedMs === other.modifiedMs && one.size === other.size && one.inode === other.inode;

export function sameStamps(one: FileStamps, other: FileStamps): boolean {
  if (one.size !== other.size) return false;
  for (const [path, print] of one) {
    const known = other.get(path);
    if (known === print) continue;
    if (known === undefined || !isSameStat(known, print) || known.text !== print.text) return false;
  }
  return true;
}

/**
 * What makes a file unreadable for the SDK, which itself passes over it in silence. At most one
 * phrase a file.
 */
export async function faultsIn(paths: SharedPaths): Promise<string[]> {
  const faults = await Promise.all(
    [paths.config, paths.credentials].map(async (path) => {
      try {
        const fault = faultOf(await readFile(path, 'utf8'));
        return fault === undefined ? [] : [`${path} ${fault}`];
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
        return code === 'ENOENT' ? [] : [`${path} cannot be read (${code})`];
      }
    }),
  );
  return faults.flat();
}

/** Line numbers only: the line itself may hold a key. */
export function faultOf(text: string): string | undefined {
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
