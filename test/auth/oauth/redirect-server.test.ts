import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { oauthUrlProblem } from '../../../src/auth/oauth/oauth-urls.ts';
import { openRedirectServer } from '../../../src/auth/oauth/redirect-server.ts';

describe('the redirect of a login', () => {
  it('the redirect server accepts one response with the state, and shows the outcome', async () => {
    const server = await openRedirectServer('http://127.0.0.1/callback', 'right');
    const statusOf = async (query: string, init?: RequestInit): Promise<number> =>
      (await fetch(`${server.url}${query}`, init)).status;
    expect(await statusOf('?code=1&state=wrong')).toBe(404);
    expect(await statusOf('?code=1')).toBe(404);
    expect(await statusOf('?code=1&state=right', { method: 'POST' })).toBe(404);
    expect((await fetch(new URL('/other?code=1&state=right', server.url))).status).toBe(404);
    const answered = fetch(`${server.url}?code=0&state=right&iss=x`);
    expect(Object.fromEntries(await server.response)).toEqual({ code: '0', state: 'right', iss: 'x' });
    expect(await statusOf('?code=2&state=right')).toBe(410);
    await server.finish({ ok: true, text: '<done>' });
    const shown = await answered;
    expect(shown.status).toBe(200);
    expect(await shown.text()).toContain('&#60;done&#62;');
    await expect(fetch(server.url)).rejects.toThrow();
  });

  it('the redirect server takes the port of the URI, and reports one that is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(openRedirectServer(`http://127.0.0.1:${port}/callback`, 's')).rejects.toThrow('EADDRINUSE');
    other.close();
  });

  it.each([
    ['https://login.example.com/authorize', 'https://mcp.example.com/mcp', undefined],
    ['http://localhost:9/authorize', 'http://127.0.0.1:8/mcp', undefined],
    ['http://login.example.com/', 'https://mcp.example.com/mcp', /uses http/],
    ['http://127.0.0.1:9/', 'https://mcp.example.com/mcp', /on this machine/],
    ['https://a.localhost/', 'https://mcp.example.com/mcp', /on this machine/],
    ['file:///etc/passwd', 'http://127.0.0.1:8/mcp', /scheme file/],
    ['javascript:alert(1)', 'https://mcp.example.com/mcp', /scheme javascript/],
    ['https://user@login.example.com/', 'https://mcp.example.com/mcp', /user name/],
  ])('the URL %s of the metadata of %s is checked', (url, endpoint, problem) => {
    const found = oauthUrlProblem(new URL(url), new URL(endpoint));
    if (problem) expect(found).toMatch(problem);
    else expect(found).toBeUndefined();
  });
});
