import type { BaseProvider, Principal, RoleOptions, SdkCredentials } from './credentials.ts';
import { type CredentialPlan, planCredentials, usesKeyVariables } from './plan.ts';
import { NO_FILES, profileIn, readSharedFiles } from './shared-files.ts';

/** @param sessionName - undefined for the name that stays the same for the life of the process. */
export const rolePrincipal = (arn: string | undefined, sessionName: string | undefined): Principal =>
  JSON.stringify(['role', arn, sessionName]);

/** The principal of what `plan` returns. */
export function principalOf({ base, roles }: CredentialPlan, credentials: SdkCredentials): Principal {
  const role = roles[0]?.settings ?? (base.provider === 'web-identity' ? base.settings : undefined);
  if (role) return rolePrincipal(role.role_arn, role.role_session_name);
  const { provider, settings } = base;
  const { accessKeyId, sessionToken } = credentials;
  const account = accountOf(accessKeyId);
  switch (provider) {
    case 'static':
      // Programs write temporary credentials into the file hourly: one account, one identity.
      return JSON.stringify([provider, (sessionToken && account) || accessKeyId]);
    case 'sso':
      return JSON.stringify([provider, settings.sso_account_id, settings.sso_role_name]);
    case 'login':
      return JSON.stringify([provider, settings.login_session]);
    case 'process':
      return JSON.stringify([provider, settings.credential_process, account]);
    default:
      return JSON.stringify([provider, account]);
  }
}

const ACCOUNT = /^\d{12}$/;
const ROLE_ARN = /^arn:[^:]*:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/;

/** The first element of principals without an AWS account. */
const TOKEN_KINDS: ReadonlySet<unknown> = new Set(['bearer', 'oauth']);

/** The account and role in a principal, as far as it contains them. Pure. */
export function identityIn(principal: Principal): { account?: string; role?: string } {
  const [provider, first, second] = JSON.parse(principal) as (string | null)[];
  if (TOKEN_KINDS.has(provider)) return {};
  if (provider === 'role') {
    const [, account, role] = ROLE_ARN.exec(first ?? '') ?? [];
    return account === undefined || role === undefined ? {} : { account, role };
  }
  if (provider === 'sso')
    return { ...(first ? { account: first } : {}), ...(second ? { role: second } : {}) };
  const last = (provider === 'process' ? second : first) ?? '';
  const account = ACCOUNT.test(last) ? last : accountOf(last);
  return account === undefined ? {} : { account };
}

/** Providers whose principal is known only after they have returned credentials. */
const DYNAMIC_PROVIDERS: ReadonlySet<BaseProvider> = new Set(['process', 'container', 'instance']);

/**
 * The principal as far as the environment and the shared files name it, without calling a provider.
 * @returns undefined if they do not name it.
 */
export async function staticPrincipal(
  profileOption: string | undefined,
  env: NodeJS.ProcessEnv,
  role?: RoleOptions | undefined,
): Promise<Principal | undefined> {
  if (role) return rolePrincipal(role.arn, role.sessionName);
  const profile = profileIn(profileOption, env);
  const files = usesKeyVariables(profile, env) ? NO_FILES : await readSharedFiles(env);
  const plan = planCredentials(profile, env, files);
  if ('what' in plan) return undefined;
  const { provider, settings } = plan.base;
  if (plan.roles.length === 0 && DYNAMIC_PROVIDERS.has(provider)) return undefined;
  const accessKeyId = provider === 'environment' ? env.AWS_ACCESS_KEY_ID : settings.aws_access_key_id;
  return principalOf(plan, {
    accessKeyId: accessKeyId ?? '',
    secretAccessKey: '',
    sessionToken: settings.aws_session_token,
  });
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/**
 * Access key ids made since 2019. Older ones have I or J after the prefix, and contain no account.
 */
const KEY_WITH_ACCOUNT = /^A[A-Z]{3}(?![IJ])[A-Z2-7]{16}$/;

/**
 * The account in an access key id, as `aws sts get-access-key-info` returns it.
 * https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489
 * @returns undefined if the id contains none.
 */
export function accountOf(accessKeyId: string): string | undefined {
  if (!KEY_WITH_ACCOUNT.test(accessKeyId)) return undefined;
  let bits = 0n;
  // Ten characters of five bits: one bit precedes the 40 bits of the account, nine follow them.
  for (const character of accessKeyId.slice(4, 14)) {
    bits = bits * 32n + BigInt(BASE32.indexOf(character));
  }
  const account = (bits >> 9n) & 0xff_ffff_ffffn;
  return account > 999_999_999_999n ? undefined : String(account).padStart(12, '0');
}
