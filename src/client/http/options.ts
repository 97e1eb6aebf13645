import { flagOf, integer, list, type OptionValues, text, timeLimit, toggle } from '../../config/option.ts';
import {
  type ListenAddress,
  readAddress,
  readSocketAddress,
  type SocketAddress,
  urlHost,
} from '../../core/http/listen-address.ts';
import { isLoopback } from '../../core/http/loopback.ts';
import { forwardProblem } from './headers.ts';
import type { TlsPaths } from './tls-files.ts';
import { tlsOptions, tlsPaths, tlsProblems } from './tls-options.ts';
import { type ListenToken, loadTokens, secretProblem } from './token-file.ts';
import { type UserSettings, userOptions, userProblems, userSettings } from './users/options.ts';

const MIB = 1024 * 1024;

const originProblem = (value: string): string | undefined =>
  value === '*' || (URL.canParse(value) && new URL(value).origin === value.toLowerCase())
    ? undefined
    : `must name origins such as https://app.example.com, or *, not ${JSON.stringify(value)}`;

const hostProblem = (value: string): string | undefined =>
  value === '*' || /^(\[[0-9a-f:.]+\]|[^\s:/[\]@]+)(:\d{1,5})?$/i.test(value)
    ? undefined
    : `must name hosts such as mcp.example.com or 10.0.0.5:8080, or *, not ${JSON.stringify(value)}`;

function tokenFileProblem(path: string): string | undefined {
  const read = loadTokens(path);
  return 'problem' in read ? `cannot be used: ${read.problem}` : undefined;
}
/** Served beside MCP, without a token. */
const HEALTH_PATHS = ['/healthz', '/readyz'];

