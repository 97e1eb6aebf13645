import { userInfo } from 'node:os';
import { pathOn } from './platform-path.ts';

/** Debian's name for the home of users that have none: it does not exist and must not. */
const NO_HOME = '/nonexistent';

/**
 * The home folder of this user, where the environment names none. Containers often run with a user
 * id that has no entry in passwd.
 */
export function passwdHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    return NO_HOME;
  }
}

/** Where a kind of file of the user belongs on each platform. */
export interface UserFolder {
  /** The variable of the XDG Base Directory Specification. */
  readonly variable: string;
  /** Below the home folder, on macOS. */
  readonly darwin: readonly string[];
  /** Below the home folder, on other systems than Windows, where all kinds are in one folder. */
  readonly other: readonly string[];
}

/** The folder for files of one kind. Pure but for the home folder of the system. */
export function userFolder(
  { variable, darwin, other }: UserFolder,
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): string {
  const { isAbsolute, join } = pathOn(platform);
  const home = [env.HOME, env.USERPROFILE].find((path) => path && isAbsolute(path)) ?? passwdHome();
  const named = env[variable];
  // "All paths must be absolute. [...] consider the path invalid and ignore it": the XDG Base
  // Directory Specification.
  if (named && isAbsolute(named)) return named;
  if (platform === 'darwin') return join(home, ...darwin);
  if (platform === 'win32') {
    const local = env.LOCALAPPDATA;
    return local && isAbsolute(local) ? local : join(home, 'AppData', 'Local');
  }
  return join(home, ...other);
}
