/** One section of the shared files. */
export type ProfileData = Readonly<Record<string, string | undefined>>;
export type Profiles = Readonly<Record<string, ProfileData>>;

export type SourceKind =
  | 'static'
  | 'process'
  | 'sso'
  | 'login'
  | 'web-identity'
  | 'environment'
  | 'container'
  | 'instance'
  | 'unclear';

/**
 * Where a profile's credentials come from: the profile that holds them, and the roles assumed on
 * top of it.
 */
export interface CredentialPlan {
  /** Profiles with a role to assume, the asked one first. */
  readonly roles: readonly string[];
  readonly base: { readonly profile: string; readonly kind: SourceKind };
}

export type PlanProblem =
  | { readonly problem: 'missing'; readonly profile: string; readonly namedBy: string | undefined }
  | { readonly problem: 'cycle'; readonly profiles: readonly string[] }
  | { readonly problem: 'mfa'; readonly profile: string };

const SSO_KEYS = ['sso_session', 'sso_start_url', 'sso_account_id', 'sso_role_name'];

const CREDENTIAL_KEYS = [
  ...SSO_KEYS,
  'aws_access_key_id',
  'aws_secret_access_key',
  'role_arn',
  'source_profile',
  'credential_source',
  'web_identity_token_file',
  'credential_process',
  'login_session',
];

/** A map: the word in the file may be any, `constructor` too. */
const CREDENTIAL_SOURCES: ReadonlyMap<string, SourceKind> = new Map([
  ['Environment', 'environment'],
  ['EcsContainer', 'container'],
  ['Ec2InstanceMetadata', 'instance'],
]);

/**
 * Whether the profile says anything about credentials. One that has only a region leaves the rest
 * of the chain its turn.
 */
export function namesCredentials(data: ProfileData | undefined): boolean {
  return data !== undefined && CREDENTIAL_KEYS.some((key) => data[key] !== undefined);
}

/**
 * Walks from a profile to the one that holds credentials, in the SDK's order of precedence. Done
 * ahead of the SDK because the end of the walk decides whose process runner is used, which profile
 * to log in with, and which token files to watch; and because the SDK, when it refuses an MFA
 * profile, leaves the source profile's promise behind unhandled.
 */
export function planOf(name: string, profiles: Profiles): CredentialPlan | PlanProblem {
  const roles: string[] = [];
  const visited = new Set<string>();
  for (let current = name; ; ) {
    const data = profiles[current];
    if (data === undefined) return { problem: 'missing', profile: current, namedBy: roles.at(-1) };
    const isStatic = data.aws_access_key_id !== undefined && data.aws_secret_access_key !== undefined;
    if (visited.size > 0 && isStatic) return { roles, base: { profile: current, kind: 'static' } };

    const { role_arn, source_profile, credential_source } = data;
    const assumes =
      role_arn !== undefined && (source_profile === undefined) !== (credential_source === undefined);
    if (assumes) {
      if (data.mfa_serial !== undefined) return { problem: 'mfa', profile: current };
      roles.push(current);
    }
    if (assumes && source_profile !== undefined) {
      if (visited.has(source_profile)) return { problem: 'cycle', profiles: [...visited] };
      visited.add(source_profile);
      current = source_profile;
      continue;
    }
    const lends =
      credential_source !== undefined && (assumes || (visited.size > 0 && role_arn === undefined));
    return {
      roles,
      base: { profile: current, kind: lends ? lenderOf(credential_source) : kindOf(data, isStatic) },
    };
  }
}

const lenderOf = (source: string): SourceKind => CREDENTIAL_SOURCES.get(source) ?? 'unclear';

function kindOf(data: ProfileData, isStatic: boolean): SourceKind {
  if (isStatic) return 'static';
  if (data.web_identity_token_file !== undefined && data.role_arn !== undefined) return 'web-identity';
  if (data.credential_process !== undefined) return 'process';
  if (SSO_KEYS.some((key) => data[key] !== undefined)) return 'sso';
  if (data.login_session !== undefined) return 'login';
  return 'unclear';
}
