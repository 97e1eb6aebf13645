import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { causeText } from '../../core/errors/errors.ts';
import { passwdHome } from '../../core/system/home-folder.ts';
import { type Credentials, type RoleOptions, type SdkCredentials, snapshot } from './credentials.ts';
import { type CredentialFailure, causeWithoutSecrets } from './errors.ts';
import { type FileStamps, stampFiles } from './file-stamps.ts';
import { type CredentialPlan, type PlanFailure, planCredentials, usesKeyVariables } from './plan.ts';
import { principalOf, rolePrincipal } from './principal.ts';
import type { ProviderDeps } from './sdk-providers.ts';
import { defectsOf, NO_FILES, readSharedFiles, readStampedFiles, type SharedFiles } from './shared-files.ts';

export interface ChainDeps extends Omit<ProviderDeps, 'profiles'> {
  readonly role?: RoleOptions | undefined;
}

export interface Resolved {
  readonly credentials: Credentials;
  /** The files that the credentials depend on, as they were before they were read. */
  readonly stamps: FileStamps;
}

/** Why there are no credentials; the caching provider turns it into a ProxyError. */
export class ChainError extends Error {
  readonly failure: CredentialFailure;

  constructor(failure: CredentialFailure) {
    super(failure.what);
    this.failure = failure;
  }
}

/** Why the chain ended without credentials. */
export const chainFailureOf = (error: unknown): CredentialFailure =>
  error instanceof ChainError
    ? error.failure
    : { what: 'unexpected', cause: causeWithoutSecrets(causeText(error)) };

/**
 * Resolves credentials without any cache: plans, calls the provider, assumes the roles of the
 * profile, then the role of the options. A source that is configured and fails ends the chain.
 * @throws ChainError
 */
export async function resolveCredentials(options: ChainDeps): Promise<Resolved> {
  const { env, role, profile } = options;
  if (role?.webIdentityToken) return assumeWithToken(role, role.webIdentityToken, options);
  const fromVariables = usesKeyVariables(profile, env);
  const files = fromVariables && !role ? NO_FILES : await readStampedFiles(env);
  const plan = planCredentials(profile, env, files);
  if ('what' in plan) throw await planError(plan, files);
  const ownStamps = fromVariables ? [] : files.stamps;
  const stamps = new Map([...ownStamps, ...stampFiles(tokenFilesOf(plan.base, env))]);

  const deps: ProviderDeps = { ...options, profiles: files.profiles };
  const resolved = await provide(plan, files, deps);
  if (!role) {
    const name = plan.roles.length > 0 ? 'assume-role' : plan.base.provider;
    return { credentials: snapshot(resolved, principalOf(plan, resolved), name), stamps };
  }
  const { arn, sessionName, externalId, tags } = role;
  const settings = { role_arn: arn, role_session_name: sessionName, external_id: externalId };
  try {
    const { assumeRole } = await import('./sdk-providers.ts');
    const assumed = await assumeRole(resolved, settings, deps, tags);
    return { credentials: snapshot(assumed, rolePrincipal(arn, sessionName), 'assume-role'), stamps };
  } catch (error) {
    throw roleError(role, error);
  }
}

const roleError = ({ arn, externalId }: RoleOptions, error: unknown): ChainError =>
  new ChainError({
    what: 'role-failed',
    roleArn: arn,
    externalId: externalId !== undefined,
    cause: causeWithoutSecrets(causeText(error)),
  });

/** No file and no other credentials are involved; the region of STS is that of the profile. */
async function assumeWithToken(
  role: RoleOptions,
  tokenOf: () => string,
  options: ChainDeps,
): Promise<Resolved> {
  const { arn, sessionName } = role;
  try {
    const { profiles } = await readSharedFiles(options.env);
    const { assumeRoleWithToken } = await import('./sdk-providers.ts');
    const assumed = await assumeRoleWithToken(tokenOf(), role, { ...options, profiles });
    return {
      credentials: snapshot(assumed, rolePrincipal(arn, sessionName), 'web-identity'),
      stamps: new Map(),
    };
  } catch (error) {
    throw roleError(role, error);
  }
}

