import type { SigningKeys } from '../../auth/sigv4.ts';
import { causeText, ProxyError } from '../../core/errors/errors.ts';
import type { Settings } from '../../settings.ts';
import type { ProfileTransport } from '../../upstream/transport/transports.ts';
import { durationText, type Finding, failed, ok, skipped, warning } from './finding.ts';
import type { Record } from './record.ts';

const CHECK = 'credentials';

const SOURCES: Readonly<{ [source: string]: string }> = {
  static: 'the shared files',
  process: 'credential_process',
  sso: 'SSO',
  login: 'aws login',
  'web-identity': 'a web identity',
  environment: 'the environment',
  container: 'the container',
  instance: 'the instance',
  'assume-role': 'an assumed role',
};

/** Enough to recognise a key, too little to be one. */
export const maskedKeyId = (id: string): string =>
  id.length >= 12 ? `${id.slice(0, 4)}...${id.slice(-4)}` : `...${id.slice(-2)}`;

/** "" is the default chain. */
export const profileText = (profile: string): string =>
  profile === '' ? 'the default chain' : `profile '${profile}'`;

export interface CredentialChecks {
  readonly profile: string;
  readonly settings: Settings;
  readonly road: ProfileTransport;
  readonly record: Record;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export interface Credentialed {
  readonly finding: Finding;
  /** Undefined where there are none, or none are used. */
  readonly keys: SigningKeys | undefined;
}

/** Resolves the credentials that requests of this profile are signed with. */
export async function credentialFinding(checks: CredentialChecks): Promise<Credentialed> {
  const { road, profile, settings, signal } = checks;
  if (!road.keys) {
    return { finding: skipped(CHECK, 'requests are not signed (--auth none)'), keys: undefined };
  }
  try {
    const keys = await road.keys.current(signal);
    return { finding: keysFinding(keys, checks), keys };
  } catch (error) {
    if (signal.aborted) throw error;
    const text = causeText(error);
    const finding =
      settings.skipAuth && error instanceof ProxyError && error.details.kind === 'none'
        ? warning(CHECK, 'none found; requests go out unsigned (--skip-auth)', text)
        : failed(CHECK, `none from ${profileText(profile)}`, text);
    return { finding, keys: undefined };
  }
}

function keysFinding(keys: SigningKeys, { profile, record, now }: CredentialChecks): Finding {
  const { source = '', expiresAt } = record.resolved ?? {};
  const head = `${maskedKeyId(keys.accessKeyId)} of ${profileText(profile)}, from ${SOURCES[source] ?? 'the AWS chain'}`;
  if (expiresAt === undefined) return ok(CHECK, `${head}, without expiry`);
  const left = Date.parse(expiresAt) - now();
  if (left > 0) return ok(CHECK, `${head}, expires ${expiresAt} (in ${durationText(left)})`);
  const login = profile === '' ? 'aws sso login' : `aws sso login --profile ${profile}`;
  return warning(
    CHECK,
    `${head}, expired ${expiresAt} (${durationText(left)} ago)`,
    `Log in again (${login}, or aws login); if they are fresh, set this machine's clock.`,
  );
}

/** What requests are signed for, and who said so. */
export function signingFinding({ scope, scopeFrom }: Settings): Finding {
  const check = 'signing';
  if (!scope) return skipped(check, 'requests are not signed (--auth none)');
  return ok(
    check,
    `for service ${scope.service} (from ${scopeFrom.service}) in region ${scope.region} (from ${scopeFrom.region})`,
  );
}
