import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { loginCommand, type OAuthSettings } from './oauth-settings.ts';

/**
 * The error of a call that needs a person to log in.
 * @param why - one sentence.
 * @param scope - the scopes that the server demands, if it does.
 */
export function loginRequired(settings: OAuthSettings, why: string, scope?: string): ProxyError {
  const command = loginCommand(settings);
  return new ProxyError(
    'login-required',
    `${why} Run this command in a terminal, then repeat the call; a restart is not needed: ${command}`,
    { sent: 'refused', details: { command, ...(scope === undefined ? {} : { scope }) } },
  );
}

/** The error if a token cannot be obtained or renewed now, and a login would not help. */
export function noToken(settings: OAuthSettings, cause: unknown): ProxyError {
  const { flow, endpoint } = settings;
  const what =
    flow === 'client-credentials'
      ? `No OAuth access token for ${endpoint.host} could be obtained with the client credentials`
      : `The OAuth access token for ${endpoint.host} has expired and could not be renewed`;
  const remedy =
    flow === 'client-credentials'
      ? 'Check --oauth-client-id, its secret or key, and the authorization server.'
      : 'Repeat the call when the authorization server can be reached.';
  return new ProxyError('no-credentials', `${what}: ${causeText(cause)}. ${remedy}`, { sent: 'no', cause });
}

/** The error codes of RFC 6749 that reject a refresh token or its client permanently. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  'invalid_grant',
  'invalid_client',
  'unauthorized_client',
  'invalid_scope',
]);

/** True if another attempt with the same refresh token fails too. */
export const isFinalRefusal = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && FINAL_CODES.has(String(error.code));
