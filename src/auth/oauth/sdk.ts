/**
 * The authorization functions of the MCP SDK. Loaded when a token has to be obtained or renewed.
 */
export type OAuthSdk = typeof import('./sdk-functions.ts');

/** Loads the functions: no start and no request with a valid token needs them. */
export const loadOAuthSdk = (): Promise<OAuthSdk> => import('./sdk-functions.ts');
