import type { Authorizer } from './auth/authorizer.ts';
import type { SharedKind } from './auth/auto/auto-authorizer.ts';
import type { KindSettings } from './auth/auto/derive-kind.ts';
import { chooseAuthorizer } from './auth/choose-authorizer.ts';
import { createCredentialProvider } from './auth/credentials/caching-provider.ts';
import type { Principal, RoleOptions } from './auth/credentials/credentials.ts';
import { staticPrincipal } from './auth/credentials/principal.ts';
import type { CredentialSource } from './auth/credentials/source.ts';
import { type AuthKind, signsWithAws } from './auth/kinds.ts';
import type { Events } from './core/pipeline/events.ts';
import type { Clock } from './core/time/clock.ts';
import type { Settings } from './settings.ts';
import type { Connector } from './upstream/http/undici.ts';

export interface AuthorizersDeps {
  readonly settings: Settings;
  /** What `--auth auto` derives, for all profiles. */
  readonly sharedKind: SharedKind;
  readonly clock: Clock;
  readonly events: Events;
  /** Sends the requests of AWS SDK clients, for credentials. */
  readonly requestHandler: unknown;
  /** Opens sockets as requests do. */
  readonly connect: Connector;
  /** Signs in place of profile and environment. */
  readonly credentials: CredentialSource | undefined;
  /** Assumed in place of the role of the settings. */
  readonly role?: RoleOptions | undefined;
  /** Called when the credential belongs to another identity than the one before. */
  readonly onIdentityChange: () => void;
}

/** Creates the authorizer of one profile from the settings. Loads and reads nothing. */
export function createAuthorizer(profile: string, deps: AuthorizersDeps): Authorizer {
  const { settings, sharedKind, clock, events, requestHandler, credentials, onIdentityChange } = deps;
  const { auth, scope, skipAuth, env, fileVariables } = settings;
  return chooseAuthorizer({
    kind: auth as AuthKind,
    scope,
    credentialsOptional: skipAuth,
    createCredentials: () =>
      createCredentialProvider({
        profile: profile || undefined,
        fallbackRegion: settings.homeRegion,
        env,
        clock,
        events,
        requestHandler,
        onIdentityChange,
        role: deps.role ?? roleOf(settings),
        source: credentials,
      }),
    onUnsigned: () =>
      events.emit({ type: 'credentials.missing', profile, message: 'sent unsigned (--skip-auth)' }),
    onIdentityChange,
    loadOAuth: async () => {
      const { createOAuthAuthorizer } = await import('./oauth-wiring.ts');
      return createOAuthAuthorizer(settings, profile, deps);
    },
    bearer: settings,
    auto: { shared: sharedKind, settings: kindSettingsOf(settings), host: settings.endpoint.host },
    profile,
    env,
    variables: { ...fileVariables, ...env },
    clock,
    events,
  });
}

function kindSettingsOf(settings: Settings): KindSettings {
  const { scope, scopeProblems, bearerTokenEnv, bearerTokenFile, bearerCommand } = settings;
  const hasToken = (bearerTokenEnv ?? bearerTokenFile ?? bearerCommand) !== undefined;
  if (!scope) return { hasToken, signing: { problems: scopeProblems } };
  return { hasToken, signing: { kind: settings.signsForRegionSet ? 'sigv4a' : 'sigv4' } };
}

/** The principal of the default profile's requests, if it is known before the first one. */
export async function foreseenPrincipal(settings: Settings): Promise<Principal | undefined> {
  const { auth, scope, defaultProfile, env } = settings;
  if (auth === 'oauth') return (await import('./oauth-wiring.ts')).foreseenLogin(settings);
  if (!scope || !signsWithAws(auth)) return undefined;
  return staticPrincipal(defaultProfile || undefined, env, roleOf(settings));
}

function roleOf({
  roleArn: arn,
  roleSessionName: sessionName,
  externalId,
}: Settings): RoleOptions | undefined {
  return arn === undefined ? undefined : { arn, sessionName, externalId };
}
