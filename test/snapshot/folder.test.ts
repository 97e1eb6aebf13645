import { expect, it } from 'vitest';
import { cacheFolder } from '../../src/snapshot/folder.ts';

it.each([
  [{ HOME: '/home/u' }, 'linux', '/home/u/.cache/mcp-sigv4-proxy'],
  [{ HOME: '/home/u', XDG_CACHE_HOME: '/fast' }, 'linux', '/fast/mcp-sigv4-proxy'],
  [{ HOME: '/home/u', XDG_CACHE_HOME: '' }, 'linux', '/home/u/.cache/mcp-sigv4-proxy'],
  [{ HOME: '/home/u', XDG_CACHE_HOME: 'cache' }, 'linux', '/home/u/.cache/mcp-sigv4-proxy'],
  [
    { HOME: 'here', USERPROFILE: 'C:\\u', LOCALAPPDATA: '.\\Local' },
    'win32',
    'C:\\u\\AppData\\Local\\mcp-sigv4-proxy',
  ],
  [{ HOME: '/Users/u' }, 'darwin', '/Users/u/Library/Caches/mcp-sigv4-proxy'],
  [{ USERPROFILE: 'C:\\u', LOCALAPPDATA: 'D:\\Local' }, 'win32', 'D:\\Local\\mcp-sigv4-proxy'],
  [{ USERPROFILE: '\\\\files\\u' }, 'win32', '\\\\files\\u\\AppData\\Local\\mcp-sigv4-proxy'],
] as const)('the cache folder with %j on %s is %s', (env, platform, folder) => {
  expect(cacheFolder(env, platform)).toBe(folder);
});
