import { flagOf } from '../../config/option.ts';
import { programWords } from '../../core/system/executable.ts';
import { PACKAGE_NAME } from '../../version.ts';

/** How a login is obtained. */
export type OAuthFlow = 'code' | 'client-credentials' | 'device';

/** The values of the OAuth options. */
export interface OAuthSettings {
  readonly endpoint: URL;
  /** A registered client id, or the URL of a client id metadata document. */
  readonly clientId: string | undefined;
  /** The variable with the client secret. */
  readonly clientSecretEnv: string | undefined;
  /** A PEM file with the private key of `private_key_jwt`. */
  readonly privateKey: string | undefined;
  readonly scopes: readonly string[];
  /** The only authorization server that may be used. */
  readonly issuer: string | undefined;
  readonly flow: OAuthFlow;
  /** The URL that the browser returns to; without a port, any free one. */
  readonly redirectUri: string;
  readonly store: 'auto' | 'keychain' | 'file';
  /** "" or the name of the profile that the login belongs to. */
  readonly profile: string;
  readonly env: NodeJS.ProcessEnv;
  /** The variables that an option may name, including those of `--env-file`. */
  readonly variables: NodeJS.ProcessEnv;
}

/** True for an https URL with a path, which names a client id metadata document. */
export function isMetadataUrl(clientId: string | undefined): clientId is string {
  if (clientId === undefined || !URL.canParse(clientId)) return false;
  const { protocol, pathname } = new URL(clientId);
  return protocol === 'https:' && pathname !== '/';
}

/** The command that logs in to the same endpoint as the same client. */
export function loginCommand(settings: OAuthSettings, word: 'login' | 'logout' = 'login'): string {
  const {
    endpoint,
    clientId,
    clientSecretEnv,
    privateKey,
    issuer,
    flow,
    scopes,
    profile,
    redirectUri,
    store,
  } = settings;
  const flags: readonly (readonly [key: string, value: string | undefined])[] = [
    ['oauthClientId', clientId],
    ['oauthClientSecretEnv', clientSecretEnv],
    ['oauthPrivateKey', privateKey],
    ['oauthIssuer', issuer],
    ['oauthScope', scopes.length > 0 ? scopes.join(',') : undefined],
    ['oauthFlow', flow === 'code' ? undefined : flow],
    ['oauthRedirectUri', redirectUri === DEFAULT_REDIRECT_URI ? undefined : redirectUri],
    ['oauthStore', store === 'auto' ? undefined : store],
    ['profile', profile === '' ? undefined : profile],
  ];
  const words = flags.flatMap(([key, value]) => (value === undefined ? [] : [flagOf(key), quoted(value)]));
  return [
    ...programWords(PACKAGE_NAME).map(quoted),
    word,
    quoted(endpoint.href),
    '--auth',
    'oauth',
    ...words,
  ].join(' ');
}

/** An address, because a name may resolve to another one (RFC 8252, section 8.3). */
export const DEFAULT_REDIRECT_URI = 'http://127.0.0.1/callback';

const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
