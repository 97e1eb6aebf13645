import { userFolder } from '../core/system/home-folder.ts';
import { pathOn } from '../core/system/platform-path.ts';

const CACHE = { variable: 'XDG_CACHE_HOME', darwin: ['Library', 'Caches'], other: ['.cache'] };

/** The folder of the proxy within the platform's cache folder. */
export const cacheFolder = (env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string =>
  pathOn(platform).join(userFolder(CACHE, env, platform), 'mcp-sigv4-proxy');
