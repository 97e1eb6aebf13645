/**
 * Identifies the account and the role or user behind credentials without a request to AWS.
 * Different texts may mean different identities; an MCP session belongs to one of them.
 */
export type Principal = string;

/** The provider that credentials come from. */
export type ProviderName =
  | 'static'
  | 'process'
  | 'sso'
  | 'login'
  | 'web-identity'
  | 'environment'
  | 'container'
  | 'instance'
  | 'assume-role'
  | 'program';

/** The provider of the credentials that roles are assumed with. */
export type BaseProvider = Exclude<ProviderName, 'assume-role' | 'program'>;

/** A role to assume with the credentials of the profile. */
export interface RoleOptions {
  /** The ARN of an IAM role: `arn:aws:iam::123456789012:role/name`. */
  readonly arn: string;
  /** Undefined: a name that stays the same for the life of the process. */
  readonly sessionName: string | undefined;
  /** The external id that the trust policy of the role requires, if any. */
  readonly externalId: string | undefined;
  /** Session tags, by key. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /**
   * Returns a token of an identity provider with which the role is assumed, without any other
   * credentials (`AssumeRoleWithWebIdentity`).
   */
  readonly webIdentityToken?: (() => string) | undefined;
}

/** Credentials for one signature. Immutable, so that a refresh never mixes two sets of them. */
export interface Credentials {
  /** The id of the access key: 16 to 128 characters, not a secret. */
  readonly accessKeyId: string;
  /** The secret that signatures are computed with. */
  readonly secretAccessKey: string;
  /** Present for temporary credentials; sent and signed as `x-amz-security-token`. */
  readonly sessionToken?: string;
  /** The end of temporary credentials; absent for credentials that do not expire. */
  readonly expiration?: Date;
  /** Absent if the principal is unknown. */
  readonly principal?: Principal;
  /** Absent if the provider is unknown. */
  readonly providerName?: string;
}

/** The AWS SDK's window for "about to expire": refresh begins about this long before expiry. */
export const MAX_REFRESH_AHEAD_MS = 5 * 60_000;
/** Share of a short lifetime that is left when refresh begins. */
const REFRESH_SHARE = 1 / 5;

/** The middle of `random`, for callers with one credential only. */
const NO_SPREAD = 0.5;

/**
 * When to refresh credentials in the background.
 * @param random - between 0 and 1: the credentials of many identities that were obtained together
 * are refreshed at different times, half the window earlier or later.
 * @returns wall clock milliseconds; undefined for credentials that do not expire.
 */
export function refreshDueAt(
  expiration: Date | undefined,
  obtainedAt: number,
  random = NO_SPREAD,
): number | undefined {
  if (expiration === undefined) return undefined;
  const lifetime = Math.max(0, expiration.getTime() - obtainedAt);
  const ahead = Math.min(MAX_REFRESH_AHEAD_MS, lifetime * REFRESH_SHARE);
  return expiration.getTime() - ahead * (0.5 + random);
}

export function hasExpired(credentials: Credentials, now: number): boolean {
  return credentials.expiration !== undefined && credentials.expiration.getTime() <= now;
}

/** Whether both produce the same signatures. The expiration makes no difference. */
export function sameCredentials(one: Credentials, other: Credentials): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

/** An `AwsCredentialIdentity` of the AWS SDK. */
export interface SdkCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  readonly expiration?: Date | undefined;
}

/** Copies the fields that a signature needs: SDK objects carry more, and may change later. */
export function snapshot(
  from: SdkCredentials,
  principal: Principal,
  providerName: ProviderName,
): Credentials {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = from;
  return Object.freeze({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(expiration === undefined ? {} : { expiration }),
    principal,
    providerName,
  });
}
