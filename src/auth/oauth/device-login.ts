import type { StoredOAuthTokens } from '@modelcontextprotocol/client';
import type { Clock } from '../../core/time/clock.ts';
import { sleep } from '../../core/time/waits.ts';
import { configuredClient, DEVICE_GRANT, obtainClient } from './client-identity.ts';
import type { LoginResult } from './code-login.ts';
import { type Discovery, MetadataError } from './discovery.ts';
import { postForm } from './form-request.ts';
import type { RegisteredClient } from './login-record.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { oauthUrlProblem } from './oauth-urls.ts';
import { requestTokens } from './token-requests.ts';

/** The default interval, and the increase after `slow_down` (RFC 8628, section 3.5). */
const POLL_S = 5;
/** With a longer interval, the user would wait after the login. */
const MAX_POLL_S = 60;
/** Longest wait for the user, even if the code lives longer. */
const MAX_LIFE_S = 1_800;

/** The code that the user types, and the page where it is typed. */
export interface DevicePrompt {
  readonly userCode: string;
  readonly verificationUri: string;
  /** The same page with the code filled in, if the server has one. */
  readonly completeUri: string | undefined;
}

/** The endpoint of the device flow; undefined if the server does not offer it. */
export function deviceEndpoint({ metadata }: Discovery): string | undefined {
  const { device_authorization_endpoint: url } = (metadata ?? {}) as {
    device_authorization_endpoint?: unknown;
  };
  return typeof url === 'string' && URL.canParse(url) ? url : undefined;
}

/**
 * Logs in by a code that the user types on another device (RFC 8628).
 * @param show - receives the code and the page.
 * @throws MetadataError if the server does not offer the flow; OAuthError where the user refuses.
 */
export async function loginWithDevice(
  deps: OAuthDeps,
  discovery: Discovery,
  options: {
    readonly known: RegisteredClient | undefined;
    readonly scope: string | undefined;
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly show: (prompt: DevicePrompt) => void;
  },
): Promise<LoginResult> {
  const { clock, signal, scope } = options;
  const client = await deviceClient(deps, discovery, options.known, scope);
  const started = await requestDeviceAuthorization(deps, discovery, client, scope);
  options.show(started.prompt);
  const endAt = clock.monotonic() + started.lifeS * 1_000;
  for (let pollS = started.pollS; clock.monotonic() < endAt; ) {
    await sleep(clock, pollS * 1_000, signal);
    const tokens = await poll(deps, discovery, client, started.deviceCode, scope);
    if (tokens === 'slow_down') pollS += POLL_S;
    else if (tokens !== 'authorization_pending') return { tokens, client };
  }
  throw new MetadataError('the code has expired before the login was complete');
}

/** The client of the options, the known one, or a new registration. */
async function deviceClient(
  deps: OAuthDeps,
  discovery: Discovery,
  known: RegisteredClient | undefined,
  scope: string | undefined,
): Promise<RegisteredClient> {
  const { metadata, authorizationServer } = discovery;
  const configured = configuredClient(deps.settings);
  if (configured) return configured;
  const issuer = metadata?.issuer ?? authorizationServer;
  const grants = (known as { grant_types?: readonly string[] } | undefined)?.grant_types;
  if (known?.issuer === issuer && grants?.includes(DEVICE_GRANT)) return known;
  return obtainClient(deps, discovery, { flow: 'device', redirectUri: undefined, scope });
}

interface DeviceAuthorization {
  readonly prompt: DevicePrompt;
  readonly deviceCode: string;
  readonly lifeS: number;
  readonly pollS: number;
}

async function requestDeviceAuthorization(
  deps: OAuthDeps,
  discovery: Discovery,
  client: RegisteredClient,
  scope: string | undefined,
): Promise<DeviceAuthorization> {
  const { settings, sdk } = deps;
  const url = deviceEndpoint(discovery);
  if (url === undefined)
    throw new MetadataError(
      `the authorization server ${discovery.authorizationServer} does not offer the device flow: use --oauth-flow code`,
    );
  const { metadata, resource } = discovery;
  const form = { ...(scope ? { scope } : {}), ...(resource === undefined ? {} : { resource }) };
  const response = await postForm(deps, url, form, client, metadata);
  if (!response.ok) throw await sdk.parseErrorResponse(response);
  return readDeviceAuthorization(await response.json(), settings.endpoint);
}

function readDeviceAuthorization(answer: unknown, endpoint: URL): DeviceAuthorization {
  const fields = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>;
  const text = (name: string): string | undefined => {
    const value = fields[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const deviceCode = text('device_code');
  const userCode = text('user_code');
  const verificationUri = text('verification_uri');
  if (deviceCode === undefined || userCode === undefined || verificationUri === undefined)
    throw new MetadataError('the device authorization response is incomplete');
  const completeUri = text('verification_uri_complete');
  for (const uri of [verificationUri, ...(completeUri === undefined ? [] : [completeUri])]) {
    const problem = URL.canParse(uri) ? oauthUrlProblem(new URL(uri), endpoint) : 'it is no URL';
    if (problem !== undefined) throw new MetadataError(`the verification page is refused: ${problem}`);
  }
  const seconds = (name: string, fallback: number): number => {
    const value = fields[name];
    return typeof value === 'number' && value > 0 ? value : fallback;
  };
  return {
    prompt: { userCode, verificationUri, completeUri },
    deviceCode,
    lifeS: Math.min(MAX_LIFE_S, seconds('expires_in', MAX_LIFE_S)),
    pollS: Math.min(MAX_POLL_S, seconds('interval', POLL_S)),
  };
}

async function poll(
  deps: OAuthDeps,
  discovery: Discovery,
  client: RegisteredClient,
  deviceCode: string,
  scope: string | undefined,
): Promise<StoredOAuthTokens | 'authorization_pending' | 'slow_down'> {
  try {
    const grant = { grant_type: DEVICE_GRANT, device_code: deviceCode };
    return await requestTokens(deps, discovery, client, grant, undefined).then((tokens) => ({
      ...(scope === undefined ? {} : { scope }),
      ...tokens,
    }));
  } catch (error) {
    const code: string = error instanceof deps.sdk.OAuthError ? error.code : '';
    if (code === 'authorization_pending' || code === 'slow_down') return code;
    throw error;
  }
}
