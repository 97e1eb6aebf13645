import type { AuthorizationServerMetadata } from '@modelcontextprotocol/client';

/** The only method that the MCP authorization specification permits. */
const METHOD = 'S256';

/**
 * Issuers whose documentation promises S256 although their OpenID Connect metadata omits it.
 * The SDK has compared the issuer with the URL that its metadata comes from.
 */
const DOCUMENTED: readonly RegExp[] = [
  // https://docs.aws.amazon.com/cognito/latest/developerguide/using-pkce-in-authorization-code.html
  /^https:\/\/cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?\/[\w-]+$/,
  // https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
  /^https:\/\/login\.(?:microsoftonline\.(?:com|us)|partner\.microsoftonline\.cn)\/[\w.-]+\/v2\.0$/,
];

/**
 * Returns why an authorization code would not be protected by PKCE, or undefined if it is. Without
 * any metadata, the server follows revision 2025-03-26, which requires PKCE of all servers. Pure.
 */
export function pkceProblem(
  metadata: Pick<AuthorizationServerMetadata, 'issuer' | 'code_challenge_methods_supported'> | undefined,
): string | undefined {
  if (!metadata) return undefined;
  const { issuer, code_challenge_methods_supported: methods } = metadata;
  if (methods === undefined) {
    if (DOCUMENTED.some((pattern) => pattern.test(issuer))) return undefined;
    return `the metadata of the authorization server ${issuer} states no PKCE methods (code_challenge_methods_supported), and without PKCE another program could use the authorization code: its operators have to add "${METHOD}" if the server supports it`;
  }
  if (methods.includes(METHOD)) return undefined;
  return `the authorization server ${issuer} does not support the PKCE method ${METHOD}, without which another program could use the authorization code: its operators have to enable it`;
}
