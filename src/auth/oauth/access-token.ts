import { ProxyError } from '../../core/errors/errors.ts';
import type { Credential } from '../authorizer.ts';
import type { BearerChallenge } from './challenge.ts';
import type { HeldTokens, LoginRecord } from './login-record.ts';

/** An OAuth access token, which authenticates requests. Immutable. */
export interface AccessToken extends Credential {
  /** The value of the authorization header. */
  readonly authorization: string;
  readonly tokens: HeldTokens;
}

/** Obtains and renews the access tokens of one kind of login. */
export interface TokenSource {
  /** The current token where no wait is needed. */
  usable(): AccessToken | undefined;
  /**
   * Returns the current token, or undefined before a login. One read or renewal serves all callers.
   * @throws ProxyError if it has expired and cannot be renewed.
   */
  current(signal: AbortSignal): Promise<AccessToken | undefined>;
  /**
   * Returns another token than the refused one; undefined if the refusal has another cause.
   * @throws ProxyError login-required, or no-credentials.
   */
  replace(
    refused: AccessToken | undefined,
    challenge: BearerChallenge,
    signal: AbortSignal,
  ): Promise<AccessToken | undefined>;
  /** True if the next request may have another identity. */
  readonly identityMayChange: boolean;
  /** The identity of the last token; undefined before the first one. */
  readonly principal: string | undefined;
  /** One line for `doctor`: where the token comes from. */
  readonly source: string;
  /** The instruction for the user when the token cannot be renewed. */
  readonly renewal: string;
}

/** The identity of a login. Renewed tokens keep it; the next login has another. */
export const loginPrincipal = ({ login, endpoint }: LoginRecord): string => `oauth ${login ?? endpoint}`;

/** The identity of a client that authenticates as itself. */
export const clientPrincipal = (clientId: string): string => `oauth client ${clientId}`;

/** Visible ASCII: RFC 6750, section 2.1 permits fewer characters, but some servers use others. */
const TOKEN = /^[\x21-\x7e]+$/;

/** Shortest time between renewals after refusals: a server may refuse every token. */
export const MIN_RENEWAL_INTERVAL_MS = 10_000;

/**
 * Creates the credential of issued tokens.
 * @throws ProxyError no-credentials for tokens that cannot be sent as a Bearer token.
 */
export function accessTokenOf(tokens: HeldTokens, principal: string): AccessToken {
  const { access_token: text, token_type: type } = tokens;
  const problem = !TOKEN.test(text)
    ? 'contains characters that no HTTP header can carry'
    : type.toLowerCase() === 'bearer'
      ? undefined
      : 'is not a Bearer token';
  if (problem !== undefined) {
    const message = `The authorization server issued an access token that ${problem}. Its operators have to correct that.`;
    throw new ProxyError('no-credentials', message, { sent: 'no' });
  }
  return { principal, providerName: 'oauth', authorization: `Bearer ${text}`, tokens };
}
