import { expect, it } from 'vitest';
import { cacheFolder } from '../../src/snapshot/folder.ts';

it.each([
  [{ HOME: '/home/u' }, 'linux', '/home/u/.cache/mcp-sigv4-proxy'],
  [{ HOME: '/home/u', XDG_CACHE_HOME: '/fast' }, 'linux', '/fast/mcp-sigv4-proxy'],
  [{ HOME: '/home/u', XDG_CACHE_HOME: '' }, 'linux', '/home/u/.cache/mcp-sigv4-proxy'],
  [{ HOME: '/home/u', XDG_CACHE_HOME: 'cache' }, 'linux', '/home/u/.cache/mcp-sigv4-proxy'],
  [{ HOME: 'here', USERPROFILE: '/u', LOCALAPPDATA: './Local' }, 'win32', '/u/AppData/Local/mcp-sigv4-proxy'],
  [{ HOME: '/Users/u' }, 'darwin', '/Users/u/Library/Caches/mcp-sigv4-proxy'],
  [{ USERPROFILE: '/u', LOCALAPPDATA: '/u/Local' }, 'win32', '/u/Local/mcp-sigv4-proxy'],
  [{ USERPROFILE: '/u' }, 'win32', '/u/AppData/Local/mcp-sigv4-proxy'],
] as const)('the cache folder with %j on %s is %s', (env, platform, folder) => {
  expect(cacheFolder(env, platform)).toBe(folder);
});
