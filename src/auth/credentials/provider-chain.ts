import { causeText } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { regionProblem } from '../region-name.ts';
import { type Credentials, type Principal, snapshot } from './credentials.ts';
import { type CredentialFailure, causeWithoutSecrets } from './errors.ts';
import {
  type FileStamps,
  faultsIn,
  readSharedFiles,
  type SharedFiles,
  sharedPaths,
  stampFiles,
  tokenFiles,
} from './files.ts';
import { within } from './limit.ts';
import { type CredentialPlan, namesCredentials, planOf, type SourceKind } from './plan.ts';
import { ownerOf, principalOf, roleAs } from './principal.ts';
import { resolveWithSdk, roleAssumers, type SdkDeps, silentLogger } from './sdk-providers.ts';

/** A role to assume over whatever the chain finds. */
export interface RoleOptions {
  readonly arn: string;
  /** One that stays the same for the life of the process where undefined. */
  readonly sessionName: string | undefined;
  readonly externalId: string | undefined;
}

export interface ChainDeps {
  readonly profile: string | undefined;
  readonly fallbackRegion: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly requestHandler: unknown;
  readonly role?: RoleOptions | undefined;
  /** Ends what can be ended: a running credential_process. */
  readonly signal: AbortSignal;
}

export interface Resolved {
  readonly set: Credentials;
  readonly source: SourceKind | 'assume-role';
  /** The files it depends on, as they were before they were read. */
  readonly prints: FileStamps;
  readonly principal: Principal;
}

/** A failure with what is needed to advise; becomes the ProxyError that callers see. */
export class ChainFailure extends Error {
  readonly failure: CredentialFailure;

  constructor(failure: CredentialFailure) {
    super(failure.what);
    this.failure = failure;
  }
}

/**
 * On a laptop nothing answers at the instance's address, and this is how long each request waits to
 * find out. No retries.
 */
const INSTANCE_TIMEOUT_MS = 1000;
/**
 * A container's endpoint is one hop away. The SDK's own limit only prints a warning to the console.
 */
const CONTAINER_LIMIT_MS = 5000;
const NO_SDK_TIMEOUT = 0;

/**
 * The keys to sign with, past every cache: those of the chain, or of the role that is asked for
 * over them.
 * @throws ChainFailure
 */
export async function resolveKeys(deps: ChainDeps): Promise<Resolved> {
  const resolved = await resolveChain(deps);
  const { role, env } = deps;
  if (!role) return resolved;
  const { arn, sessionName, externalId } = role;
  const profile = deps.profile ?? (env.AWS_PROFILE || undefined);
  const { profiles } = await readSharedFiles(env);
  const { roleAssumer } = roleAssumers({ ...deps, profile, profiles, roleSessionName: sessionName });
  try {
    const set = await roleAssumer(resolved.set, {
      RoleArn: arn,
      RoleSessionName: sessionName,
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
    });
    return { ...resolved, set: snapshot(set), source: 'assume-role', principal: roleAs(arn, sessionName) };
  } catch (error) {
    const cause = causeWithoutSecrets(causeText(error));
    throw new ChainFailure({
      what: 'role-failed',
      roleArn: arn,
      externalId: externalId !== undefined,
      cause,
    });
  }
}

/**
 * Goes through the chain once, past every cache: environment (unless a profile was asked for), the
 * profile, web identity, container, instance. A source that is configured but fails ends the chain:
 * the SDK would go on to the next, and hand out another identity, or nothing with the reason lost.
 * @throws ChainFailure
 */
