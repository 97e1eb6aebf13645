import type { Authorizer, CredentialRefusal, CredentialReport } from '../authorizer.ts';
import type { Signable, SignedHeaders } from '../signing.ts';
import type { AccessToken, TokenSource } from './access-token.ts';
import { readChallenge } from './challenge.ts';
import { loginRequired } from './oauth-errors.ts';
import type { OAuthSettings } from './oauth-settings.ts';
import { loadOAuthSdk } from './sdk.ts';

/** `--auth oauth`: sends an OAuth access token with each request. */
export class OAuthAuthorizer implements Authorizer<AccessToken> {
  readonly kind = 'oauth';
  readonly scope = undefined;
  readonly credentials = undefined;
  readonly sendsTime = false;
  /** The first 401 names the metadata of the server and the scopes. */
  readonly learnsFromRefusal = true;
  readonly #source: TokenSource;
  readonly #settings: OAuthSettings;

  constructor(source: TokenSource, settings: OAuthSettings) {
    this.#source = source;
    this.#settings = settings;
  }

  get identityMayChange(): boolean {
    return this.#source.identityMayChange;
  }

  get principal(): string | undefined {
    return this.#source.principal;
  }

  current(
    signal: AbortSignal,
    onResolve?: () => void,
  ): Promise<AccessToken | undefined> | AccessToken | undefined {
    const token = this.#source.usable();
    if (token) return token;
    onResolve?.();
    return this.#source.current(signal);
  }

  authorize({ target: { host }, contentType }: Signable, { authorization }: AccessToken): SignedHeaders {
    return contentType === undefined
      ? { host, authorization }
      : { host, 'content-type': contentType, authorization };
  }

  async refresh(
    refused: AccessToken | undefined,
    { status, kind, challenge: header }: CredentialRefusal,
    signal: AbortSignal,
  ): Promise<AccessToken | undefined> {
    // A page of a firewall concerns no token.
    if (kind === 'foreign-page') return undefined;
    const challenge = readChallenge(await loadOAuthSdk(), header);
    const concernsToken = status === 401 || challenge.error !== undefined;
    return concernsToken ? this.#source.replace(refused, challenge, signal) : undefined;
  }

  explain({ status, kind, message }: CredentialRefusal, host: string): string | undefined {
    if (kind === 'foreign-page') return undefined;
    const said = message ? ` The server said: ${message}` : '';
    return status === 403
      ? `Access was denied with the OAuth access token (HTTP 403): the login is valid, but it does not permit this. Ask the operators of ${host} for the permission.${said}`
      : `The server at ${host} refused the OAuth access token, which has just been issued (HTTP ${status}): it may be meant for another server. Its operators have to check the audience and issuer of its tokens.${said}`;
  }

  async inspect(signal: AbortSignal): Promise<CredentialReport> {
    // Without a request that could be refused: client credentials obtain a token at once.
    const token = (await this.current(signal)) ?? (await this.#source.replace(undefined, {}, signal));
    if (!token) throw loginRequired(this.#settings, 'There is no login.');
    const { tokens } = token;
    const scope = tokens.scope === undefined ? '' : `, scope ${tokens.scope}`;
    const renewable = tokens.refresh_token === undefined ? '' : ', renewed automatically';
    return {
      text: `OAuth access token from ${this.#source.source}${scope}${renewable}`,
      expiresAt: tokens.expiresAt === undefined ? undefined : new Date(tokens.expiresAt),
      renewal: this.#source.renewal,
    };
  }

  close(): void {
    // A refresh that runs is completed: the next refresh token would be lost.
  }
}
