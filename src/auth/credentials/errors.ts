import { shownProfiles } from './files.ts';
import type { SourceKind } from './plan.ts';
import { withProfileNames } from './profile-alias.ts';

/** Why there are no credentials, as far as it decides what to tell a person. */
export type CredentialFailure =
  | {
      readonly what: 'unknown-profile';
      /** Empty for the asked profile itself, else the profile whose `source_profile` names it. */
      readonly namedBy?: string | undefined;
      readonly missing: string;
      readonly configFile: string;
      readonly known: readonly string[];
      readonly faults: readonly string[];
    }
  | { readonly what: 'none'; readonly faults: readonly string[] }
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
      readonly source: SourceKind;
      /** The profile to log in with: the end of a chain of roles, not its start. */
      readonly profile: string | undefined;
      /** True where roles are assumed on top of the source. */
      readonly assumes: boolean;
      readonly cause: string;
    }
  | {
      /** The profile has credentials; the role that is asked for over them cannot be had. */
      readonly what: 'role-failed';
      readonly roleArn: string;
      readonly externalId: boolean;
      readonly cause: string;
    }
  | { readonly what: 'unexpected'; readonly cause: string };

const SSO_SIGNED_OUT =
  /expired|invalid|was not found|could not be found or is|unauthorized|session token|Cannot refresh/i;

const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|certificate|socket hang up|requestTimeout/i;
const NETWORK_ADVICE =
  ' Check that STS, SSO and sign-in can be reached from here: network, HTTPS_PROXY, NO_PROXY, CA bundle';

/** How the profile is called in texts and events. */
export const profileLabel = (profile: string | undefined): string => profile ?? 'default chain';

/** The failure as one text for a person: which profile, what went wrong, what to do. */
export function adviceFor(profile: string | undefined, failure: CredentialFailure): string {
  const subject =
    profile === undefined
      ? 'No AWS credentials (default chain)'
      : `No AWS credentials for profile '${profile}'`;
  return `${subject}: ${tell(profile, failure)}`;
}

function tell(profile: string | undefined, failure: CredentialFailure): string {
  switch (failure.what) {
    case 'unknown-profile': {
      const by = failure.namedBy === undefined ? '' : ` (the source_profile of '${failure.namedBy}')`;
      const known =
        failure.known.length === 0 ? 'it has no profiles' : `known profiles: ${shownProfiles(failure.known)}`;
      const remedy =
        failure.namedBy === undefined
          ? `Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile ${quoted(failure.missing)}'`
          : 'Correct that line';
      return `profile '${failure.missing}'${by} is not in ${failure.configFile}; ${known}${faultNote(failure.faults)}. ${remedy}`;
    }
    case 'none':
      return profile === undefined
        ? `nothing found in the environment, the shared files, a container or an instance${faultNote(failure.faults)}. ` +
            'Set AWS_PROFILE or pass --profile. MCP clients start servers with a stripped environment (HOME, PATH and little ' +
            'else), so variables of your shell must be repeated in the "env" block of the client\'s configuration'
        : `the profile names no source of credentials, and there is no container or instance to ask${faultNote(failure.faults)}. ` +
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
        "protocol. Run 'aws sts get-session-token' with the code and put the result into a profile of its own, or use a " +
        'credential_process that caches an MFA session'
      );
    case 'cycle':
      return `source_profile goes round in a circle (${failure.profiles.join(' -> ')}). Edit the profiles so that one holds credentials`;
    case 'source-failed':
      return `${withoutEnd(withoutAdvice(failure.cause))}.${remedy(failure)}`;
    case 'role-failed': {
      const { roleArn, externalId, cause } = failure;
      if (NETWORK.test(cause))
        return `the role ${roleArn} cannot be assumed: ${withoutEnd(cause)}.${NETWORK_ADVICE}`;
      const check = /expired/i.test(cause)
        ? ' The credentials that it is assumed with have expired: log in again'
        : ` Check that --role-arn is right, that these credentials may call sts:AssumeRole on it, and that its trust policy lets them${externalId ? ' with this --external-id' : ' (it may ask for an --external-id)'}`;
      return `the role ${roleArn} cannot be assumed: ${withoutEnd(cause)}.${check}`;
    }
    case 'unexpected':
      return `${withoutEnd(failure.cause)}.${NETWORK_ADVICE}`;
  }
}

function remedy({
  source,
  profile,
  assumes,
  cause,
}: Extract<CredentialFailure, { what: 'source-failed' }>): string {
  const isRemote = source !== 'process' && source !== 'container' && source !== 'instance';
  if (NETWORK.test(cause) && (isRemote || assumes)) return NETWORK_ADVICE;
  if (assumes && /AssumeRole/.test(cause)) return ' Check role_arn, and the trust policy of the role';
  const flag = profile === undefined || profile === 'default' ? '' : ` --profile ${quoted(profile)}`;
  switch (source) {
    case 'sso':
      if (cause.includes('sso-session')) return ` Run 'aws configure sso${flag}' to set it up`;
      return SSO_SIGNED_OUT.test(cause)
        ? ` Run 'aws sso login${flag}' and try again`
        : ' Check sso_account_id and sso_role_name of the profile';
    case 'login':
      return ` Run 'aws login${flag}' and try again`;
    case 'process':
      return ' Run the credential_process of the profile in a terminal to see what it says';
    case 'web-identity':
      return ' Check the web identity token file and the trust policy of the role';
    case 'container':
      return ' Check AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and the role of the task';
    case 'instance':
      return ' Check the role of the instance';
    case 'environment':
      return ' Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
    case 'static':
    case 'unclear':
      return ` Check the settings of the profile, or run 'aws configure${flag}'`;
  }
}

const faultNote = (faults: readonly string[]): string => faults.map((fault) => `; ${fault}`).join('');

const quoted = (name: string): string => (/^[\w@%+=:,./-]+$/.test(name) ? name : `"${name}"`);

/** The SDK's own advice to log in names no profile, and ours follows. */
const withoutAdvice = (cause: string): string =>
  cause
    .replace(/To refresh this SSO session run '?aws sso login'? with the corresponding profile\.?/, '')
    .replace(/[,.] please re-?authenticate using `?aws login`?/i, '');

const withoutEnd = (text: string): string => text.replace(/[\s.]+$/, '');

/**
 * The cause as the SDK says it, in one line. A parser's complaint quotes what it read, and what is
 * read here are credentials: of such a text only the fact is kept.
 */
export function causeWithoutSecrets(text: string): string {
  return withProfileNames(text)
    .replace(
      /Unexpected [\s\S]*?(is not valid JSON|in JSON at position \d+( \(line \d+ column \d+\))?)/g,
      'not valid JSON',
    )
    .replace(/\s+/g, ' ')
    .trim();
}
