import { regionProblem } from '../region-name.ts';
import type { BaseProvider } from './credentials.ts';
import type { CredentialFailure } from './errors.ts';
import type { ProfileData, Profiles, SharedFiles } from './shared-files.ts';

/** Which provider returns credentials, and the roles that are assumed with them. */
export interface CredentialPlan {
  readonly base: {
    readonly provider: BaseProvider;
    /**
     * The profile that holds the settings; undefined for the environment, a container or an
     * instance.
     */
    readonly profile: string | undefined;
    readonly settings: ProfileData;
  };
  /** The profiles that have a role to assume. The first one is assumed last. */
  readonly roles: readonly { readonly profile: string; readonly settings: ProfileData }[];
}

/** A failure that the settings show before any provider is called. */
export type PlanFailure = Extract<
  CredentialFailure,
  { what: 'missing-profile' | 'none' | 'incomplete' | 'bad-region' | 'mfa' | 'cycle' | 'source-failed' }
>;

type Env = Readonly<Record<string, string | undefined>>;
type SettingPair = readonly [string, string];

const SSO_SETTINGS = ['sso_session', 'sso_start_url', 'sso_account_id', 'sso_role_name'];
const KEY_SETTINGS = ['aws_access_key_id', 'aws_secret_access_key'] as const;
const KEY_VARIABLES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const;
const WEB_IDENTITY_VARIABLES = ['AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN'] as const;

const CREDENTIAL_SETTINGS = [
  ...SSO_SETTINGS,
  ...KEY_SETTINGS,
  'role_arn',
  'source_profile',
  'credential_source',
  'web_identity_token_file',
  'credential_process',
  'login_session',
];

/** A Map, because the value in the file may be any word, `constructor` included. */
const CREDENTIAL_SOURCES: ReadonlyMap<string, BaseProvider> = new Map([
  ['Environment', 'environment'],
  ['EcsContainer', 'container'],
  ['Ec2InstanceMetadata', 'instance'],
]);

/** True if the credentials come from the variables, so that no file is read. */
export const usesKeyVariables = (profile: string | undefined, env: Env): boolean =>
  profile === undefined && Boolean(env.AWS_ACCESS_KEY_ID || env.AWS_SECRET_ACCESS_KEY);

/**
 * Chooses the provider: variables (unless a profile is given), profile, web identity, container,
 * instance. Unlike the SDK's chain it never passes over a source that is configured. Pure.
 */
export function planCredentials(
  profile: string | undefined,
  env: Env,
  files: SharedFiles,
): CredentialPlan | PlanFailure {
  if (usesKeyVariables(profile, env))
    return halfOf(KEY_VARIABLES, env, 'the environment') ?? from('environment');
  const name = profile ?? 'default';
  const data = files.profiles[name];
  if (profile !== undefined && data === undefined) return { what: 'missing-profile', missing: profile };
  if (namesCredentials(data)) return planProfile(name, env, files);
  const badRegion = badRegionOf([name], files);
  if (badRegion) return badRegion;

  // AWS_ROLE_ARN alone is common: other programs use it with other credentials.
  if (env.AWS_WEB_IDENTITY_TOKEN_FILE) {
    const { AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME } = env;
    return (
      halfOf(WEB_IDENTITY_VARIABLES, env, 'the environment') ??
      from('web-identity', {
        web_identity_token_file: AWS_WEB_IDENTITY_TOKEN_FILE,
        role_arn: AWS_ROLE_ARN,
        role_session_name: AWS_ROLE_SESSION_NAME,
      })
    );
  }
  if (env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI || env.AWS_CONTAINER_CREDENTIALS_FULL_URI)
    return from('container');
  const disabled = env.AWS_EC2_METADATA_DISABLED?.toLowerCase() || 'false';
  return disabled === 'false' ? from('instance') : { what: 'none' };
}

const from = (provider: BaseProvider, settings: ProfileData = {}): CredentialPlan => ({
  base: { provider, profile: undefined, settings },
  roles: [],
});

/** A profile that has only a region leaves its turn to web identity, container and instance. */
const namesCredentials = (data: ProfileData | undefined): boolean =>
  data !== undefined && CREDENTIAL_SETTINGS.some((key) => data[key] !== undefined);

/**
 * Follows `source_profile` from a profile to the one that holds credentials, in the SDK's order of
 * precedence.
 */
function planProfile(name: string, env: Env, files: SharedFiles): CredentialPlan | PlanFailure {
  const found = followSources(name, files.profiles);
  if ('what' in found) return found;
  const { base, roles } = found;
  const names = [name, ...roles.map(({ profile }) => profile), base.profile];
  return (
    badRegionOf(names, files) ??
    (base.provider === 'environment' ? halfOf(KEY_VARIABLES, env, 'the environment') : undefined) ??
    (base.provider === 'sso' ? missingSsoSession(base, roles.length > 0, files) : undefined) ??
    found
  );
}

