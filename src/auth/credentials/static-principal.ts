import type { Credentials, Principal } from './credentials.ts';
import { readSharedFiles } from './files.ts';
import { namesCredentials, planOf } from './plan.ts';
import { ownerOf, principalOf, roleAs } from './principal.ts';
import type { RoleOptions } from './provider-chain.ts';

/** What only a provider can tell, from what it hands out. */
const UNFORESEEN: ReadonlySet<string> = new Set(['process', 'container', 'instance', 'unclear']);

/**
 * Who will speak for a profile, as far as the environment and the shared files say so: nothing is
 * resolved, run or asked for. The order is that of `resolveChain`.
 * @returns undefined where they do not say.
 */
export async function staticPrincipal(
  asked: string | undefined,
  env: NodeJS.ProcessEnv,
  role?: RoleOptions | undefined,
): Promise<Principal | undefined> {
  if (role) return roleAs(role.arn, role.sessionName);
  const profile = asked ?? (env.AWS_PROFILE || undefined);
  if (profile === undefined && (env.AWS_ACCESS_KEY_ID || env.AWS_SECRET_ACCESS_KEY)) {
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = env;
    return id && secret ? ownerOf('environment', keysOf(id, undefined)) : undefined;
  }
  const { profiles } = await readSharedFiles(env);
  const name = profile ?? 'default';
  if (!namesCredentials(profiles[name])) {
    const { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: arn, AWS_ROLE_SESSION_NAME: session } = env;
    return file && arn ? roleAs(arn, session) : undefined;
  }
  const plan = planOf(name, profiles);
  if ('problem' in plan) return undefined;
  if (plan.roles.length === 0 && UNFORESEEN.has(plan.base.kind)) return undefined;
  const { aws_access_key_id: id, aws_session_token: token } = profiles[plan.base.profile] ?? {};
  return principalOf(plan, profiles, keysOf(id ?? '', token));
}

const keysOf = (accessKeyId: string, sessionToken: string | undefined): Credentials => ({
  accessKeyId,
  secretAccessKey: '',
  ...(sessionToken === undefined ? {} : { sessionToken }),
});
