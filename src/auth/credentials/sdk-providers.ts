import {
  fromHttp,
  fromInstanceMetadata,
  fromLoginCredentials,
  fromSSO,
  fromTemporaryCredentials,
  fromTokenFile,
  fromWebToken,
} from '@aws-sdk/credential-providers';
import type { Clock } from '../../core/time/clock.ts';
import { abortable, withTimeout } from '../../core/time/waits.ts';
import { stsSlots } from './call-slots.ts';
import type { BaseProvider, RoleOptions, SdkCredentials } from './credentials.ts';
import type { CredentialPlan } from './plan.ts';
import { aliasOf } from './profile-alias.ts';
import type { ProfileData, Profiles } from './shared-files.ts';

export interface ProviderDeps {
  readonly profile: string | undefined;
  readonly profiles: Profiles;
  readonly fallbackRegion: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Sends the requests of the AWS SDK. */
  readonly requestHandler?: unknown;
  /** Ends a running credential_process. */
  readonly signal: AbortSignal;
}

type SdkProvider = Exclude<BaseProvider, 'environment' | 'static' | 'process'>;

/**
 * No retries: without an instance, nothing answers at its address, and each attempt takes this
 * long.
 */
const INSTANCE_TIMEOUT_MS = 1_000;
/** A container's endpoint is one hop away. The SDK's own timeout only prints a warning. */
const CONTAINER_TIMEOUT_MS = 5_000;
/** The SDK's default, without its warning on the console. */
const LAST_RESORT_REGION = 'us-east-1';

// The SDK warns on stderr about future Node versions, which concerns developers, not users.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const ignore = (): void => undefined;
/** Without a logger the SDK writes to the console, and stdout carries the protocol. */
const logger = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };
/** For callers without a request handler: the SDK's own waits for ever by default. */
const REQUEST_HANDLER = {
  connectionTimeout: 5_000,
  requestTimeout: 20_000,
  throwOnRequestTimeout: true,
  logger,
};

/** The region for STS and sign-in, which is not the region that requests are signed for. */
const stsRegion = ({ profile, profiles, env, fallbackRegion }: ProviderDeps): string =>
  profiles[profile ?? 'default']?.region ||
  env.AWS_REGION ||
  env.AWS_DEFAULT_REGION ||
  fallbackRegion ||
  LAST_RESORT_REGION;

/** Without a region: for SSO it would override the profile's sso_region. */
const clientConfig = ({ profile, requestHandler }: ProviderDeps) => ({
  logger,
  requestHandler: (requestHandler ?? REQUEST_HANDLER) as object,
  ...(profile === undefined ? {} : { profile: aliasOf(profile) }),
});

const stsConfig = (deps: ProviderDeps) => ({ ...clientConfig(deps), region: stsRegion(deps) });

/** The providers of the AWS SDK. This module is loaded when one of them is needed. */
export const SDK_PROVIDERS: Readonly<
  Record<SdkProvider, (base: CredentialPlan['base'], deps: ProviderDeps) => Promise<SdkCredentials>>
> = {
  async sso({ profile }, deps) {
    return fromSSO({ ...profileInit(profile), clientConfig: clientConfig(deps) })();
  },
  async login({ profile }, deps) {
    const region = async (): Promise<string> => stsRegion(deps);
    const provider = fromLoginCredentials({
      ...profileInit(profile),
      clientConfig: clientConfig(deps),
    });
    return provider({ callerClientConfig: { region } });
  },
  async 'web-identity'({ settings }, deps) {
    const provider = fromTokenFile({
      webIdentityTokenFile: settings.web_identity_token_file ?? '',
      roleArn: settings.role_arn ?? '',
      roleSessionName: sessionNameOf(settings, deps),
      clientConfig: stsConfig(deps),
      logger,
    });
    return stsSlots.run(deps.signal, provider);
  },
  async container(_base, { clock }) {
    return withTimeout(clock, CONTAINER_TIMEOUT_MS, (signal) =>
      // 0: no timeout of the SDK.
      abortable(fromHttp({ logger, timeout: 0 })(), signal),
    );
  },
  async instance() {
    return fromInstanceMetadata({ timeout: INSTANCE_TIMEOUT_MS, maxRetries: 0, logger })();
  },
};

const profileInit = (profile: string | undefined) => ({
  profile: aliasOf(profile ?? 'default'),
  ignoreCache: true,
  logger,
});

/** @param role - settings of the role, named as in a profile. */
export async function assumeRole(
  source: SdkCredentials,
  role: ProfileData,
  deps: ProviderDeps,
  tags: Readonly<Record<string, string>> = {},
): Promise<SdkCredentials> {
  const { external_id: externalId, duration_seconds: duration } = role;
  const provider = fromTemporaryCredentials({
    masterCredentials: source as Parameters<typeof fromTemporaryCredentials>[0]['masterCredentials'] & object,
    params: {
      RoleArn: role.role_arn,
      RoleSessionName: sessionNameOf(role, deps),
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
      ...(Object.keys(tags).length === 0
        ? {}
        : { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
      ...(duration === undefined ? {} : { DurationSeconds: Number.parseInt(duration, 10) }),
    },
    clientConfig: stsConfig(deps),
    logger,
  });
  return stsSlots.run(deps.signal, provider);
}

/** Assumes a role with the token of an identity provider, which takes the place of credentials. */
export async function assumeRoleWithToken(
  webIdentityToken: string,
  { arn: roleArn, sessionName }: RoleOptions,
  deps: ProviderDeps,
): Promise<SdkCredentials> {
  const provider = fromWebToken({
    webIdentityToken,
    roleArn,
    roleSessionName: sessionName ?? defaultSessionName(deps.env),
    clientConfig: stsConfig(deps),
  });
  return stsSlots.run(deps.signal, provider);
}

/** Unique to this process: its id, and its start for the case that ids repeat. */
const PROCESS_SESSION_NAME = `mcp-sigv4-proxy-${process.pid}-${Math.round(performance.timeOrigin).toString(36)}`;
/** The limit of STS, which accepts these characters only. */
const MAX_SESSION_NAME = 64;
const INVALID_IN_SESSION_NAME = /[^\w+=,.@-]/g;

/**
 * One name for the life of the process. The SDK chooses a new one for each refresh, and an MCP
 * server that binds sessions to the caller's user id, which ends in the name, then sees another
 * caller.
 */
function sessionNameOf(role: ProfileData, { env }: Pick<ProviderDeps, 'env'>): string {
  return role.role_session_name || defaultSessionName(env);
}

export function defaultSessionName(env: NodeJS.ProcessEnv): string {
  const name = env.AWS_ROLE_SESSION_NAME?.replace(INVALID_IN_SESSION_NAME, '-').slice(0, MAX_SESSION_NAME);
  return name && name.length > 1 ? name : PROCESS_SESSION_NAME;
}
