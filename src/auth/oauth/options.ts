import { flagOf, list, text } from '../../config/option.ts';
import { isLoopback } from '../../core/http/loopback.ts';
import { DEFAULT_REDIRECT_URI } from './oauth-settings.ts';

const group = 'Endpoint and signing';

/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

function issuerProblem(value: string): string | undefined {
  const problem = 'must be an https URL, or an http URL on this machine, without query and fragment';
  if (!URL.canParse(value)) return problem;
  const { protocol, hostname, search, hash } = new URL(value);
  const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
  return isSafe && search === '' && hash === '' ? undefined : problem;
}

function redirectProblem(value: string): string | undefined {
  const problem = `must be an http URL on this machine, such as ${DEFAULT_REDIRECT_URI} or http://localhost:8976/callback`;
  if (!URL.canParse(value)) return problem;
  const { protocol, hostname, search, hash } = new URL(value);
  return protocol === 'http:' && isLoopback(hostname) && search === '' && hash === '' ? undefined : problem;
}

export const oauthOptions = {
  oauthClientId: text({
    group,
    placeholder: 'id',
    fallback: undefined,
    defaultText: 'the proxy registers itself at the authorization server',
    check: (value) =>
      /^[\x21-\x7e]{1,2048}$/.test(value) ? undefined : 'must be 1 to 2048 characters without blanks',
    help: 'client id for --auth oauth, or the https URL of a client id metadata document, which is used where the authorization server supports such documents',
  }),
  oauthClientSecretEnv: text({
    group,
    placeholder: 'name',
    fallback: undefined,
    needs: 'oauthClientId',
    check: (value) =>
      /^[A-Za-z_]\w*$/.test(value)
        ? undefined
        : 'must be the name of an environment variable, not the secret itself',
    help: 'name of the environment variable with the client secret for --auth oauth',
  }),
  oauthPrivateKey: text({
    group,
    placeholder: 'file',
    fallback: undefined,
    needs: 'oauthClientId',
    help: 'file with the private key (PEM, PKCS #8) with which the client authenticates (private_key_jwt), for --auth oauth',
  }),
  oauthScope: list({
    group,
    placeholder: 'scope',
    separator: 'words',
    defaultText: 'the scopes that the server requests',
    check: (value) =>
      SCOPE.test(value) ? undefined : 'must be a scope: printable characters without blank, " and \\',
    help: 'scope to request with --auth oauth; scopes that the server requests later are added',
  }),
  oauthIssuer: text({
    group,
    placeholder: 'url',
    fallback: undefined,
    defaultText: 'the one that the server names',
    check: issuerProblem,
    help: 'the only authorization server that --auth oauth may use; required with a client secret',
  }),
  oauthFlow: text({
    group,
    placeholder: 'flow',
    choices: ['code', 'client-credentials', 'device'],
    fallback: 'code',
    help: 'how --auth oauth obtains tokens: code = login in a browser, device = login in a browser of another device, client-credentials = no login, the client itself is authorized',
  }),
  oauthRedirectUri: text({
    group,
    placeholder: 'url',
    fallback: DEFAULT_REDIRECT_URI,
    check: redirectProblem,
    help: 'URL that the browser returns to after the login; without a port, a free port is used. Must be a URL that is registered for --oauth-client-id',
  }),
  oauthStore: text({
    group,
    placeholder: 'place',
    choices: ['auto', 'keychain', 'file'],
    fallback: 'auto',
    help: 'where the tokens of a login are stored: in the keychain of the system, which needs the package @napi-rs/keyring beside the proxy, or in a file that only the user can read; auto = the keychain if it can be used',
  }),
} as const;

/** The problems of the OAuth options with each other. */
export function oauthProblems(
  values: {
    readonly auth: string;
    readonly oauthFlow: string;
    readonly oauthClientId: string | undefined;
    readonly oauthClientSecretEnv: string | undefined;
    readonly oauthPrivateKey: string | undefined;
    readonly oauthIssuer: string | undefined;
  },
  from: Readonly<Record<string, string>>,
): string[] {
  const { auth, oauthFlow, oauthClientId, oauthClientSecretEnv, oauthPrivateKey, oauthIssuer } = values;
  if (auth !== 'oauth' && auth !== 'auto') {
    return Object.keys(oauthOptions).flatMap((key) =>
      from[key] === undefined ? [] : [`${from[key]} needs ${flagOf('auth')} oauth`],
    );
  }
  const problems: string[] = [];
  if (oauthClientSecretEnv !== undefined && oauthPrivateKey !== undefined)
    problems.push(
      `${from.oauthPrivateKey ?? flagOf('oauthPrivateKey')} and ${from.oauthClientSecretEnv ?? flagOf('oauthClientSecretEnv')} exclude each other: a client authenticates in one way`,
    );
  const secret = oauthPrivateKey === undefined ? 'oauthClientSecretEnv' : 'oauthPrivateKey';
  const hasSecret = oauthClientSecretEnv !== undefined || oauthPrivateKey !== undefined;
  if (hasSecret && oauthClientId === undefined)
    problems.push(`${from[secret] ?? flagOf(secret)} needs ${flagOf('oauthClientId')}`);
  if (oauthFlow === 'client-credentials' && !hasSecret)
    problems.push(
      `${from.oauthFlow ?? flagOf('oauthFlow')} client-credentials needs ${flagOf('oauthClientId')}, and ${flagOf('oauthClientSecretEnv')} or ${flagOf('oauthPrivateKey')}`,
    );
  if (oauthClientSecretEnv !== undefined && oauthIssuer === undefined)
    problems.push(
      `${from[secret] ?? flagOf(secret)} needs ${flagOf('oauthIssuer')}: otherwise the MCP server decides who receives the secret`,
    );
  return problems;
}