export async function resolveChain(deps: ChainDeps): Promise<Resolved> {
  const { env } = deps;
  const profile = deps.profile ?? (env.AWS_PROFILE || undefined);
  if (profile === undefined) {
    requireBoth(KEY_VARIABLES, env, 'the environment');
    if (env.AWS_ACCESS_KEY_ID) return ofMachine(fromVariables(env), 'environment', new Map());
  }

  const paths = sharedPaths(env);
  const prints = stampFiles([paths.config, paths.credentials]);
  const files = await readSharedFiles(env);
  const data = files.profiles[profile ?? 'default'];
  if (profile !== undefined && data === undefined) throw await unknownProfile(profile, undefined, files);
  const sdk: SdkDeps = { ...deps, profile, profiles: files.profiles };
  if (namesCredentials(data)) return fromProfile(profile ?? 'default', files, prints, sdk, deps);
  requireRegionNames([profile ?? 'default'], files);

  // A role alone is common: other programs read it with another source of keys.
  if (env.AWS_WEB_IDENTITY_TOKEN_FILE) requireBoth(WEB_IDENTITY_VARIABLES, env, 'the environment');
  if (env.AWS_WEB_IDENTITY_TOKEN_FILE && env.AWS_ROLE_ARN) {
    const tokenPrints = stampFiles([env.AWS_WEB_IDENTITY_TOKEN_FILE]);
    const { fromTokenFile } = await import('@aws-sdk/credential-provider-web-identity');
    const { roleAssumerWithWebIdentity } = roleAssumers(sdk);
    const set = await attempt(
      'web-identity',
      profile,
      fromTokenFile({ roleAssumerWithWebIdentity, logger: silentLogger }),
    );
    const principal = roleAs(env.AWS_ROLE_ARN, env.AWS_ROLE_SESSION_NAME);
    return { set, source: 'web-identity', prints: new Map([...prints, ...tokenPrints]), principal };
  }
  if (env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI || env.AWS_CONTAINER_CREDENTIALS_FULL_URI) {
    return ofMachine(await fromContainer(profile, deps.clock), 'container', prints);
  }
  const set = await fromInstance(profile, env);
  if (set !== undefined) return ofMachine(set, 'instance', prints);
  throw new ChainFailure({ what: 'none', faults: await faultsIn(paths) });
}

const ofMachine = (set: Credentials, source: SourceKind, prints: FileStamps): Resolved => ({
  set,
  source,
  prints,
  principal: ownerOf(source, set),
});

const KEY_VARIABLES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const;
const KEY_SETTINGS = ['aws_access_key_id', 'aws_secret_access_key'] as const;
const WEB_IDENTITY_VARIABLES = ['AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN'] as const;

/**
 * Half a pair is a mistake, also in botocore: to go on with the next source would sign as somebody
 * who was not asked for.
 */
function requireBoth(
  [one, other]: readonly [string, string],
  from: Readonly<Record<string, string | undefined>>,
  place: string,
): void {
  if (!from[one] === !from[other]) return;
  const [given, missing] = from[one] ? [one, other] : [other, one];
  throw new ChainFailure({ what: 'incomplete', given, missing, place });
}

/** STS, sign-in and SSO would be asked at a host that does not exist, or at somebody else's. */
function requireRegionNames(names: readonly string[], files: SharedFiles): void {
  for (const name of names) {
    const data = files.profiles[name];
    const session = files.ssoSessions[data?.sso_session ?? ''];
    for (const [key, value] of [
      ['region', data?.region],
      ['sso_region', data?.sso_region ?? session?.sso_region],
    ] as const) {
      const problem = regionProblem(value);
      if (problem !== undefined) throw new ChainFailure({ what: 'bad-region', profile: name, key, problem });
    }
  }
}

/**
 * As the SDK's provider reads them; that one brings 85 KB along, which is a tenth of the time to
 * the first answer.
 */
function fromVariables(env: NodeJS.ProcessEnv): Credentials {
  return snapshot({
    accessKeyId: env.AWS_ACCESS_KEY_ID ?? '',
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY ?? '',
    sessionToken: env.AWS_SESSION_TOKEN || undefined,
    expiration: env.AWS_CREDENTIAL_EXPIRATION ? new Date(env.AWS_CREDENTIAL_EXPIRATION) : undefined,
  });
}

async function fromProfile(
  profile: string,
  files: SharedFiles,
  sharedPrints: FileStamps,
  sdk: SdkDeps,
  deps: ChainDeps,
): Promise<Resolved> {
  const plan = planOf(profile, files.profiles);
  if ('problem' in plan) {
    switch (plan.problem) {
      case 'missing':
        throw await unknownProfile(plan.profile, plan.namedBy, files);
      case 'mfa':
        throw new ChainFailure({ what: 'mfa', profile: plan.profile });
      case 'cycle':
        throw new ChainFailure({ what: 'cycle', profiles: plan.profiles });
    }
  }
  const { kind, profile: holder } = plan.base;
  requireRegionNames([profile, ...plan.roles, holder], files);
  if (kind === 'environment') requireBoth(KEY_VARIABLES, deps.env, 'the environment');
  if (kind === 'unclear') requireBoth(KEY_SETTINGS, files.profiles[holder] ?? {}, `profile '${holder}'`);
  const tokenPrints = stampFiles(tokenFiles(plan, files, deps.env));
  const assumes = plan.roles.length > 0;
  const provide = (): Promise<Credentials> => {
    requireSsoSession(plan, files);
    if (kind === 'process') return processThenRoles(plan, files, sdk, deps);
    const timeout = kind === 'container' ? NO_SDK_TIMEOUT : INSTANCE_TIMEOUT_MS;
    const resolving = resolveWithSdk(profile, sdk, { timeout });
    return kind === 'container' ? withinContainerLimit(deps.clock, resolving) : resolving;
  };
  const set = await attempt(kind, holder, provide, assumes);
  const source = assumes ? 'assume-role' : kind;
  const principal = principalOf(plan, files.profiles, set);
  return { set, source, prints: new Map([...sharedPrints, ...tokenPrints]), principal };
}

