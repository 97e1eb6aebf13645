import type { OAuthSdk } from './sdk.ts';

/** The parameters of a Bearer challenge (RFC 6750, RFC 9728). */
export interface BearerChallenge {
  /** The URL of the protected resource metadata. */
  readonly resourceMetadataUrl?: string | undefined;
  /** Scopes separated by blanks. */
  readonly scope?: string | undefined;
  /** The error code, such as `invalid_token` or `insufficient_scope`. */
  readonly error?: string | undefined;
}

/** Reads the Bearer challenge of a WWW-Authenticate header, which may list other schemes too. */
export function readChallenge(sdk: OAuthSdk, header: string): BearerChallenge {
  const start = header.search(/(?<![\w-])Bearer\s/i);
  if (start < 0) return {};
  const headers = { 'www-authenticate': header.slice(start) };
  const { resourceMetadataUrl, scope, error } = sdk.extractWWWAuthenticateParams(
    new Response(null, { headers }),
  );
  return { resourceMetadataUrl: resourceMetadataUrl?.href, scope, error };
}
