import type { Credentials, Principal } from './credentials.ts';
import type { CredentialPlan, ProfileData, Profiles, SourceKind } from './plan.ts';

/** @param session - of the role; undefined where it is the one that the process keeps. */
export const roleAs = (arn: string | undefined, session: string | undefined): Principal =>
  JSON.stringify(['role', arn, session]);

/** Of what belongs to the process or the machine, which have one role each. */
export const ownerOf = (kind: SourceKind, set: Credentials): Principal =>
  JSON.stringify([kind, accountOf(set.accessKeyId)]);

export function principalOf(plan: CredentialPlan, profiles: Profiles, set: Credentials): Principal {
  const [role] = plan.roles;
  if (role !== undefined) return roleAs(profiles[role]?.role_arn, profiles[role]?.role_session_name);
  return holderOf(plan.base.kind, profiles[plan.base.profile] ?? {}, set);
}

function holderOf(kind: SourceKind, data: ProfileData, set: Credentials): Principal {
  const account = accountOf(set.accessKeyId);
  switch (kind) {
    case 'static':
      // Temporary ones are written into the file by programs that renew them by the hour: of one
      // account, they are one's.
      return JSON.stringify([kind, (set.sessionToken && account) || set.accessKeyId]);
    case 'sso':
      return JSON.stringify([kind, data.sso_account_id, data.sso_role_name]);
    case 'login':
      return JSON.stringify([kind, data.login_session]);
    case 'web-identity':
      return roleAs(data.role_arn, data.role_session_name);
    case 'process':
      return JSON.stringify([kind, data.credential_process, account]);
    default:
      return ownerOf(kind, set);
  }
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** Of keys made since 2019; those before have I or J behind the prefix, and say nothing. */
const TELLING_KEY = /^A[A-Z]{3}(?![IJ])[A-Z2-7]{16}$/;

/**
 * The account that is written in an access key id, which is what `aws sts get-access-key-info`
 * reads it by: https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489
 * @returns undefined where the id does not tell.
 */
export function accountOf(accessKeyId: string): string | undefined {
  if (!TELLING_KEY.test(accessKeyId)) return undefined;
  let bits = 0n;
  // Ten characters of five bits: the first one stands before the 40 bits of the account, nine
  // behind them.
  for (const character of accessKeyId.slice(4, 14)) {
    bits = bits * 32n + BigInt(BASE32.indexOf(character));
  }
  const account = (bits >> 9n) & 0xff_ffff_ffffn;
  return account > 999_999_999_999n ? undefined : String(account).padStart(12, '0');
}
