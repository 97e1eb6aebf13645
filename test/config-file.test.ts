import { expect, it } from 'vitest';
import { loginFolder } from '../src/auth/oauth/state-folder.ts';
import { configPath } from '../src/config-file.ts';

it.each([
  [{ HOME: '/home/u' }, 'linux', '/home/u/.config/mcp-sigv4-proxy/config.json'],
  [{ HOME: '/home/u', XDG_CONFIG_HOME: '/etc/u' }, 'linux', '/etc/u/mcp-sigv4-proxy/config.json'],
  [{ HOME: '/home/u', XDG_CONFIG_HOME: 'here' }, 'linux', '/home/u/.config/mcp-sigv4-proxy/config.json'],
  [{ HOME: 'here' }, 'linux', undefined],
  [{ USERPROFILE: 'C:\\u', APPDATA: 'D:\\Roaming' }, 'win32', 'D:\\Roaming\\mcp-sigv4-proxy\\config.json'],
  [{ USERPROFILE: 'C:\\u' }, 'win32', 'C:\\u\\AppData\\Roaming\\mcp-sigv4-proxy\\config.json'],
  [
    { USERPROFILE: 'C:\\u', APPDATA: 'Roaming' },
    'win32',
    'C:\\u\\AppData\\Roaming\\mcp-sigv4-proxy\\config.json',
  ],
  [{}, 'win32', undefined],
] as const)('the configuration file of a user with %j on %s is %s', (env, platform, path) => {
  expect(configPath(env, platform)).toBe(path);
});

it.each([
  [{ HOME: '/home/u' }, 'linux', '/home/u/.local/state/mcp-sigv4-proxy/oauth'],
  [{ HOME: '/Users/u' }, 'darwin', '/Users/u/Library/Application Support/mcp-sigv4-proxy/oauth'],
  [{ USERPROFILE: 'C:\\u', LOCALAPPDATA: 'D:\\Local' }, 'win32', 'D:\\Local\\mcp-sigv4-proxy\\oauth'],
  [{ USERPROFILE: 'C:\\u' }, 'win32', 'C:\\u\\AppData\\Local\\mcp-sigv4-proxy\\oauth'],
] as const)('the logins of a user with %j on %s are in %s', (env, platform, folder) => {
  expect(loginFolder(env, platform)).toBe(folder);
});
