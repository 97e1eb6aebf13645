import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { beginCodeLogin, type LoginResult } from '../../../src/auth/oauth/code-login.ts';
import { discover } from '../../../src/auth/oauth/discovery.ts';
import { heldTokens } from '../../../src/auth/oauth/login-record.ts';
import type { OAuthDeps } from '../../../src/auth/oauth/oauth-deps.ts';
import { createOAuthFetch } from '../../../src/auth/oauth/oauth-fetch.ts';
import { loadOAuthSdk } from '../../../src/auth/oauth/sdk.ts';
import { refreshLogin } from '../../../src/auth/oauth/token-requests.ts';
import { codeLoginSettings } from '../../support/oauth-settings.ts';

/** A server with the metadata and endpoints of an authorization server, which logs in at once. */
async function startServer(edit: { resource?: string; iss?: string; pkce?: string[] | null } = {}) {
  const requests: { path: string; body: URLSearchParams }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const url = new URL(request.url ?? '', origin);
      requests.push({ path: url.pathname, body: new URLSearchParams(body) });
      const json = (value: unknown): void => {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      };
      switch (url.pathname) {
        case '/.well-known/oauth-protected-resource/mcp':
          return json({ resource: edit.resource ?? `${origin}/mcp`, authorization_servers: [origin] });
        case '/.well-known/oauth-authorization-server':
          return json({
            issuer: origin,
            authorization_endpoint: `${origin}/authorize`,
            token_endpoint: `${origin}/token`,
            registration_endpoint: `${origin}/register`,
            response_types_supported: ['code'],
            ...(edit.pkce === null ? {} : { code_challenge_methods_supported: edit.pkce ?? ['S256'] }),
            authorization_response_iss_parameter_supported: true,
          });
        case '/register':
          return json({ ...JSON.parse(body), client_id: 'registered' });
        case '/authorize': {
          const back = new URL(url.searchParams.get('redirect_uri') ?? '');
          back.searchParams.set('code', 'c0de');
          back.searchParams.set('state', url.searchParams.get('state') ?? '');
          back.searchParams.set('iss', edit.iss ?? origin);
          return response.writeHead(302, { location: back.href }).end();
        }
        case '/token':
          return json({
            access_token: `token-${requests.length}`,
            token_type: 'Bearer',
            expires_in: 60,
            refresh_token: 'r',
          });
        default:
          return response.writeHead(404).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { origin, requests, close: () => server.close() };
}

async function depsFor(origin: string): Promise<OAuthDeps> {
  const endpoint = new URL(`${origin}/mcp`);
  const settings = codeLoginSettings(endpoint);
  return { settings, sdk: await loadOAuthSdk(), fetch: createOAuthFetch(fetch, endpoint) };
}

const keep = async (login: LoginResult) => login;

describe('a login by authorization code', () => {
  it('a login registers the client, uses PKCE and the resource, and its tokens can be refreshed', async () => {
    const { origin, requests, close } = await startServer();
    const deps = await depsFor(origin);
    const discovery = await discover(deps, undefined);
    const login = await beginCodeLogin(deps, discovery, { known: undefined, scope: 'a b', keep });
    const page = await fetch(login.url);
    expect(await page.text()).toContain('Logged in');
    const { tokens, client } = await login.result;
    expect(client).toMatchObject({ client_id: 'registered', issuer: origin });
    expect(tokens).toMatchObject({ refresh_token: 'r', issuer: origin });
    const { searchParams } = new URL(login.url);
    expect(searchParams.get('code_challenge_method')).toBe('S256');
    expect(searchParams.get('scope')).toBe('a b');
    const exchange = requests.find(({ path }) => path === '/token')?.body;
    expect(exchange?.get('resource')).toBe(`${origin}/mcp`);
    expect(exchange?.get('code_verifier')).toMatch(/^[\w.~-]{43,}$/);
    const record = {
      endpoint: `${origin}/mcp`,
      client,
      tokens: heldTokens(tokens, 0),
      authorizationServer: discovery.authorizationServer,
      resource: discovery.resource,
    };
    const renewed = await refreshLogin(deps, record);
    expect(renewed.access_token).not.toBe(tokens.access_token);
    expect(requests.at(-1)?.body.get('refresh_token')).toBe('r');
    close();
  });

  it('a response of another issuer ends the login, and no code is exchanged', async () => {
    const { origin, requests, close } = await startServer({ iss: 'https://evil.example.com' });
    const deps = await depsFor(origin);
    const login = await beginCodeLogin(deps, await discover(deps, undefined), {
      known: undefined,
      scope: undefined,
      keep,
    });
    const refused = expect(login.result).rejects.toThrow(/Issuer mismatch/);
    expect(await (await fetch(login.url)).text()).toContain('Login failed');
    await refused;
    expect(requests.some(({ path }) => path === '/token')).toBe(false);
    close();
  });

  it.each([
    { pkce: null, reason: /states no PKCE methods \(code_challenge_methods_supported\)/ },
    { pkce: ['plain'], reason: /does not support the PKCE method S256/ },
    { pkce: [], reason: /does not support the PKCE method S256/ },
  ])(
    'a server whose metadata states the PKCE methods $pkce is refused, and no client is registered',
    async (edit) => {
      const { origin, requests, close } = await startServer(edit);
      const deps = await depsFor(origin);
      const discovery = await discover(deps, undefined);
      const login = beginCodeLogin(deps, discovery, { known: undefined, scope: undefined, keep });
      await expect(login).rejects.toThrow(edit.reason);
      expect(requests.every(({ path }) => path.startsWith('/.well-known/'))).toBe(true);
      close();
    },
  );

  it('metadata of another resource is refused before any login', async () => {
    const { origin, close } = await startServer({ resource: 'https://other.example.com/mcp' });
    await expect(discover(await depsFor(origin), undefined)).rejects.toThrow(/another resource/);
    close();
  });
});
