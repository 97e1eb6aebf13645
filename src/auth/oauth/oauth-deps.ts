import type { Fetch } from './oauth-fetch.ts';
import type { OAuthSettings } from './oauth-settings.ts';
import type { OAuthSdk } from './sdk.ts';

/** The dependencies of every request to an authorization server. */
export interface OAuthDeps {
  readonly settings: OAuthSettings;
  readonly sdk: OAuthSdk;
  /** From `createOAuthFetch`. */
  readonly fetch: Fetch;
}
