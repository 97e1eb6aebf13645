import { randomBytes } from 'node:crypto';
import type { StoredOAuthTokens } from '@modelcontextprotocol/client';
import { configuredClient, obtainClient, privateKeyAuthentication } from './client-identity.ts';
import { type Discovery, MetadataError } from './discovery.ts';
import type { RegisteredClient } from './login-record.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { pkceProblem } from './pkce.ts';
import { openRedirectServer, type RedirectServer } from './redirect-server.ts';

/** The tokens of a login, and the client that they belong to. */
export interface LoginResult {
  readonly tokens: StoredOAuthTokens;
  readonly client: RegisteredClient;
}

/** A login in a browser that waits for the user. */
export interface PendingLogin<T = unknown> {
  /** The page where the user logs in. */
  readonly url: string;
  /** The URL on this machine that the browser returns to. */
  readonly redirectUrl: string;
  /** Resolves when the user has logged in and `keep` has resolved. */
  readonly result: Promise<T>;
  /** Cancels the login if it has not ended. */
  cancel(reason: Error): void;
}

/** The authorization server refused the login, or the user did. */
export class LoginRefusedError extends Error {
  override readonly name = 'LoginRefusedError';
}

/**
 * Begins a login by authorization code with PKCE. Registers the proxy as a client if that is
 * needed.
 * @param options.known - the client of an earlier login at this endpoint.
 * @param options.keep - stores the tokens, before the browser shows that the login is complete.
 * @throws MetadataError before anything is registered, if the server does not support PKCE.
 */
export async function beginCodeLogin<T>(
  deps: OAuthDeps,
  discovery: Discovery,
  options: {
    readonly known: RegisteredClient | undefined;
    readonly scope: string | undefined;
    readonly keep: (login: LoginResult) => Promise<T>;
  },
): Promise<PendingLogin<T>> {
  const { known, scope, keep } = options;
  const problem = pkceProblem(discovery.metadata);
  if (problem !== undefined) throw new MetadataError(problem);
  const state = randomBytes(32).toString('base64url');
  const { server, client: registered } = await openServer(deps, discovery, known, state);
  try {
    const redirectUri = server.url;
    const client =
      configuredClient(deps.settings) ??
      registered ??
      (await obtainClient(deps, discovery, { flow: 'code', redirectUri, scope }));
    const { authorizationServer, metadata, resource } = discovery;
    const { authorizationUrl, codeVerifier } = await deps.sdk.startAuthorization(authorizationServer, {
      ...(metadata ? { metadata } : {}),
      clientInformation: client,
      redirectUrl: redirectUri,
      ...(scope === undefined ? {} : { scope }),
      state,
      ...(resource === undefined ? {} : { resource }),
    });
    let cancel: (reason: Error) => void = () => undefined;
    const cancelled = new Promise<never>((_resolve, reject) => {
      cancel = reject;
    });
    const result = Promise.race([server.response, cancelled]).then(async (response) => {
      const received = { client, redirectUri, codeVerifier, scope, response };
      return keep({ client, tokens: await exchange(deps, discovery, received) });
    });
    return {
      url: authorizationUrl.href,
      redirectUrl: redirectUri,
      cancel,
      result: withOutcomePage(result, server),
    };
  } catch (error) {
    await server.finish({ ok: false, text: '' });
    throw error;
  }
}

/** Shows the outcome in the browser before it is returned. */
async function withOutcomePage<T>(result: Promise<T>, server: RedirectServer): Promise<T> {
  try {
    const login = await result;
    await server.finish({ ok: true, text: 'You can close this window and return to the MCP client.' });
    return login;
  } catch (error) {
    await server.finish({ ok: false, text: 'The terminal, or the log of the proxy, shows the reason.' });
    throw error;
  }
}

interface CodeExchange {
  readonly client: RegisteredClient;
  readonly redirectUri: string;
  readonly codeVerifier: string;
  readonly scope: string | undefined;
  readonly response: URLSearchParams;
}

/** @throws LoginRefusedError for an error response; an error of the SDK for another issuer. */
async function exchange(
  { settings, sdk, fetch }: OAuthDeps,
  { authorizationServer, metadata, resource }: Discovery,
  { client, redirectUri, codeVerifier, scope, response }: CodeExchange,
): Promise<StoredOAuthTokens> {
  const iss = response.get('iss') ?? undefined;
  // Checked first: nothing of a response from another issuer may be shown (RFC 9207).
  sdk.validateAuthorizationResponseIssuer({
    iss,
    expectedIssuer: metadata?.issuer,
    issParameterSupported: metadata?.authorization_response_iss_parameter_supported === true,
  });
  const authorizationCode = response.get('code');
  if (authorizationCode === null) {
    const code = response.get('error') ?? 'no code';
    const description = response.get('error_description');
    throw new LoginRefusedError(description === null ? code : `${code}: ${description}`);
  }
  const addClientAuthentication = await privateKeyAuthentication(settings, sdk, metadata);
  const tokens = await sdk.exchangeAuthorization(authorizationServer, {
    ...(metadata ? { metadata } : {}),
    clientInformation: client,
    authorizationCode,
    ...(iss === undefined ? {} : { iss }),
    codeVerifier,
    redirectUri,
    ...(resource === undefined ? {} : { resource }),
    ...(addClientAuthentication ? { addClientAuthentication } : {}),
    fetchFn: fetch,
  });
  // An answer without a scope grants the requested scope (RFC 6749, section 5.1).
  const requested = scope === undefined ? {} : { scope };
  return { ...requested, ...tokens, issuer: metadata?.issuer ?? authorizationServer };
}

/**
 * Listens at the redirect URI of the known client. If its port is in use, listens at another port,
 * for which a new client is registered.
 */
async function openServer(
  { settings }: OAuthDeps,
  { metadata, authorizationServer }: Discovery,
  known: RegisteredClient | undefined,
  state: string,
): Promise<{ server: RedirectServer; client: RegisteredClient | undefined }> {
  const { redirectUri } = settings;
  const issuer = metadata?.issuer ?? authorizationServer;
  const registered =
    known?.issuer === issuer
      ? known.redirect_uris?.find((uri) => differsByPort(uri, redirectUri))
      : undefined;
  if (registered !== undefined) {
    try {
      const server = await openRedirectServer(redirectUri, state, Number(new URL(registered).port));
      return { server, client: known };
    } catch {
      // Another program uses the port.
    }
  }
  return { server: await openRedirectServer(redirectUri, state), client: undefined };
}

function differsByPort(registered: string, redirectUri: string): boolean {
  if (!URL.canParse(registered)) return false;
  const [one, other] = [new URL(registered), new URL(redirectUri)];
  const isSamePort = other.port === '' || one.port === other.port;
  return isSamePort && one.hostname === other.hostname && one.pathname === other.pathname;
}
