import type { Authorizer } from './auth/authorizer.ts';
import { clientPrincipal, loginPrincipal } from './auth/oauth/access-token.ts';
import { ClientTokens } from './auth/oauth/client-tokens.ts';
import { LoginOffers } from './auth/oauth/login-offers.ts';
import { LoginStore, type StoreKind } from './auth/oauth/login-store.ts';
import { OAuthAuthorizer } from './auth/oauth/oauth-authorizer.ts';
import type { OAuthDeps } from './auth/oauth/oauth-deps.ts';
import { createOAuthFetch } from './auth/oauth/oauth-fetch.ts';
import type { OAuthFlow, OAuthSettings } from './auth/oauth/oauth-settings.ts';
import { loadOAuthSdk } from './auth/oauth/sdk.ts';
import { loginFolder } from './auth/oauth/state-folder.ts';
import { StoredLogin } from './auth/oauth/stored-login.ts';
import type { Events } from './core/pipeline/events.ts';
import { type Clock, systemClock } from './core/time/clock.ts';
import type { Settings } from './settings.ts';
import type { Connector } from './upstream/http/undici.ts';
import { createWebFetch } from './upstream/http/web-fetch.ts';

/** One request to an authorization server. */
const MAX_REQUEST_MS = 20_000;
/** Room for several tokens of 100 kB, in base64. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** The values of the OAuth options for one profile. */
export function oauthSettingsOf(settings: Settings, profile: string): OAuthSettings {
  return {
    endpoint: settings.endpoint,
    clientId: settings.oauthClientId,
    clientSecretEnv: settings.oauthClientSecretEnv,
    privateKey: settings.oauthPrivateKey,
    scopes: settings.oauthScope,
    issuer: settings.oauthIssuer,
    flow: settings.oauthFlow as OAuthFlow,
    redirectUri: settings.oauthRedirectUri,
    store: settings.oauthStore as StoreKind,
    // AWS_PROFILE does not choose the login: a terminal and an MCP client may have different
    // values.
    profile: settings.from.profile === 'AWS_PROFILE' ? '' : profile,
    env: settings.env,
    variables: { ...settings.fileVariables, ...settings.env },
  };
}

/** Opens the store of the login; reads nothing. */
export const loginStoreOf = (settings: OAuthSettings, clock: Clock): LoginStore =>
  new LoginStore({
    folder: loginFolder(settings.env),
    identity: settings,
    kind: settings.store,
    clock,
  });

/** The principal of the default profile's login; undefined without a login. */
export async function foreseenLogin(all: Settings): Promise<string | undefined> {
  const settings = oauthSettingsOf(all, all.defaultProfile);
  if (settings.flow === 'client-credentials') return clientPrincipal(settings.clientId ?? '');
  const record = await loginStoreOf(settings, systemClock).read();
  return record?.tokens && loginPrincipal(record);
}

/** Loads the SDK, and uses the connection settings of requests to the server. */
export async function oauthDepsOf(
  settings: OAuthSettings,
  { connect, clock }: { readonly connect: Connector; readonly clock: Clock },
  signal: AbortSignal,
): Promise<OAuthDeps> {
  const webFetch = createWebFetch(connect, clock, { ms: MAX_REQUEST_MS, bytes: MAX_ANSWER_BYTES });
  const sdk = await loadOAuthSdk();
  return { settings, sdk, fetch: createOAuthFetch(webFetch, settings.endpoint, signal) };
}

/** Opens the logins that clients are offered while the proxy serves. */
export const createLoginOffers = (
  all: Settings,
  {
    clock,
    events,
    connectOf,
  }: {
    readonly clock: Clock;
    readonly events: Events;
    readonly connectOf: (profile: string) => Connector;
  },
): LoginOffers =>
  new LoginOffers({
    clock,
    events,
    storeOf: (profile) => loginStoreOf(oauthSettingsOf(all, profile), clock),
    depsOf: (profile, signal) =>
      oauthDepsOf(oauthSettingsOf(all, profile), { connect: connectOf(profile), clock }, signal),
  });

/** Creates the authorizer of `--auth oauth` for one profile. */
export function createOAuthAuthorizer(
  all: Settings,
  profile: string,
  wiring: {
    readonly connect: Connector;
    readonly clock: Clock;
    readonly events: Events;
    readonly onIdentityChange: () => void;
  },
): Authorizer {
  const { clock, events, onIdentityChange } = wiring;
  const settings = oauthSettingsOf(all, profile);
  const { clientSecretEnv: name, variables } = settings;
  const secret = name === undefined ? undefined : variables[name];
  if (secret) events.emit({ type: 'secret.known', value: secret, lasting: true });
  const deps = (signal: AbortSignal): Promise<OAuthDeps> => oauthDepsOf(settings, wiring, signal);
  const options = { settings, clock, events, deps, onIdentityChange };
  const source =
    settings.flow === 'client-credentials'
      ? new ClientTokens(options)
      : new StoredLogin(loginStoreOf(settings, clock), options);
  return new OAuthAuthorizer(source, settings);
}
