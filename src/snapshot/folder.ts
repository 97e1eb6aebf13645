import { isAbsolute, join } from 'node:path';
import { passwdHome } from '../core/system/home-folder.ts';

/** The folder of the proxy within the platform's cache folder. */
export function cacheFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string {
  const home = [env.HOME, env.USERPROFILE].find((path) => path && isAbsolute(path)) ?? passwdHome();
  return join(baseFolder(env, platform, home), 'mcp-sigv4-proxy');
}

function baseFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, home: string): string {
  // "All paths must be absolute. [...] consider the path invalid and ignore it": the XDG Base
  // Directory Specification.
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) return env.XDG_CACHE_HOME;
  if (platform === 'darwin') return join(home, 'Library', 'Caches');
  if (platform === 'win32') {
    const local = env.LOCALAPPDATA;
    return local && isAbsolute(local) ? local : join(home, 'AppData', 'Local');
  }
  return join(home, '.cache');
}
