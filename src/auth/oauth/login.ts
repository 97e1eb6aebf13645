import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/time/clock.ts';
import { abortable, sleep } from '../../core/time/waits.ts';
import { type BearerChallenge, readChallenge } from './challenge.ts';
import { beginCodeLogin, type LoginResult, type PendingLogin } from './code-login.ts';
import { type DevicePrompt, loginWithDevice } from './device-login.ts';
import { type Discovery, discover } from './discovery.ts';
import { heldTokens, type LoginRecord } from './login-record.ts';
import type { LoginStore } from './login-store.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { chooseScope } from './scopes.ts';

/** The user has this long to log in; authorization servers end a login sooner. */
export const MAX_LOGIN_MS = 900_000;

export interface LoginDeps {
  readonly deps: OAuthDeps;
  readonly store: LoginStore;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Shows the page where the user logs in. */
  readonly onPage: (login: PendingLogin) => void;
  /** Shows the code and the page of the device flow. */
  readonly onDevice: (prompt: DevicePrompt) => void;
}

/** A completed login. */
export interface StoredLoginFacts {
  readonly issuer: string;
  readonly scope: string | undefined;
  /** The end of the access token, wall clock; undefined if unknown. */
  readonly expiresAt: number | undefined;
  readonly isRenewable: boolean;
  /** Where the tokens are stored. */
  readonly place: 'keychain' | 'file';
}

/**
 * Logs a person in and stores the tokens.
 * @throws MetadataError, OAuthFetchError, LoginRefusedError, ClientConfigError, or an error of the
 * SDK or the store.
 */
export async function login(options: LoginDeps): Promise<StoredLoginFacts> {
  const { deps, store, clock, signal } = options;
  const challenge = await challengeOf(deps);
  const discovery = await discover(deps, challenge);
  const known = await store.read();
  const scope = scopeOf(deps, discovery, challenge, known);
  const { tokens, client } = await authorize(options, discovery, known, scope);
  const issuer = discovery.metadata?.issuer ?? discovery.authorizationServer;
  const held = heldTokens(tokens, clock.now());
  const record: LoginRecord = {
    endpoint: deps.settings.endpoint.href,
    login: randomUUID(),
    client,
    tokens: held,
    authorizationServer: discovery.authorizationServer,
    resource: discovery.resource,
  };
  const place = await store.locked(signal, () => store.write(record));
  const isRenewable = held.refresh_token !== undefined;
  return { issuer, scope: held.scope, expiresAt: held.expiresAt, isRenewable, place };
}

/**
 * Asks the server without a token, as the MCP specification describes: a 401 names the metadata.
 */
async function challengeOf({ settings, sdk, fetch }: OAuthDeps): Promise<BearerChallenge> {
  const response = await fetch(settings.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: PROBE,
  });
  const header = response.status === 401 ? response.headers.get('www-authenticate') : null;
  return header === null ? {} : readChallenge(sdk, header);
}

/** Has no effect where the server answers it: it opens no session. */
const PROBE = JSON.stringify({ jsonrpc: '2.0', id: 'login', method: 'ping' });

function scopeOf(
  { settings }: OAuthDeps,
  { metadata, resourceMetadata }: Discovery,
  challenge: BearerChallenge,
  known: LoginRecord | undefined,
): string | undefined {
  const demanded = known?.demandedScope;
  return chooseScope({
    configured: settings.scopes,
    challenged: demanded ?? challenge.scope,
    granted: demanded === undefined ? undefined : known?.tokens?.scope,
    supported: resourceMetadata?.scopes_supported,
    known: metadata?.scopes_supported,
    refreshes: true,
  });
}

async function authorize(
  { deps, clock, signal, onPage, onDevice }: LoginDeps,
  discovery: Discovery,
  known: LoginRecord | undefined,
  scope: string | undefined,
): Promise<LoginResult> {
  const client = known?.client;
  if (deps.settings.flow === 'device')
    return loginWithDevice(deps, discovery, { known: client, scope, clock, signal, show: onDevice });
  const pending = await beginCodeLogin(deps, discovery, { known: client, scope });
  const timeout = new AbortController();
  const late = sleep(clock, MAX_LOGIN_MS, timeout.signal).then(() =>
    pending.cancel(new Error(`nobody has logged in within ${MAX_LOGIN_MS / 60_000} minutes`)),
  );
  late.catch(() => undefined);
  onPage(pending);
  try {
    return await abortable(pending.result, signal);
  } catch (error) {
    pending.cancel(error instanceof Error ? error : new Error('cancelled'));
    await pending.result.catch(() => undefined);
    throw error;
  } finally {
    timeout.abort();
  }
}