/**
 * The SDK would run the process itself, at the end of a chain of roles too: with our stdin, and
 * without limits.
 */
async function processThenRoles(
  plan: CredentialPlan,
  files: SharedFiles,
  sdk: SdkDeps,
  deps: ChainDeps,
): Promise<Credentials> {
  const command = files.profiles[plan.base.profile]?.credential_process ?? '';
  const { runCredentialProcess } = await import('./process.ts');
  let set = await runCredentialProcess(command, deps);
  if (plan.roles.length === 0) return set;
  const { roleAssumer } = roleAssumers(sdk);
  for (const name of plan.roles.toReversed()) {
    const role = files.profiles[name] ?? {};
    const { external_id, role_session_name, duration_seconds } = role;
    set = snapshot(
      await roleAssumer(set, {
        RoleArn: role.role_arn,
        RoleSessionName: role_session_name,
        ...(external_id === undefined ? {} : { ExternalId: external_id }),
        ...(duration_seconds === undefined ? {} : { DurationSeconds: Number.parseInt(duration_seconds, 10) }),
      }),
    );
  }
  return set;
}

/**
 * Without this the SDK fails on a property of undefined, which names neither the session nor the
 * file.
 */
function requireSsoSession(plan: CredentialPlan, files: SharedFiles): void {
  const session = files.profiles[plan.base.profile]?.sso_session;
  if (plan.base.kind !== 'sso' || session === undefined || files.ssoSessions[session] !== undefined) return;
  throw new Error(`the sso-session '${session}' of the profile is not in ${files.paths.config}`);
}

async function fromContainer(profile: string | undefined, clock: Clock): Promise<Credentials> {
  const { fromHttp } = await import('@aws-sdk/credential-provider-http');
  return attempt('container', profile, () =>
    withinContainerLimit(clock, fromHttp({ logger: silentLogger, timeout: NO_SDK_TIMEOUT })()),
  );
}

const withinContainerLimit = <T>(clock: Clock, work: Promise<T>): Promise<T> =>
  within(
    clock,
    CONTAINER_LIMIT_MS,
    work,
    () => new Error(`the container endpoint did not answer within ${CONTAINER_LIMIT_MS / 1000} s`),
  );

/**
 * @returns undefined where there is no instance metadata service, or one that has no role to give.
 */
async function fromInstance(
  profile: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Credentials | undefined> {
  if (env.AWS_EC2_METADATA_DISABLED && env.AWS_EC2_METADATA_DISABLED.toLowerCase() !== 'false')
    return undefined;
  const { fromInstanceMetadata } = await import('@smithy/credential-provider-imds');
  const provider = fromInstanceMetadata({
    timeout: INSTANCE_TIMEOUT_MS,
    maxRetries: 0,
    logger: silentLogger,
  });
  try {
    return snapshot(await provider());
  } catch (error) {
    if (isNoInstance(error)) return undefined;
    throw sourceFailure('instance', profile, error);
  }
}

function isNoInstance(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('statusCode' in error) return typeof error.statusCode === 'number' && error.statusCode < 500;
  return 'code' in error || error.message.startsWith('TimeoutError');
}

async function attempt(
  source: SourceKind,
  profile: string | undefined,
  provide: () => Promise<Parameters<typeof snapshot>[0]>,
  assumes = false,
): Promise<Credentials> {
  try {
    return snapshot(await provide());
  } catch (error) {
    throw sourceFailure(source, profile, error, assumes);
  }
}

function sourceFailure(
  source: SourceKind,
  profile: string | undefined,
  error: unknown,
  assumes = false,
): ChainFailure {
  const cause = causeWithoutSecrets(causeText(error));
  return new ChainFailure({ what: 'source-failed', source, profile, assumes, cause });
}

async function unknownProfile(
  missing: string,
  namedBy: string | undefined,
  { paths, profiles }: SharedFiles,
): Promise<ChainFailure> {
  const faults = await faultsIn(paths);
  const known = Object.keys(profiles).sort();
  return new ChainFailure({
    what: 'unknown-profile',
    missing,
    namedBy,
    configFile: paths.config,
    known,
    faults,
  });
}
