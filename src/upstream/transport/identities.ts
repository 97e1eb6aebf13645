import type { Credentials } from '../../auth/credentials/credentials.ts';
import { accountOf } from '../../auth/credentials/principal.ts';
import type { SigningScope } from '../../auth/signing.ts';
import { urlWithoutSecrets } from '../../config/secrets.ts';
import { ProxyError, shuttingDown } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { abortable } from '../../core/time/waits.ts';
import { explainRefusal } from '../../endpoint/aws-errors.ts';
import { callerIdentity } from './caller-identity.ts';
import type { ProfileTransport } from './transports.ts';

export interface IdentitiesOptions {
  readonly endpoint: URL;
  /** Undefined: never sign. */
  readonly scope: SigningScope | undefined;
  /** The region of requests to STS; undefined if none is known. */
  readonly homeRegion: string | undefined;
  readonly credentialsOptional: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly profileTransport: (profile: string) => ProfileTransport;
}

/** The reported identity of a profile. */
export interface ProfileIdentity {
  readonly profile: string | null;
  readonly account: string | null;
  readonly arn: string | null;
  readonly region: string | null;
  readonly endpoint: string;
  readonly note?: string;
}

interface KnownIdentity {
  readonly accessKeyId: string;
  readonly answer: Promise<{ account: string | null; arn: string | null; note?: string }>;
}

/**
 * Caches the identity of each profile, requested from STS once per access key, which never changes
 * its identity.
 */
export class Identities {
  readonly #options: IdentitiesOptions;
  readonly #known = new Map<string, KnownIdentity>();
  /** Aborts running requests at shutdown; one caller that leaves does not. */
  readonly #closing = new AbortController();

  constructor(options: IdentitiesOptions) {
    this.#options = options;
  }

  /** @throws ProxyError no-credentials or auth-rejected, as a call of the profile would. */
  async of(profile: string, signal: AbortSignal): Promise<ProfileIdentity> {
    const { endpoint, scope, env, profileTransport, credentialsOptional } = this.#options;
    const shown = {
      profile: profile || env.AWS_PROFILE || null,
      region: scope?.region ?? null,
      endpoint: urlWithoutSecrets(endpoint.href),
    };
    const unsigned = { ...shown, account: null, arn: null, note: 'requests are not signed' };
    const { credentials: provider, connect } = profileTransport(profile);
    if (!scope || !provider) return unsigned;
    try {
      const credentials = await provider.current(signal);
      const known = this.#known.get(profile);
      const answer =
        known?.accessKeyId === credentials.accessKeyId
          ? known.answer
          : this.#request(profile, credentials, connect);
      return { ...shown, ...(await abortable(answer, signal)) };
    } catch (error) {
      const none = error instanceof ProxyError && error.details.kind === 'none';
      if (none && credentialsOptional) return unsigned;
      throw error;
    }
  }

  #request(
    profile: string,
    credentials: Credentials,
    connect: ProfileTransport['connect'],
  ): KnownIdentity['answer'] {
    const { env, clock, homeRegion } = this.#options;
    const { accessKeyId } = credentials;
    const answer = callerIdentity({
      credentials,
      region: homeRegion,
      env,
      connect,
      clock,
      signal: this.#closing.signal,
    }).then((found) => {
      if (found.kind === 'known') return { account: found.account, arn: found.arn };
      this.#forget(profile, accessKeyId);
      if (found.kind === 'refused') {
        const { skewMs, ...refused } = found;
        const context = { ...refused, profile, signed: true, ...(skewMs === undefined ? {} : { skewMs }) };
        throw new ProxyError('auth-rejected', explainRefusal(found.refusal, context), {
          sent: 'refused',
          details: { httpStatus: found.status, verdict: found.refusal.kind },
        });
      }
      const why = found.kind === 'no-endpoint' ? 'AWS_ENDPOINT_URL_STS is not a URL' : found.why;
      const note = `STS gave no identity (${why}); the account is that of the access key, if known`;
      return { account: accountOf(accessKeyId) ?? null, arn: null, note };
    });
    answer.catch(() => this.#forget(profile, accessKeyId));
    this.#known.set(profile, { accessKeyId, answer });
    return answer;
  }

  /** Failures are not cached. */
  #forget(profile: string, accessKeyId: string): void {
    if (this.#known.get(profile)?.accessKeyId === accessKeyId) this.#known.delete(profile);
  }

  close(): void {
    this.#closing.abort(shuttingDown());
  }
}
