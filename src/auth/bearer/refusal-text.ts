import type { CredentialRefusal } from '../authorizer.ts';
import { bearerChallengeIn } from '../www-authenticate.ts';
import type { BearerSource } from './bearer-source.ts';
import type { BearerToken } from './token.ts';

/** Characters of the server's text in an error: a challenge may be long. */
const MAX_SHOWN_CHARACTERS = 200;

export interface RefusedToken {
  readonly source: Pick<BearerSource, 'origin' | 'remedy'>;
  /** The last token; undefined before the first one. */
  readonly token: BearerToken | undefined;
  /** Why the read after the refusal returned no token. */
  readonly failure: string | undefined;
  /** Wall clock. */
  readonly now: number;
}

/**
 * The error text for a refusal of a bearer token; undefined if the general text fits. Pure.
 * @param host - of the endpoint.
 */
export function explainBearerRefusal(
  { status, kind, message, challenge }: CredentialRefusal,
  { source, token, failure, now }: RefusedToken,
  host: string,
): string | undefined {
  if (kind === 'foreign-page' || kind === 'turned-away') return undefined;
  const bearer = bearerChallengeIn(challenge);
  const error = shown(bearer?.get('error'));
  const description = shown(bearer?.get('error_description'));
  const said = [error, description, message].filter((text) => text !== '').join(': ');
  const quoted = said === '' ? '' : ` The server said: ${said}`;
  if (kind === 'signature' || kind === 'unsigned')
    return `The server at ${host} requires AWS signatures, not a bearer token (HTTP ${status}): use --auth sigv4.${quoted}`;
  const of = `the bearer token from ${source.origin}`;
  if (status !== 401 || error === 'insufficient_scope') {
    const scope = shown(bearer?.get('scope'));
    const needs = scope === '' ? '' : ` It requires the scope ${scope}.`;
    return `Access was denied with ${of} (HTTP ${status}): the server knows the token, but does not permit this with it.${needs} Use a token with more rights.${quoted}`;
  }
  const expiresAt = token?.claims?.expiresAt;
  const expired =
    expiresAt !== undefined && expiresAt <= now
      ? ` It expired at ${new Date(expiresAt).toISOString()} by the clock of this machine.`
      : '';
  const unread = failure === undefined ? '' : ` It could not be read again: ${failure.replace(/\.+$/, '')}.`;
  return `The server at ${host} refused ${of} (HTTP ${status}).${expired}${unread} ${source.remedy}${quoted}`;
}

const shown = (text = ''): string => text.replace(/\s+/g, ' ').trim().slice(0, MAX_SHOWN_CHARACTERS);
