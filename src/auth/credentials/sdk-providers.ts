import { type Credentials, snapshot } from './credentials.ts';
import type { Profiles } from './plan.ts';
import { aliasOf } from './profile-alias.ts';
import { roleSessionName } from './role-session-name.ts';

type Sts = typeof import('@aws-sdk/nested-clients/sts');
type StsOptions = NonNullable<Parameters<Sts['getDefaultRoleAssumer']>[0]>;
type RoleAssumer = ReturnType<Sts['getDefaultRoleAssumer']>;
type RoleAssumerWithWebIdentity = ReturnType<Sts['getDefaultRoleAssumerWithWebIdentity']>;

/** What every provider of the SDK is given alike. */
export interface SdkDeps {
  readonly profile: string | undefined;
  readonly profiles: Profiles;
  readonly fallbackRegion: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly requestHandler: unknown;
  /** Session name of a role that is asked for over the profile, where somebody chose one. */
  readonly roleSessionName?: string | undefined;
}

const quiet = (): void => undefined;

/**
 * Given everywhere, because without one the SDK falls back to the console, and stdout is the
 * protocol.
 */
export const silentLogger = { trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet };

/**
 * The SDK's own handler waits for ever unless told otherwise. Only in use when the caller hands in
 * no handler.
 */
const OWN_HANDLER = {
  connectionTimeout: 5000,
  requestTimeout: 20_000,
  throwOnRequestTimeout: true,
  logger: silentLogger,
};

/**
 * Where STS stands when nothing at all names a region: the SDK's default, without its warning on
 * the console.
 */
const LAST_RESORT_REGION = 'us-east-1';

/**
 * The region for STS and for sign-in. It has nothing to do with the region that requests are signed
 * for, which is only the last thing to try before giving up; SSO has its own in the profile.
 */
function stsRegion({ profile, profiles, env, fallbackRegion }: SdkDeps): string {
  return (
    profiles[profile ?? 'default']?.region ||
    env.AWS_REGION ||
    env.AWS_DEFAULT_REGION ||
    fallbackRegion ||
    LAST_RESORT_REGION
  );
}

/**
 * Settings for the clients that the SDK makes inside its providers. No region: for SSO it would
 * beat the profile's sso_region.
 */
function clientConfig({ profile, requestHandler }: SdkDeps) {
  return {
    logger: silentLogger,
    requestHandler: requestHandler ?? OWN_HANDLER,
    ...(profile === undefined ? {} : { profile: aliasOf(profile) }),
  };
}

/** Resolves a profile with the SDK, every file read afresh. */
export async function resolveWithSdk(
  profile: string,
  deps: SdkDeps,
  limits: { timeout: number },
): Promise<Credentials> {
  const { fromIni } = await import('@aws-sdk/credential-provider-ini');
  silenceVersionWarning();
  const region = stsRegion(deps);
  const init = {
    profile: aliasOf(profile),
    ignoreCache: true,
    logger: silentLogger,
    clientConfig: clientConfig(deps),
    ...roleAssumers(deps),
    // Read by the container and instance providers that a profile's credential_source names.
    ...limits,
  };
  return snapshot(await fromIni(init)({ callerClientConfig: { region: async () => region } }));
}

/**
 * STS behind the two calls that the SDK's providers make, with our region, transport and session
 * name. Loaded when called.
 */
export function roleAssumers(deps: SdkDeps) {
  const options = { ...clientConfig(deps), region: stsRegion(deps), credentialProviderLogger: silentLogger };
  // The SDK makes a name up from the current millisecond where the profile has none; a name that
  // somebody chose is kept.
  const chosen = new Set(Object.values(deps.profiles).flatMap((data) => data.role_session_name ?? []));
  if (deps.roleSessionName !== undefined) chosen.add(deps.roleSessionName);
  const named = <P extends { RoleSessionName?: string | undefined }>(params: P): P =>
    chosen.has(params.RoleSessionName ?? '')
      ? params
      : { ...params, RoleSessionName: roleSessionName(deps.env) };
  const assumers: { roleAssumer: RoleAssumer; roleAssumerWithWebIdentity: RoleAssumerWithWebIdentity } = {
    async roleAssumer(source, params) {
      const sts = await import('@aws-sdk/nested-clients/sts');
      silenceVersionWarning();
      return sts.getDefaultRoleAssumer(options as StsOptions)(source, named(params));
    },
    async roleAssumerWithWebIdentity(params) {
      const sts = await import('@aws-sdk/nested-clients/sts');
      silenceVersionWarning();
      return sts.getDefaultRoleAssumerWithWebIdentity(options as StsOptions)(named(params));
    },
  };
  return assumers;
}

/**
 * The SDK tells stderr about coming versions of Node; that is for whoever builds with it, not for
 * whoever runs this.
 */
function silenceVersionWarning(): void {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
}
