import type { Credentials } from '../../auth/credentials/credentials.ts';
import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { programWords } from '../../core/system/executable.ts';
import type { Settings } from '../../settings.ts';
import type { ProfileTransport } from '../../upstream/transport/transports.ts';
import { PACKAGE_NAME } from '../../version.ts';
import { profileText, providerText } from '../credential-names.ts';
import { shellLine } from '../shell-word.ts';
import { durationText, type Finding, failed, ok, skipped, warning } from './finding.ts';
import type { Observations } from './observations.ts';

const CHECK = 'credentials';

/** The user recognises the access key id; nobody can use the masked one. */
export const maskedKeyId = (id: string): string =>
  id.length >= 12 ? `${id.slice(0, 4)}...${id.slice(-4)}` : `...${id.slice(-2)}`;

export interface CredentialChecks {
  readonly profile: string;
  readonly settings: Settings;
  readonly road: ProfileTransport;
  readonly observations: Observations;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export interface CredentialResult {
  readonly finding: Finding;
  /** Undefined if no credentials were found, or none are used. */
  readonly credentials: Credentials | undefined;
}

/** The step before all others for a user who has never set up AWS on this machine. */
const FIRST_PROFILE = ". If there is no profile yet, run 'aws login' or 'aws configure sso' to make one";

/** Resolves the credentials that sign the requests of this profile. */
export async function checkCredentials(checks: CredentialChecks): Promise<CredentialResult> {
  const { road, profile, settings, signal } = checks;
  if (!road.credentials) return { finding: await tokenFinding(checks), credentials: undefined };
  try {
    const credentials = await road.credentials.current(signal);
    return { finding: credentialsFound(credentials, checks), credentials };
  } catch (error) {
    if (signal.aborted) throw error;
    const isNone = error instanceof ProxyError && error.details.kind === 'none';
    const text = `${causeText(error)}${isNone && profile === '' ? FIRST_PROFILE : ''}`;
    const finding =
      settings.skipAuth && isNone
        ? warning(CHECK, 'none found; requests are sent unsigned (--skip-auth)', text)
        : failed(CHECK, `none found for ${profileText(profile)}`, text);
    return { finding, credentials: undefined };
  }
}

/** The finding of a kind of `--auth` without AWS credentials. */
async function tokenFinding({ road, settings, signal, now }: CredentialChecks): Promise<Finding> {
  try {
    const report = await road.authorizer.inspect(signal);
    if (!report) return skipped(CHECK, `requests are not signed (--auth ${settings.auth})`);
    const { text, expiresAt, renewal } = report;
    if (!expiresAt) return ok(CHECK, text);
    const left = expiresAt.getTime() - now();
    const end = expiresAt.toISOString();
    return left > 0
      ? ok(CHECK, `${text}, expires ${end} (in ${durationText(left)})`)
      : warning(CHECK, `${text}, expired ${end} (${durationText(left)} ago)`, renewal);
  } catch (error) {
    if (signal.aborted) throw error;
    return failed(CHECK, `none for --auth ${settings.auth}`, causeText(error));
  }
}

function credentialsFound(
  credentials: Credentials,
  { profile, observations, now }: CredentialChecks,
): Finding {
  const { providerName = '', expiresAt } = observations.resolved ?? {};
  const head = `${maskedKeyId(credentials.accessKeyId)} of ${profileText(profile)}, from ${providerText(providerName)}`;
  if (expiresAt === undefined) return ok(CHECK, `${head}, without expiry`);
  const left = Date.parse(expiresAt) - now();
  if (left > 0) return ok(CHECK, `${head}, expires ${expiresAt} (in ${durationText(left)})`);
  return warning(
    CHECK,
    `${head}, expired ${expiresAt} (${durationText(left)} ago)`,
    `${renewalOf(providerName, profile)}. If the credentials are fresh, set this machine's clock.`,
  );
}

/** The next step for credentials that have expired. */
function renewalOf(providerName: string, profile: string): string {
  switch (providerName) {
    case 'environment':
      return 'Set new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN where the MCP client starts the proxy';
    case 'static':
      return "Write new keys and a new session token to the profile, or have 'aws configure sso' set it up for a login";
    case 'process':
      return 'Run the credential_process of the profile in a terminal to see the Expiration that it prints';
    case 'container':
    case 'instance':
    case 'web-identity':
      return 'The platform renews these credentials: check its agent and its metadata service';
    default:
      return `Run '${shellLine([...programWords(PACKAGE_NAME), 'login', ...(profile === '' ? [] : [profile])])}'`;
  }
}

/** The service and region of signatures, and which setting chose them. */
export function signingFinding(settings: Settings): Finding {
  const { scope, scopeFrom, scopeProblems, signsForRegionSet, auth } = settings;
  const check = 'signing';
  if (!scope) {
    const why = scopeProblems.length === 0 ? '' : `: ${scopeProblems.join('; ')}`;
    return skipped(check, `requests are not signed (--auth ${auth})${why}`);
  }
  const [how, regions] = signsForRegionSet ? ['with SigV4A ', 'in the regions'] : ['', 'in region'];
  const condition = auth === 'auto' ? 'if the server demands it, ' : '';
  return ok(
    check,
    `${condition}${how}for service ${scope.service} (from ${scopeFrom.service}) ${regions} ${scope.region} (from ${scopeFrom.region})`,
  );
}

/** The kind that `--auth auto` has derived from the first refusal of the server. */
export function derivedFinding({ derived, responses }: Observations): Finding {
  const check = 'authentication';
  if (derived) return ok(check, `${derived.kind}, derived from ${derived.because}`);
  return responses.some(({ status }) => status < 400)
    ? ok(check, 'none: the server accepts requests without credentials')
    : skipped(check, 'the server has neither accepted nor refused a request');
}