async function provide(
  { base, roles }: CredentialPlan,
  files: SharedFiles,
  deps: ProviderDeps,
): Promise<SdkCredentials> {
  try {
    let credentials = await provideBase(base, deps);
    if (roles.length === 0) return credentials;
    const { assumeRole } = await import('./sdk-providers.ts');
    for (const { settings } of roles.toReversed()) {
      credentials = await assumeRole(credentials, settings, deps);
    }
    return credentials;
  } catch (error) {
    const isDefaultChain = base.profile === undefined;
    if (isDefaultChain && base.provider === 'instance' && isNoInstance(error))
      throw await planError({ what: 'none' }, files);
    throw new ChainError({
      what: 'source-failed',
      provider: base.provider,
      profile: base.profile,
      assumes: roles.length > 0,
      cause: causeWithoutSecrets(causeText(error)),
    });
  }
}

async function provideBase(base: CredentialPlan['base'], deps: ProviderDeps): Promise<SdkCredentials> {
  const { provider, settings } = base;
  switch (provider) {
    // As the SDK reads them; its provider would add a tenth to the time of the first answer.
    case 'environment': {
      const { AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION } = deps.env;
      return {
        accessKeyId: deps.env.AWS_ACCESS_KEY_ID ?? '',
        secretAccessKey: deps.env.AWS_SECRET_ACCESS_KEY ?? '',
        sessionToken: AWS_SESSION_TOKEN || undefined,
        expiration: AWS_CREDENTIAL_EXPIRATION ? new Date(AWS_CREDENTIAL_EXPIRATION) : undefined,
      };
    }
    case 'static':
      return {
        accessKeyId: settings.aws_access_key_id ?? '',
        secretAccessKey: settings.aws_secret_access_key ?? '',
        sessionToken: settings.aws_session_token,
      };
    // Not the SDK's: that has no time limit, and a helper that reads stdin would wait for ever.
    case 'process': {
      const { runCredentialProcess } = await import('./process.ts');
      return runCredentialProcess(settings.credential_process ?? '', deps);
    }
    default: {
      const { SDK_PROVIDERS } = await import('./sdk-providers.ts');
      return SDK_PROVIDERS[provider](base, deps);
    }
  }
}

/** True if there is no instance metadata service, or it has no role. */
function isNoInstance(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('statusCode' in error) return typeof error.statusCode === 'number' && error.statusCode < 500;
  return 'code' in error || error.message.startsWith('TimeoutError');
}

async function planError(failure: PlanFailure, { paths, profiles }: SharedFiles): Promise<ChainError> {
  switch (failure.what) {
    case 'none':
      return new ChainError({ ...failure, defects: await defectsOf(paths) });
    case 'missing-profile': {
      const known = Object.keys(profiles).sort();
      return new ChainError({ ...failure, configFile: paths.config, known, defects: await defectsOf(paths) });
    }
    default:
      return new ChainError(failure);
  }
}

const digest = (algorithm: string, text: string): string => createHash(algorithm).update(text).digest('hex');

/** The files that a login or a token rotation rewrites. */
function tokenFilesOf({ provider, settings }: CredentialPlan['base'], env: NodeJS.ProcessEnv): string[] {
  switch (provider) {
    case 'sso': {
      const id = settings.sso_session ?? settings.sso_start_url;
      const home = env.HOME || env.USERPROFILE || passwdHome();
      return id === undefined ? [] : [join(home, '.aws', 'sso', 'cache', `${digest('sha1', id)}.json`)];
    }
    case 'login': {
      const folder =
        env.AWS_LOGIN_CACHE_DIRECTORY ?? join(env.HOME || passwdHome(), '.aws', 'login', 'cache');
      return [join(folder, `${digest('sha256', settings.login_session ?? '')}.json`)];
    }
    case 'web-identity':
      return settings.web_identity_token_file === undefined ? [] : [settings.web_identity_token_file];
    default:
      return [];
  }
}
