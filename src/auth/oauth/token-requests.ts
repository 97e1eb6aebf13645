import type { OAuthClientProvider, StoredOAuthTokens } from '@modelcontextprotocol/client';
import { clientMetadata, configuredClient, privateKeyAuthentication } from './client-identity.ts';
import { type Discovery, isSameIssuer, MetadataError } from './discovery.ts';
import type { LoginRecord, RegisteredClient } from './login-record.ts';
import type { OAuthDeps } from './oauth-deps.ts';

/**
 * Exchanges the refresh token of a login, at the authorization server that issued it.
 * @throws MetadataError if that server has another issuer now; OAuthError, OAuthFetchError.
 */
export async function refreshLogin(deps: OAuthDeps, record: LoginRecord): Promise<StoredOAuthTokens> {
  const { settings, sdk, fetch } = deps;
  const { tokens, client, authorizationServer = '', resource } = record;
  const metadata = await sdk.discoverAuthorizationServerMetadata(authorizationServer, { fetchFn: fetch });
  const issuer = metadata?.issuer ?? authorizationServer;
  if (tokens?.issuer !== undefined && !isSameIssuer(tokens.issuer, issuer))
    throw new MetadataError(
      `the authorization server has the issuer ${issuer} now, and had ${tokens.issuer} at the login`,
    );
  const clientInformation = configuredClient(settings) ?? client;
  if (clientInformation === undefined || tokens?.refresh_token === undefined)
    throw new MetadataError('the stored login has no client or no refresh token');
  const addClientAuthentication = await privateKeyAuthentication(settings, sdk, metadata);
  const renewed = await sdk.refreshAuthorization(authorizationServer, {
    ...(metadata ? { metadata } : {}),
    clientInformation,
    refreshToken: tokens.refresh_token,
    ...(resource === undefined ? {} : { resource }),
    ...(addClientAuthentication ? { addClientAuthentication } : {}),
    fetchFn: fetch,
  });
  // An answer without a scope keeps the scope of the refreshed token (RFC 6749, section 6).
  return { ...(tokens.scope === undefined ? {} : { scope: tokens.scope }), ...renewed, issuer };
}

/** Requests tokens with a grant that needs no browser. */
export async function requestTokens(
  deps: OAuthDeps,
  { authorizationServer, metadata, resource }: Discovery,
  client: RegisteredClient,
  grant: Readonly<Record<string, string>>,
  scope: string | undefined,
): Promise<StoredOAuthTokens> {
  const { settings, sdk, fetch } = deps;
  const addClientAuthentication = await privateKeyAuthentication(settings, sdk, metadata);
  const provider: OAuthClientProvider = {
    redirectUrl: undefined,
    clientMetadata: clientMetadata('device', undefined, metadata),
    clientInformation: () => client,
    tokens: () => undefined,
    saveTokens: () => undefined,
    redirectToAuthorization: () => undefined,
    saveCodeVerifier: () => undefined,
    codeVerifier: () => '',
    prepareTokenRequest: () => new URLSearchParams({ ...grant, ...(scope ? { scope } : {}) }),
    ...(addClientAuthentication ? { addClientAuthentication } : {}),
  };
  const tokens = await sdk.fetchToken(provider, authorizationServer, {
    ...(metadata ? { metadata } : {}),
    ...(resource === undefined ? {} : { resource }),
    ...(scope === undefined ? {} : { scope }),
    fetchFn: fetch,
  });
  return {
    ...(scope === undefined ? {} : { scope }),
    ...tokens,
    issuer: metadata?.issuer ?? authorizationServer,
  };
}
