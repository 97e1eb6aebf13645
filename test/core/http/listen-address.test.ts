import { describe, expect, it } from 'vitest';
import { removeStale } from '../../../src/client/http/open-server.ts';
import { isPipe, readSocketAddress } from '../../../src/core/http/listen-address.ts';

describe('the address of a socket of the system', () => {
  it.each([
    ['unix:/run/mcp.sock', 'linux', '/run/mcp.sock'],
    ['unix:/run/mcp.sock', 'darwin', '/run/mcp.sock'],
    ['unix:run/mcp.sock', 'linux', undefined],
    ['unix:/run/', 'linux', undefined],
    [`unix:/${'a'.repeat(103)}`, 'linux', undefined],
    ['\\\\.\\pipe\\mcp', 'linux', undefined],
    ['\\\\.\\pipe\\mcp', 'win32', '\\\\.\\pipe\\mcp'],
    ['\\\\?\\PIPE\\mcp proxy-1', 'win32', '\\\\?\\PIPE\\mcp proxy-1'],
    ['\\\\.\\pipe\\', 'win32', undefined],
    ['\\\\.\\pipe\\a\\b', 'win32', undefined],
    ['\\\\other\\pipe\\mcp', 'win32', undefined],
    ['unix:/run/mcp.sock', 'win32', undefined],
    ['unix:C:\\mcp.sock', 'win32', undefined],
    ['127.0.0.1:80', 'win32', undefined],
  ] as const)('the text %j is on %s the socket %j', (text, platform, socketPath) => {
    expect(readSocketAddress(text, platform)?.socketPath).toBe(socketPath);
  });

  it('a named pipe that is in use is never removed as a stale socket', async () => {
    expect(isPipe('\\\\.\\pipe\\mcp')).toBe(true);
    expect(await removeStale('\\\\.\\pipe\\mcp')).toBe(false);
  });
});
