import { similarNames } from '../../config/spelling.ts';
import { ProxyError, withoutLastDots } from '../../core/errors/errors.ts';
import type { BaseProvider } from './credentials.ts';
import { withProfileNames } from './profile-alias.ts';
import { profileNamesText } from './shared-files.ts';

/** Why there are no credentials, with everything that the error message needs. */
export type CredentialFailure =
  | {
      readonly what: 'missing-profile';
      readonly missing: string;
      /** The profile whose `source_profile` names the missing one. */
      readonly namedBy?: string | undefined;
      readonly configFile?: string;
      readonly known?: readonly string[];
      readonly defects?: readonly string[];
    }
  | { readonly what: 'none'; readonly defects?: readonly string[] }
  | {
      /** One half of a pair of settings without the other. */
      readonly what: 'incomplete';
      readonly given: string;
      readonly missing: string;
      readonly place: string;
    }
  | {
      readonly what: 'bad-region';
      readonly profile: string;
      readonly key: string;
      readonly problem: string;
    }
  | { readonly what: 'mfa'; readonly profile: string }
  | { readonly what: 'cycle'; readonly profiles: readonly string[] }
  | {
      readonly what: 'source-failed';
      readonly provider: BaseProvider;
      /** The profile to log in with: the last one of a chain of roles. */
      readonly profile: string | undefined;
      /** True if roles are assumed with these credentials. */
      readonly assumes: boolean;
      readonly cause: string;
    }
  | {
      /** The role of the options; the profile itself has credentials. */
      readonly what: 'role-failed';
      readonly roleArn: string;
      readonly externalId: boolean;
      readonly cause: string;
    }
  /** The `credentials` of a program that uses the library. */
  | { readonly what: 'program-failed'; readonly cause: string }
  | { readonly what: 'unexpected'; readonly cause: string };

const SSO_SIGNED_OUT =
  /expired|invalid|was not found|could not be found or is|unauthorized|session token|Cannot refresh/i;

const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|certificate|socket hang up|requestTimeout/i;
const NETWORK_ADVICE =
  ' Check that STS, SSO and sign-in can be reached from here: network, HTTPS_PROXY, NO_PROXY, CA bundle';

/** The name of a profile in events and in the details of errors. */
export const profileLabel = (profile: string | undefined): string => profile ?? 'default chain';

/** The error message: which profile, what went wrong, what to do. */
export function credentialsMessage(profile: string | undefined, failure: CredentialFailure): string {
  if (failure.what === 'program-failed') return `No AWS credentials: ${explain(profile, failure)}`;
  const subject =
    profile === undefined
      ? 'No AWS credentials (default chain)'
      : `No AWS credentials for profile '${profile}'`;
  return `${subject}: ${explain(profile, failure)}`;
}

function explain(profile: string | undefined, failure: CredentialFailure): string {
  switch (failure.what) {
    case 'missing-profile': {
      const { missing, namedBy, configFile, known = [], defects } = failure;
      const by = namedBy === undefined ? '' : ` (the source_profile of '${namedBy}')`;
      const choice = known.length === 0 ? 'it has no profiles' : `known profiles: ${profileNamesText(known)}`;
      const remedy =
        namedBy === undefined
          ? `Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile ${quoted(missing)}'`
          : 'Correct that line';
      const [guess] = similarNames(missing, known);
      const hint = guess === undefined ? '' : `Did you mean '${guess}'? `;
      return `profile '${missing}'${by} is not in ${configFile}; ${choice}${defectNote(defects)}. ${hint}${remedy}`;
    }
    case 'none':
      return profile === undefined
        ? `nothing found in the environment, the shared files, a container or an instance${defectNote(failure.defects)}. ` +
            'Set AWS_PROFILE or pass --profile. MCP clients start servers with a stripped environment (HOME, PATH and little ' +
            'else), so variables of your shell must be repeated in the "env" block of the client\'s configuration'
        : `the profile names no source of credentials, and no container or instance offers any${defectNote(failure.defects)}. ` +
            `Run 'aws configure --profile ${quoted(profile)}' or choose another profile with --profile`;
    case 'incomplete': {
      const { given, missing, place } = failure;
      return `${given} is set in ${place}, and ${missing} is missing. Set ${missing} as well, or remove ${given}`;
    }
    case 'bad-region':
      return `${failure.key} of profile '${failure.profile}' ${failure.problem}. Correct it in the AWS config file`;
    case 'mfa':
      return (
        `profile '${failure.profile}' has mfa_serial, and the proxy cannot ask for a code because its stdin carries the ` +
        "protocol. Run 'aws sts get-session-token' with the code and put the result into a separate profile, or use a " +
        'credential_process that caches an MFA session'
      );
    case 'cycle':
      return `the source_profile settings form a circle (${failure.profiles.join(' -> ')}). Edit the profiles so that one holds credentials`;
    case 'source-failed':
      return `${withoutLastDots(withoutAdvice(failure.cause))}.${remedy(failure)}`;
    case 'role-failed': {
      const { roleArn, externalId, cause } = failure;
      if (NETWORK.test(cause))
        return `the role ${roleArn} cannot be assumed: ${withoutLastDots(cause)}.${NETWORK_ADVICE}`;
      const check = /expired/i.test(cause)
        ? ' The credentials for the role have expired: log in again'
        : ` Check that --role-arn is right, that these credentials may call sts:AssumeRole on it, and that its trust policy lets them${externalId ? ' with this --external-id' : ' (it may ask for an --external-id)'}`;
      return `the role ${roleArn} cannot be assumed: ${withoutLastDots(cause)}.${check}`;
    }
    case 'program-failed':
      return `the option credentials failed: ${withoutLastDots(failure.cause)}. The program has to pass credentials, or a function that returns them`;
    case 'unexpected':
      return `${withoutLastDots(failure.cause)}.${NETWORK_ADVICE}`;
  }
}

