import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';
import { afterThisTest } from './cleanup.ts';
import { SessionServer } from './mcp-behaviours.ts';
import { ScriptedServer } from './scripted-server.ts';

/** An MCP server behind the authorization server `oidc-provider`. */
export interface ProtectedServer {
  readonly url: string;
  readonly issuer: string;
  readonly http: ScriptedServer;
  /** The grants of the token requests, in their order. */
  readonly grants: readonly string[];
  /** Revokes each access token; refresh tokens stay valid. */
  expireTokens(): void;
}

/** Starts both on loopback. Access tokens are valid for one scope and for this MCP server only. */
export async function startProtectedServer(): Promise<ProtectedServer> {
  const http = await ScriptedServer.start(() => undefined);
  const grants: string[] = [];
  const listening = createServer();
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  const provider = createProvider(issuer, http.url);
  provider.on('grant.success', ({ oidc }) => grants.push(String(oidc.params?.grant_type)));
  listening.on('request', provider.callback());
  afterThisTest(() => {
    listening.closeAllConnections();
    listening.close();
  });
  const mcp = new SessionServer();
  const expired = new Set<string>();
  const seen = new Set<string>();
  const metadata = `${http.origin}/.well-known/oauth-protected-resource/mcp`;
  http.behaviour = async (request, response) => {
    if (request.url === '/.well-known/oauth-protected-resource/mcp') {
      const body = { resource: http.url, authorization_servers: [issuer], scopes_supported: ['tools'] };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      return;
    }
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    const known = expired.has(token) ? undefined : await provider.AccessToken.find(token);
    if (known?.aud === http.url && known.scopes.has('tools')) {
      seen.add(token);
      return mcp.behaviour(request, response);
    }
    response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadata}"` }).end();
  };
  const expireTokens = (): void => {
    for (const token of seen) expired.add(token);
  };
  return { url: http.url, issuer, http, grants, expireTokens };
}

/** Starts an authorization server whose access tokens for the resource are JWTs. */
export async function startJwtProvider(resource: string): Promise<string> {
  const listening = createServer();
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  listening.on('request', createProvider(issuer, resource, 'jwt').callback());
  afterThisTest(() => {
    listening.closeAllConnections();
    listening.close();
  });
  return issuer;
}

function createProvider(
  issuer: string,
  resource: string,
  accessTokenFormat: 'opaque' | 'jwt' = 'opaque',
): Provider {
  return new Provider(issuer, {
    features: {
      registration: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, indicator: string) => {
          if (indicator !== resource) throw new TypeError(`another resource: ${indicator}`);
          return { scope: 'tools', audience: resource, accessTokenFormat };
        },
        useGrantedResource: () => true,
      },
    },
    // Clients that register with scopes may name these only.
    ...(accessTokenFormat === 'jwt' ? { scopes: ['tools', 'openid', 'offline_access'] } : {}),
    clientDefaults: { application_type: 'native' },
    cookies: { keys: ['a-key-for-tests-only'] },
    rotateRefreshToken: true,
    ttl: { AccessToken: 600, Grant: 3600, Interaction: 600, RefreshToken: 3600, Session: 3600 },
  });
}
