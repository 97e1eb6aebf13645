import { causeText } from '../../core/errors/errors.ts';
import { type SdkCredentials, snapshot } from './credentials.ts';
import { type CredentialFailure, causeWithoutSecrets } from './errors.ts';
import type { Resolved } from './provider-chain.ts';

/** Credentials of a program, as the AWS SDK names them: `AwsCredentialIdentity`. */
export interface CredentialIdentity extends SdkCredentials {
  /** The account; a change of it is a change of the identity. */
  readonly accountId?: string | undefined;
}

/**
 * Credentials, or a function that returns them, such as a credential provider of the AWS SDK. It is
 * called before the credentials expire, and when the server has refused them.
 */
export type CredentialSource = CredentialIdentity | (() => CredentialIdentity | Promise<CredentialIdentity>);

const TEXTS = ['accessKeyId', 'secretAccessKey'] as const;

/** Returns what is wrong with credentials, without their values; undefined if they can sign. */
export function credentialProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null)
    return 'must be an object with accessKeyId and secretAccessKey';
  const given = value as Record<string, unknown>;
  const missing = TEXTS.find((name) => typeof given[name] !== 'string' || given[name] === '');
  if (missing) return `must have ${missing}, a text`;
  const { sessionToken, expiration } = given;
  if (sessionToken !== undefined && typeof sessionToken !== 'string')
    return 'must have a text as sessionToken';
  if (expiration !== undefined && !(expiration instanceof Date && Number.isFinite(expiration.getTime())))
    return 'must have a valid Date as expiration';
  return undefined;
}

/** Why a source has no credentials. */
export const sourceFailureOf = (error: unknown): CredentialFailure => ({
  what: 'program-failed',
  cause: causeWithoutSecrets(causeText(error)),
});

/** @throws Error where the source fails, or returns something else than credentials. */
export async function resolveSource(source: CredentialSource): Promise<Resolved> {
  const identity = typeof source === 'function' ? await source() : source;
  const problem = credentialProblem(identity);
  if (problem) throw new Error(`its value cannot sign: it ${problem}`);
  const { accountId } = identity;
  // Without an account, any two sets of credentials may belong to one identity.
  const principal = JSON.stringify(['program', accountId ?? null]);
  return { credentials: snapshot(identity, principal, 'program'), stamps: new Map() };
}