function remedy(failure: Extract<CredentialFailure, { what: 'source-failed' }>): string {
  const { provider, profile, assumes, cause } = failure;
  const isRemote = provider !== 'process' && provider !== 'container' && provider !== 'instance';
  if (NETWORK.test(cause) && (isRemote || assumes)) return NETWORK_ADVICE;
  if (assumes && /AssumeRole/.test(cause)) return ' Check role_arn, and the trust policy of the role';
  const flag = profile === undefined || profile === 'default' ? '' : ` --profile ${quoted(profile)}`;
  switch (provider) {
    case 'sso':
      if (cause.includes('sso-session')) return ` Run 'aws configure sso${flag}' to set it up`;
      return SSO_SIGNED_OUT.test(cause)
        ? ` Run 'aws sso login${flag}' and try again`
        : ' Check sso_account_id and sso_role_name of the profile';
    case 'login':
      return ` Run 'aws login${flag}' and try again`;
    case 'process':
      return ' Run the credential_process of the profile in a terminal to see its output';
    case 'web-identity':
      return ' Check the web identity token file and the trust policy of the role';
    case 'container':
      return ' Check the container endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI) and the role of the task';
    case 'instance':
      return ' Check the role of the instance';
    case 'environment':
      return ' Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
    case 'static':
      return ` Check the settings of the profile, or run 'aws configure${flag}'`;
  }
}

const defectNote = (defects: readonly string[] = []): string =>
  defects.map((defect) => `; ${defect}`).join('');

const quoted = (name: string): string => (/^[\w@%+=:,./-]+$/.test(name) ? name : `"${name}"`);

/** Removes the SDK's advice to log in, which names no profile. Ours follows. */
const withoutAdvice = (cause: string): string =>
  cause
    .replace(/To refresh this SSO session run '?aws sso login'? with the corresponding profile\.?/, '')
    .replace(/[,.] please re-?authenticate using `?aws login`?/i, '');

/** A longer cause is cut. */
const MAX_CAUSE_CHARACTERS = 4_096;

/**
 * The SDK's message in one line. A JSON parser quotes its input, here credentials: the quotation is
 * removed.
 */
export function causeWithoutSecrets(text: string): string {
  return withProfileNames(text.slice(0, MAX_CAUSE_CHARACTERS))
    .replace(
      /Unexpected [\s\S]*?(is not valid JSON|in JSON at position \d+( \(line \d+ column \d+\))?)/g,
      'not valid JSON',
    )
    .replace(/\s+/g, ' ')
    .trim();
}

/** The error for calls of this profile. */
export const noCredentials = (profile: string | undefined, failure: CredentialFailure): ProxyError =>
  new ProxyError('no-credentials', credentialsMessage(profile, failure), {
    sent: 'no',
    details: { kind: failure.what === 'none' ? 'none' : 'failed', profile: profileLabel(profile) },
  });
