import type { CredentialRefusal } from '../authorizer.ts';
import type { AuthKind } from '../kinds.ts';
import { challengesIn } from '../www-authenticate.ts';

/** The kinds that `--auth auto` may derive. */
export type DerivedKind = Extract<AuthKind, 'sigv4' | 'sigv4a' | 'oauth' | 'bearer'>;

/** The settings that decide between kinds which a server does not distinguish. */
export interface KindSettings {
  /** True if one of the --bearer options is given. */
  readonly hasToken: boolean;
  /** The kind of AWS signatures that the settings allow, or why they allow none. */
  readonly signing: { readonly kind: 'sigv4' | 'sigv4a' } | { readonly problems: readonly string[] };
}

/** The derived kind with its evidence, or an error text; undefined if the refusal shows no kind. */
export type Derivation =
  | { readonly kind: DerivedKind; readonly because: string }
  | { readonly problem: string }
  | undefined;

const CHOICE = 'Choose one with --auth sigv4, sigv4a, oauth or bearer.';
/** Characters of a scheme in an error: a server may send any text. */
const MAX_SCHEME_CHARACTERS = 40;

/** Derives the kind of authentication from the refusal of a request without credentials. Pure. */
export function deriveKind(refusal: CredentialRefusal, settings: KindSettings, host: string): Derivation {
  const { status, kind, message, challenge } = refusal;
  if ((status !== 401 && status !== 403) || kind === 'foreign-page' || kind === 'turned-away')
    return undefined;
  const schemes = [...new Set(challengesIn(challenge).map(({ scheme }) => scheme))];
  const takesToken = schemes.includes('bearer');
  const signature = schemes.find((scheme) => scheme.startsWith('aws4-'));
  if (takesToken && signature !== undefined)
    return {
      problem: `--auth auto cannot choose: the server at ${host} accepts several kinds of authentication (HTTP ${status}, ${schemes.map(shown).join(', ')}). ${CHOICE}`,
    };
  if (takesToken)
    return {
      kind: settings.hasToken ? 'bearer' : 'oauth',
      because: `HTTP ${status} with a Bearer challenge`,
    };
  if (signature !== undefined) return signing(settings, `HTTP ${status} with the scheme ${shown(signature)}`);
  const awsError = awsErrorIn(refusal);
  if (awsError !== undefined) return signing(settings, `HTTP ${status} with the AWS error ${awsError}`);
  const [scheme] = schemes;
  if (scheme !== undefined)
    return {
      problem: `The server at ${host} requires the authentication scheme ${shown(scheme)} (HTTP ${status}), which --auth auto does not support: use --auth none, and set the header with --header.`,
    };
  const said = message === '' ? '' : ` The server said: ${message}`;
  return {
    problem: `--auth auto cannot derive the kind of authentication: the answer of ${host} (HTTP ${status}) names none. ${CHOICE}${said}`,
  };
}

function signing({ signing: allowed }: KindSettings, because: string): Derivation {
  if ('kind' in allowed) return { kind: allowed.kind, because };
  return {
    problem: `The server requires AWS signatures (${because}), which cannot be made: ${allowed.problems.join('; ')}.`,
  };
}

/** The name of the AWS error; undefined for an answer that does not come from AWS. */
function awsErrorIn({ kind, message, errorType = '' }: CredentialRefusal): string | undefined {
  const [type = ''] = errorType.split(':', 1);
  if (/^[A-Za-z]{1,80}$/.test(type)) return type;
  if (kind === 'unsigned') return 'MissingAuthenticationToken';
  return kind === 'denied' && /not authorized to perform: [\w-]+:\w/.test(message)
    ? 'AccessDenied'
    : undefined;
}

const shown = (scheme: string): string => scheme.slice(0, MAX_SCHEME_CHARACTERS);