const pathProblem = (value: string): string | undefined =>
  /^\/(?:[\w.~!$&'()*+,;=:@%-]+\/?)*$/.test(value) && !HEALTH_PATHS.includes(value.replace(/\/$/, ''))
    ? undefined
    : 'must be a path such as /mcp, without query, and not /healthz or /readyz';

const readTarget = (value: string): ListenAddress | SocketAddress | undefined =>
  readSocketAddress(value) ?? readAddress(value);

export const listenerOptions = {
  listen: text({
    group: 'Listener',
    common: true,
    placeholder: 'host:port',
    fallback: undefined,
    check: (value) =>
      readTarget(value)
        ? undefined
        : 'must be host:port such as 127.0.0.1:8080, or unix:/absolute/path (on Windows \\\\.\\pipe\\name)',
    help: 'serve many clients over Streamable HTTP at http://host:port/mcp in place of stdio; port 0 = any free port; unix:/path = a unix socket of mode 0600, on Windows \\\\.\\pipe\\name = a named pipe',
  }),
  listenPath: text({
    group: 'Listener',
    placeholder: 'path',
    fallback: '/mcp',
    check: pathProblem,
    help: 'path at which --listen serves MCP, with and without a trailing slash',
  }),
  ...tlsOptions,
  stdio: toggle({
    group: 'Listener',
    help: 'serve stdio as well as --listen; the process ends when stdin ends',
  }),
  listenToken: list({
    group: 'Listener',
    placeholder: 'secret',
    // By commas too a secret would be cut.
    separator: 'entries',
    check: secretProblem,
    secrets: (value) => [{ start: 0, end: value.length, variable: 'MCP_PROXY_LISTEN_TOKEN' }],
    help: 'bearer token that clients of --listen must send; required unless --listen is a loopback address. The variable keeps the token out of process lists, the flag does not',
  }),
  listenTokenFile: text({
    group: 'Listener',
    placeholder: 'path',
    fallback: undefined,
    check: tokenFileProblem,
    help: 'file of further tokens for --listen, one name=secret per line, read again when the file changes; logs and limits use the names',
  }),
  ...userOptions,
  allowedHost: list({
    group: 'Listener',
    placeholder: 'host',
    separator: 'words',
    defaultText: 'loopback names and the host of --listen',
    check: hostProblem,
    help: 'Host header that --listen accepts in addition to the default, with or without port; * = any',
  }),
  allowedOrigin: list({
    group: 'Listener',
    placeholder: 'origin',
    separator: 'words',
    defaultText: 'pages on loopback addresses',
    check: originProblem,
    help: 'origin of web pages that may use --listen in addition to the default, such as https://app.example.com; * = any',
  }),
  forwardHeader: list({
    group: 'Listener',
    placeholder: 'name',
    separator: 'words',
    defaultText: 'headers of MCP, traceparent, tracestate, baggage',
    check: forwardProblem,
    help: 'header passed between clients of --listen and the server, in both directions and in addition to the default; never a header that the proxy owns',
  }),
  maxClients: integer({
    group: 'Listener',
    placeholder: 'n',
    min: 1,
    max: 65_536,
    fallback: 1_024,
    help: 'maximum number of client connections, and of requests in flight, at --listen; further ones are answered with 503',
  }),
  maxClientsPerAddress: integer({
    group: 'Listener',
    placeholder: 'n',
    min: 1,
    max: 65_536,
    fallback: undefined,
    defaultText: 'three quarters of --max-clients; the value of --max-clients for loopback addresses',
    help: 'maximum number of connections to --listen from one address (IPv6: from one /64). Behind a load balancer all clients have one address: set the value of --max-clients',
  }),
  maxStreams: integer({
    group: 'Listener',
    placeholder: 'n',
    min: 1,
    max: 65_536,
    fallback: 512,
    help: 'maximum number of open GET streams and subscriptions at --listen; further ones are answered with 503',
  }),
  maxBody: integer({
    group: 'Listener',
    placeholder: 'bytes',
    min: 1_024,
    max: 256 * MIB,
    fallback: 16 * MIB,
    help: 'longest request body that --listen accepts; a longer body is answered with 413',
  }),
  maxHeaders: integer({
    group: 'Listener',
    placeholder: 'bytes',
    min: 4_096,
    max: MIB,
    fallback: 16 * 1_024,
    help: 'longest request head that --listen accepts; a longer head is answered with 431',
  }),
  sseKeepalive: timeLimit({
    group: 'Listener',
    fallback: 25,
    help: 'send a comment on an event stream of --listen after each silence of this length, so that load balancers keep the stream open; 0 = never',
  }),
  drainDelay: timeLimit({
    group: 'Listener',
    fallback: 0,
    help: 'time after SIGTERM in which --listen answers /readyz with 503 and still serves requests, so that load balancers route requests elsewhere before the listener drains',
  }),
  readyCheck: text({
    group: 'Listener',
    placeholder: 'what',
    choices: ['credentials', 'endpoint'],
    fallback: 'credentials',
    help: 'what /readyz of --listen and --status checks. credentials: AWS credentials can be obtained; endpoint: the endpoint can be reached as well',
  }),
} as const;

export type ListenerValues = OptionValues<typeof listenerOptions>;

/** How the listener listens. */
export interface ListenerSettings {
  readonly address: ListenAddress | SocketAddress;
  /** Undefined: plain HTTP. */
  readonly tls: TlsPaths | undefined;
  /** The tokens of --listen-token. */
  readonly tokens: readonly ListenToken[];
  readonly tokenFile: string | undefined;
  /** Undefined without --listen-issuer. */
  readonly users: UserSettings | undefined;
  /** The file of --identity-map. */
  readonly identityMap: string | undefined;
  /** Beside the loopback names. */
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** Names in lower case, beside those that always pass. */
  readonly forwardedHeaders: ReadonlySet<string>;
  readonly maxClients: number;
  /** Undefined: as the kind of the address has it. */
  readonly maxClientsPerAddress: number | undefined;
  readonly maxStreams: number;
  readonly maxBodyBytes: number;
  readonly maxHeaderBytes: number;
  /** Where MCP is served, without a slash at its end. */
  readonly path: string;
  /** Milliseconds between the signal to leave and draining. */
  readonly drainDelayMs: number;
}

/** Undefined without --listen. Pure. */
export function listenerOf(values: ListenerValues): ListenerSettings | undefined {
  const address = values.listen === undefined ? undefined : readTarget(values.listen);
  if (!address) return undefined;
  return {
    address,
    tls: tlsPaths(values),
    tokens: [...new Set(values.listenToken)].map((secret, index) => ({
      name: index === 0 ? 'listen-token' : `listen-token-${index + 1}`,
      secret,
    })),
    tokenFile: values.listenTokenFile,
    users: userSettings(values),
    identityMap: values.identityMap,
    allowedHosts: [...ownNames(address), ...values.allowedHost.map((name) => name.toLowerCase())],
    allowedOrigins: values.allowedOrigin.map((origin) => origin.toLowerCase()),
    forwardedHeaders: new Set(values.forwardHeader.map((name) => name.toLowerCase())),
    maxClients: values.maxClients,
    maxClientsPerAddress: values.maxClientsPerAddress,
    maxStreams: values.maxStreams,
    maxBodyBytes: values.maxBody,
    maxHeaderBytes: values.maxHeaders,
    drainDelayMs: values.drainDelay * 1_000,
    path: values.listenPath.replace(/\/$/, ''),
  };
}

/** The host of the address; --allowed-host names those of a wildcard address. */
function ownNames(address: ListenAddress | SocketAddress): string[] {
  if ('socketPath' in address || ['0.0.0.0', '::'].includes(address.host)) return [];
  return [urlHost(address.host)];
}

export interface ListenerChoices {
  /** The flag or variable that each option was given by; absent for defaults. */
  readonly from: Readonly<Partial<Record<string, string>>>;
  readonly profiles: number;
  /** Options that a client on stdio alone can feel. */
  readonly forStdio: readonly string[];
}

/**
 * The flags and variables that count for a listener: a shell may have its variables while it runs
 * another command, which does not listen.
 */
export function listeningSources(
  { listen }: Pick<ListenerValues, 'listen'>,
  from: Readonly<Record<string, string>>,
  command: string | undefined,
): Readonly<Record<string, string>> {
  if (command === undefined || listen !== undefined) return from;
  return Object.fromEntries(Object.entries(from).filter(([, given]) => given.startsWith('--')));
}

/**
 * Returns the problems of the options taken together, with the names that were used. Reads the
 * files of TLS.
 */
export function listenerProblems(
  values: ListenerValues,
  { from, profiles, forStdio }: ListenerChoices,
): string[] {
  const nameOf = (key: string): string => from[key] ?? flagOf(key);
  if (values.listen === undefined) {
    const idle = Object.keys(listenerOptions).filter((key) => key !== 'stdio' && from[key] !== undefined);
    return idle.map((key) => `${nameOf(key)} needs --listen`);
  }
  const problems: string[] = [];
  const address = readAddress(values.listen);
  const hasTokens = values.listenToken.length > 0 || values.listenTokenFile !== undefined;
  const authenticates = hasTokens || values.listenIssuer !== undefined || values.listenClientCa !== undefined;
  if (address && !isLoopback(address.host) && !authenticates) {
    problems.push(
      `${nameOf('listen')} ${values.listen} can be reached from other machines, whose requests would be signed with your AWS credentials: set --listen-token (or MCP_PROXY_LISTEN_TOKEN), --listen-token-file, --listen-issuer or --listen-client-ca, or listen on 127.0.0.1`,
    );
  }
  problems.push(...tlsProblems(values, from, Date.now()), ...userProblems(values, from, hasTokens));
  if (readSocketAddress(values.listen) && values.listenTlsCert !== undefined) {
    problems.push(
      `${nameOf('listenTlsCert')} has no meaning with a unix socket, whose bytes no network carries: remove it, or listen on host:port`,
    );
  }
  if (profiles > 1 && values.identityMap !== undefined) {
    problems.push(
      `${nameOf('profile')} must name one profile together with ${nameOf('identityMap')}, whose rules name the profiles of users`,
    );
  }
  if (!values.stdio) {
    for (const key of forStdio.filter((name) => from[name] !== undefined)) {
      problems.push(
        `${nameOf(key)} has a meaning on stdio only: clients of --listen keep their own sessions (--stdio serves stdio as well)`,
      );
    }
  }
  return problems;
}
