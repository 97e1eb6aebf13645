import type { Credentials } from '../../auth/credentials/credentials.ts';
import { type Clock, systemClock } from '../../core/time/clock.ts';
import { explainRefusal, type RefusalKind } from '../../endpoint/aws-errors.ts';
import { callerIdentity } from '../../upstream/transport/caller-identity.ts';
import type { ProfileTransport } from '../../upstream/transport/transports.ts';
import { profileText } from '../credential-names.ts';
import { type Finding, failed, ok, skipped } from './finding.ts';

export { stsEndpoint } from '../../upstream/transport/caller-identity.ts';

const CHECK = 'identity';

/** Rejections because of the credentials. Others, such as a blocked STS, do not affect calls. */
const CREDENTIAL_REJECTIONS: ReadonlySet<RefusalKind> = new Set([
  'expired',
  'invalid-token',
  'clock',
  'signature',
]);

export interface IdentityCheck {
  readonly profile: string;
  readonly credentials: Credentials;
  readonly region: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly road: ProfileTransport;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** Asks STS for the identity of the credentials, over the same HTTP proxy and certificates. */
export async function checkIdentity(check: IdentityCheck): Promise<Finding> {
  const { profile, credentials, region, env, road, signal, clock = systemClock } = check;
  const found = await callerIdentity({ credentials, region, env, connect: road.connect, signal, clock });
  switch (found.kind) {
    case 'known':
      return ok(CHECK, found.arn);
    case 'no-endpoint':
      return skipped(CHECK, 'AWS_ENDPOINT_URL_STS is not a URL');
    case 'unreachable':
      return skipped(CHECK, `STS at ${found.host} cannot be reached: ${found.why}`);
    case 'refused': {
      const { host, status, refusal, scope, skewMs } = found;
      if (!CREDENTIAL_REJECTIONS.has(refusal.kind)) {
        return skipped(CHECK, `STS at ${host} returned no identity (HTTP ${status}: ${refusal.message})`);
      }
      const remedy = explainRefusal(refusal, {
        status,
        host,
        profile,
        scope,
        signed: true,
        ...(skewMs === undefined ? {} : { skewMs }),
      });
      return failed(
        CHECK,
        `STS rejected the credentials of ${profileText(profile)}: ${refusal.kind}`,
        remedy,
      );
    }
  }
}
