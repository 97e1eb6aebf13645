import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/time/clock.ts';
import { abortable, sleep } from '../../core/time/waits.ts';
import { type BearerChallenge, readChallenge } from './challenge.ts';
import { beginCodeLogin, type LoginResult, type PendingLogin } from './code-login.ts';
import { type DevicePrompt, loginWithDevice } from './device-login.ts';
import { type Discovery, discover } from './discovery.ts';
import { heldTokens, type LoginRecord, type RegisteredClient } from './login-record.ts';
import type { LoginStore } from './login-store.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { chooseScope } from './scopes.ts';

/** The user has this long to log in; authorization servers end a login sooner. */
export const MAX_LOGIN_MS = 900_000;

/** The dependencies of a login. */
export interface LoginEnvironment {
  readonly deps: OAuthDeps;
  readonly store: LoginStore;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface LoginDeps extends LoginEnvironment {
  /** Shows the page where the user logs in. */
  readonly onPage: (login: PendingLogin) => void;
  /** Shows the code and the page of the device flow. */
  readonly onDevice: (prompt: DevicePrompt) => void;
}

/** A login in the browser that has started. */
export interface BegunLogin {
  readonly page: PendingLogin;
  /** Resolves when the user has logged in and the tokens are stored. */
  readonly done: Promise<StoredLoginFacts>;
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
  const { deps, clock, signal, onPage, onDevice } = options;
  if (deps.settings.flow !== 'device') {
    const { page, done } = await beginLogin(options);
    onPage(page);
    return done;
  }
  const request = await prepare(options);
  const { discovery, known, scope } = request;
  const result = await loginWithDevice(deps, discovery, { known, scope, clock, signal, show: onDevice });
  return save(options, request, result);
}

/**
 * Begins a login in the browser, which the signal ends.
 * @throws as `login` does.
 */
export async function beginLogin(options: LoginEnvironment): Promise<BegunLogin> {
  const { deps, clock, signal } = options;
  const request = await prepare(options);
  const { discovery, known, scope } = request;
  const keep = (result: LoginResult) => save(options, request, result);
  const page = await beginCodeLogin(deps, discovery, { known, scope, keep });
  return { page, done: completed(page, clock, signal) };
}

interface LoginRequest {
  readonly discovery: Discovery;
  /** The client of an earlier login. */
  readonly known: RegisteredClient | undefined;
  readonly scope: string | undefined;
}

async function prepare({ deps, store }: LoginEnvironment): Promise<LoginRequest> {
  // Checked before the user logs in.
  await store.check();
  const challenge = await challengeOf(deps);
  const discovery = await discover(deps, challenge);
  const earlier = await store.read();
  return { discovery, known: earlier?.client, scope: scopeOf(deps, discovery, challenge, earlier) };
}

async function save(
  { deps, store, clock, signal }: LoginEnvironment,
  { discovery }: LoginRequest,
  { tokens, client }: LoginResult,
): Promise<StoredLoginFacts> {
  const { authorizationServer, metadata, resource } = discovery;
  const held = heldTokens(tokens, clock.now());
  const record: LoginRecord = {
    endpoint: deps.settings.endpoint.href,
    login: randomUUID(),
    client,
    tokens: held,
    authorizationServer,
    resource,
  };
  const place = await store.locked(signal, () => store.write(record));
  return {
    issuer: metadata?.issuer ?? authorizationServer,
    scope: held.scope,
    expiresAt: held.expiresAt,
    isRenewable: held.refresh_token !== undefined,
    place,
  };
}

/**
 * Sends a request without a token, as the MCP specification describes: a 401 names the metadata.
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

/** A ping, because it opens no session if the server answers it. */
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

/** Waits for the user, within the time limit. */
async function completed<T>(pending: PendingLogin<T>, clock: Clock, signal: AbortSignal): Promise<T> {
  const timeout = new AbortController();
  const late = sleep(clock, MAX_LOGIN_MS, timeout.signal).then(() =>
    pending.cancel(new Error(`the login was not completed within ${MAX_LOGIN_MS / 60_000} minutes`)),
  );
  late.catch(() => undefined);
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
