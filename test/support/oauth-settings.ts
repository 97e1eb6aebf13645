import { DEFAULT_REDIRECT_URI, type OAuthSettings } from '../../src/auth/oauth/oauth-settings.ts';

/** The settings of `--auth oauth` alone: a login by authorization code, kept in a file. */
export const codeLoginSettings = (endpoint: URL): OAuthSettings => ({
  endpoint,
  clientId: undefined,
  clientSecretEnv: undefined,
  privateKey: undefined,
  scopes: [],
  issuer: undefined,
  flow: 'code',
  redirectUri: DEFAULT_REDIRECT_URI,
  store: 'file',
  profile: '',
  env: {},
  variables: {},
});
