import { userInfo } from 'node:os';

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
