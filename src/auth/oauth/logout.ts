import { configuredClient } from './client-identity.ts';
import { isSameIssuer } from './discovery.ts';
import { postForm } from './form-request.ts';
import type { LoginRecord } from './login-record.ts';
import type { LoginStore } from './login-store.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { oauthUrlProblem } from './oauth-urls.ts';

/** The result of a logout. */
export interface LogoutFacts {
  /** False if there was no login. */
  readonly wasLoggedIn: boolean;
  /** True if the authorization server has confirmed the revocation. */
  readonly isRevoked: boolean;
  /** The reason why they are not revoked; undefined if they are, or the server revokes none. */
  readonly problem: unknown;
}

/**
 * Removes the stored login, and revokes its tokens at the authorization server if that offers
 * revocation (RFC 7009). The login is removed even if the revocation fails.
 * @throws Error if the store cannot be used.
 */
export async function logout(
  loadDeps: () => Promise<OAuthDeps>,
  store: LoginStore,
  signal: AbortSignal,
): Promise<LogoutFacts> {
  return store.locked(signal, async () => {
    const record = await store.read();
    let isRevoked = false;
    let problem: unknown;
    try {
      if (record?.tokens) isRevoked = await revoke(await loadDeps(), record);
    } catch (error) {
      if (signal.aborted) throw error;
      problem = error;
    }
    await store.remove();
    return { wasLoggedIn: record?.tokens !== undefined, isRevoked, problem };
  });
}

/** @returns false if the server does not offer revocation. */
async function revoke(deps: OAuthDeps, record: LoginRecord): Promise<boolean> {
  const { settings, sdk, fetch } = deps;
  const { tokens, authorizationServer = '' } = record;
  const client = configuredClient(settings) ?? record.client;
  const metadata = await sdk.discoverAuthorizationServerMetadata(authorizationServer, { fetchFn: fetch });
  const { revocation_endpoint: url } = (metadata ?? {}) as { readonly revocation_endpoint?: unknown };
  if (!metadata || typeof url !== 'string' || !URL.canParse(url) || !client || !tokens) return false;
  if (tokens.issuer !== undefined && !isSameIssuer(tokens.issuer, metadata.issuer))
    throw new Error(`the authorization server has the issuer ${metadata.issuer} now`);
  const unsafe = oauthUrlProblem(new URL(url), settings.endpoint);
  if (unsafe !== undefined) throw new Error(`the revocation endpoint is refused: ${unsafe}`);
  // Revoking the refresh token ends the access tokens of the same grant too (RFC 7009, section
  // 2.1).
  const form =
    tokens.refresh_token === undefined
      ? { token: tokens.access_token, token_type_hint: 'access_token' }
      : { token: tokens.refresh_token, token_type_hint: 'refresh_token' };
  const response = await postForm(deps, url, form, client, metadata);
  if (!response.ok) throw await sdk.parseErrorResponse(response);
  return true;
}