type ProfileBase = CredentialPlan['base'] & { readonly profile: string };

function followSources(
  name: string,
  profiles: Profiles,
): (CredentialPlan & { readonly base: ProfileBase }) | PlanFailure {
  const roles: CredentialPlan['roles'][number][] = [];
  const visited = new Set<string>();
  for (let profile = name; ; ) {
    const settings = profiles[profile];
    if (settings === undefined)
      return { what: 'missing-profile', missing: profile, namedBy: roles.at(-1)?.profile };
    const isStatic = KEY_SETTINGS.every((key) => settings[key] !== undefined);
    const { role_arn, source_profile, credential_source } = settings;
    const assumes =
      role_arn !== undefined && (source_profile === undefined) !== (credential_source === undefined);
    const endsHere = visited.size > 0 && isStatic;
    if (assumes && !endsHere) {
      if (settings.mfa_serial !== undefined) return { what: 'mfa', profile };
      roles.push({ profile, settings });
      if (source_profile !== undefined) {
        if (visited.has(source_profile)) return { what: 'cycle', profiles: [...visited] };
        visited.add(source_profile);
        profile = source_profile;
        continue;
      }
    }
    const named =
      credential_source !== undefined && (assumes || (visited.size > 0 && role_arn === undefined));
    const provider =
      named && !endsHere ? CREDENTIAL_SOURCES.get(credential_source) : providerOf(settings, isStatic);
    if (provider !== undefined) return { roles, base: { provider, profile, settings } };
    return (
      halfOf(KEY_SETTINGS, settings, `profile '${profile}'`) ?? unusable(profile, settings, roles.length > 0)
    );
  }
}

function providerOf(settings: ProfileData, isStatic: boolean): BaseProvider | undefined {
  if (isStatic) return 'static';
  if (settings.web_identity_token_file !== undefined && settings.role_arn !== undefined)
    return 'web-identity';
  if (settings.credential_process !== undefined) return 'process';
  if (SSO_SETTINGS.some((key) => settings[key] !== undefined)) return 'sso';
  if (settings.login_session !== undefined) return 'login';
  return undefined;
}

/**
 * One half of a pair is a mistake, also in botocore: the next source would sign as another
 * identity.
 */
function halfOf([one, other]: SettingPair, settings: Env, place: string): PlanFailure | undefined {
  if (!settings[one] === !settings[other]) return undefined;
  const [given, missing] = settings[one] ? [one, other] : [other, one];
  return { what: 'incomplete', given, missing, place };
}

function unusable(profile: string, settings: ProfileData, assumes: boolean): PlanFailure {
  const { credential_source: source } = settings;
  const set = CREDENTIAL_SETTINGS.filter((key) => settings[key] !== undefined).join(', ');
  const cause =
    source !== undefined && !CREDENTIAL_SOURCES.has(source)
      ? `credential_source of profile '${profile}' must be ${[...CREDENTIAL_SOURCES.keys()].join(', ')}, not ${JSON.stringify(source)}`
      : `the settings of profile '${profile}' name no complete source of credentials (it has ${set || 'none'})`;
  return { what: 'source-failed', provider: 'static', profile, assumes, cause };
}

/**
 * With an invalid region the SDK would send requests to a host that does not exist, or to another
 * party's.
 */
function badRegionOf(
  names: readonly string[],
  { profiles, ssoSessions }: SharedFiles,
): PlanFailure | undefined {
  for (const profile of names) {
    const data = profiles[profile];
    const ssoRegion = data?.sso_region ?? ssoSessions[data?.sso_session ?? '']?.sso_region;
    for (const [key, value] of [
      ['region', data?.region],
      ['sso_region', ssoRegion],
    ] as const) {
      const problem = regionProblem(value);
      if (problem !== undefined) return { what: 'bad-region', profile, key, problem };
    }
  }
  return undefined;
}

/** The SDK would fail on a property of undefined, and name neither the session nor the file. */
function missingSsoSession(
  { profile, settings }: ProfileBase,
  assumes: boolean,
  { ssoSessions, paths }: SharedFiles,
): PlanFailure | undefined {
  const { sso_session: session } = settings;
  if (session === undefined || ssoSessions[session] !== undefined) return undefined;
  const cause = `the sso-session '${session}' of the profile is not in ${paths.config}`;
  return { what: 'source-failed', provider: 'sso', profile, assumes, cause };
}
