import type { StoredOAuthClientInformation, StoredOAuthTokens } from '@modelcontextprotocol/client';

/** The tokens of a login, with their absolute times; the wire format has only a lifetime. */
export interface HeldTokens extends StoredOAuthTokens {
  /** When they were received: milliseconds since the epoch, by this machine's clock. */
  readonly receivedAt: number;
  /** Undefined if the authorization server did not state when the access token expires. */
  readonly expiresAt?: number | undefined;
}

/** One client registration at one authorization server. */
export type RegisteredClient = StoredOAuthClientInformation & {
  readonly redirect_uris?: readonly string[] | undefined;
};

/** Everything that is stored for one endpoint and client. */
export interface LoginRecord {
  readonly endpoint: string;
  /** The id of the login. A refresh keeps it; the next login has another. */
  readonly login?: string | undefined;
  readonly client?: RegisteredClient | undefined;
  readonly tokens?: HeldTokens | undefined;
  /** The URL of the authorization server that issued the tokens. */
  readonly authorizationServer?: string | undefined;
  /** The resource indicator (RFC 8707) that the tokens were requested for. */
  readonly resource?: string | undefined;
  /** The scopes that the server has demanded since this login (`insufficient_scope`). */
  readonly demandedScope?: string | undefined;
}

/** Tokens are renewed this long before they expire, or in the last tenth of a shorter life. */
const RENEW_AHEAD_MS = 300_000;
const SHARE_OF_LIFE = 0.1;

/** Longer lifetimes are shortened to this, so that JSON can hold the time of expiry. */
const MAX_LIFE_S = 10 * 365 * 86_400;

/** Adds the times to tokens as they arrive. A lifetime that is not a positive number is ignored. */
export function heldTokens(tokens: StoredOAuthTokens, now: number): HeldTokens {
  const seconds = tokens.expires_in;
  const isKnown = seconds !== undefined && seconds > 0;
  const expiresAt = isKnown ? now + Math.min(seconds, MAX_LIFE_S) * 1_000 : undefined;
  return { ...tokens, receivedAt: now, expiresAt };
}

/** When to renew tokens ahead of their end; undefined: only after a refusal. */
export function renewAt({ expiresAt, receivedAt }: HeldTokens): number | undefined {
  if (expiresAt === undefined) return undefined;
  return expiresAt - Math.min(RENEW_AHEAD_MS, Math.max(0, expiresAt - receivedAt) * SHARE_OF_LIFE);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const optional = (value: unknown, type: 'string' | 'number'): boolean =>
  value === undefined || typeof value === type;

const allStrings = (value: Record<string, unknown>, names: readonly string[]): boolean =>
  names.every((name) => optional(value[name], 'string'));

/** The record in stored JSON; undefined where it has another form. Never throws. */
export function readLoginRecord(json: string): LoginRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || typeof value.endpoint !== 'string') return undefined;
  if (!allStrings(value, ['login', 'authorizationServer', 'resource', 'demandedScope'])) return undefined;
  const { client, tokens } = value;
  const isValid =
    (client === undefined || (isRecord(client) && typeof client.client_id === 'string')) &&
    (tokens === undefined || isTokens(tokens));
  return isValid ? (value as unknown as LoginRecord) : undefined;
}

const isTokens = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value.access_token === 'string' &&
  typeof value.token_type === 'string' &&
  typeof value.receivedAt === 'number' &&
  optional(value.expiresAt, 'number') &&
  allStrings(value, ['refresh_token', 'scope', 'issuer']);
