import { isAbsolute, join } from 'node:path';
import { passwdHome } from '../../core/system/home-folder.ts';

/** The folder of logins: state of the user, which no program copies as configuration. */
export function loginFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string {
  const home = [env.HOME, env.USERPROFILE].find((path) => path && isAbsolute(path)) ?? passwdHome();
  return join(stateFolder(env, platform, home), 'mcp-sigv4-proxy', 'oauth');
}

function stateFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, home: string): string {
  if (env.XDG_STATE_HOME && isAbsolute(env.XDG_STATE_HOME)) return env.XDG_STATE_HOME;
  if (platform === 'darwin') return join(home, 'Library', 'Application Support');
  if (platform === 'win32') {
    const local = env.LOCALAPPDATA;
    return local && isAbsolute(local) ? local : join(home, 'AppData', 'Local');
  }
  return join(home, '.local', 'state');
}
