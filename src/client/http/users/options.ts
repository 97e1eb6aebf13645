import { flagOf, list, type OptionValues, text } from '../../../config/option.ts';
import { isLoopback } from '../../../core/http/loopback.ts';

/** RFC 8414: https, without query and fragment. Loopback may use http, for tests. */
function issuerProblem(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  return isSafe && !/[?#\s]/.test(value) && url?.username === '' && url.password === ''
    ? undefined
    : 'must be an https URL without login, query and fragment, such as https://auth.example.com (http for loopback addresses only)';
}

/** RFC 6749, 3.3. */
const scopeProblem = (value: string): string | undefined =>
  /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)
    ? undefined
    : 'must name scopes in printable ASCII, without blanks, quotes and backslashes';

export const userOptions = {
  listenIssuer: text({
    group: 'Listener',
    placeholder: 'url',
    fallback: undefined,
    check: issuerProblem,
    help: 'authorization server whose access tokens (JWTs) clients of --listen must present; its metadata and keys are read when the first token arrives, and again while the listener runs. Tokens of --listen-token and --listen-token-file stay valid',
  }),
  listenAudience: list({
    group: 'Listener',
    placeholder: 'uri',
    separator: 'words',
    help: 'audience that access tokens of --listen-issuer must name; of several audiences, at least one. Usually the URL at which clients reach the listener, which its protected resource metadata then contains. For tokens of Amazon Cognito, which have no audience: the client id',
  }),
  listenScope: list({
    group: 'Listener',
    placeholder: 'scope',
    separator: 'words',
    check: scopeProblem,
    help: 'scope that access tokens of --listen-issuer must contain; of several scopes, each one. The protected resource metadata names the required scopes',
  }),
  identityMap: text({
    group: 'Listener',
    placeholder: 'path',
    fallback: undefined,
    help: 'JSON file with comments that maps each token or user of --listen to a profile, a role and its limits; users without a rule have no access. Read again when it changes',
  }),
} as const;

export type UserValues = OptionValues<typeof userOptions>;

/** The access tokens that the listener accepts. */
export interface UserSettings {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
}

/** Undefined without --listen-issuer. Pure. */
export const userSettings = ({
  listenIssuer: issuer,
  listenAudience: audiences,
  listenScope: scopes,
}: UserValues): UserSettings | undefined =>
  issuer === undefined ? undefined : { issuer, audiences, scopes };

/** Returns the problems of these options taken together. Pure. */
export function userProblems(
  { listenIssuer, listenAudience, identityMap }: UserValues,
  from: Readonly<Partial<Record<string, string>>>,
  hasTokens: boolean,
): string[] {
  if (identityMap !== undefined && listenIssuer === undefined && !hasTokens) {
    const name = from.identityMap ?? flagOf('identityMap');
    return [
      `${name} needs users with names: set ${flagOf('listenIssuer')}, ${flagOf('listenTokenFile')} or ${flagOf('listenToken')}`,
    ];
  }
  const needing = [from.listenAudience, from.listenScope].filter((name) => name !== undefined);
  if (listenIssuer === undefined) {
    return needing.map((name) => `${name} needs ${flagOf('listenIssuer')}, the issuer of the access tokens`);
  }
  if (listenAudience.length > 0) return [];
  return [
    `${from.listenIssuer ?? flagOf('listenIssuer')} needs ${flagOf('listenAudience')}: without it, tokens that were issued for other servers would be accepted`,
  ];
}

/** Checks the file of --identity-map. Its reader is loaded only with this option. */
export async function identityMapProblems(path: string | undefined, from = ''): Promise<string[]> {
  if (path === undefined) return [];
  const { loadIdentityMap } = await import('./identity-map.ts');
  const read = loadIdentityMap(path);
  return 'problem' in read ? [`${from} cannot be used: ${read.problem}`] : [];
}
