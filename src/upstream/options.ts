import { decimal, integer, list, text, timeLimit } from '../config/option.ts';
import { placeholderIn, placeholderProblem } from '../config/placeholders.ts';
import { type Secret, secretsOfUrl, variableName } from '../config/secrets.ts';
import { isLoopback } from '../core/http/loopback.ts';
import { isAgentCore } from '../endpoint/endpoint.ts';
import { readConnectAddress } from './http/connect.ts';
import { bundleProblem } from './http/trust.ts';

/**
 * Headers that the proxy sets per request; a second value would break the signature or the
 * protocol.
 */
const PROXY_HEADERS =
  /^(host|content-type|content-length|content-encoding|transfer-encoding|accept|connection|keep-alive|upgrade|te|trailer|expect|user-agent|last-event-id|x-amz-.*|mcp-(?!session-id$).*|proxy-.*)$/i;

/** Also `${env:NAME}`: some clients pass it on unexpanded. */
const VARIABLE = /\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}/;
const EVERY_VARIABLE = new RegExp(VARIABLE, 'g');

export function headerProblem(entry: string): string | undefined {
  const [, name = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):/.exec(entry) ?? [];
  // Only the first word: the rest may be secret.
  if (!name) return `must be "name: value", not "${entry.trim().split(/[\s:=]/, 1)[0]}..."`;
  if (PROXY_HEADERS.test(name)) return `must not set ${name}: the proxy owns that header`;
  return undefined;
}

/**
 * AgentCore Runtime routes by the session id and lets the client choose it; elsewhere the server
 * chooses it.
 */
export function sessionHeaderProblems(
  headers: Readonly<Record<string, string>>,
  endpoint: URL,
  service: string | undefined,
  from: string,
): string[] {
  if (headers['mcp-session-id'] === undefined || isAgentCore(endpoint, service)) return [];
  return [
    `${from} must not set mcp-session-id: the proxy owns that header, except at Amazon Bedrock AgentCore`,
  ];
}

/** The whole value, unless it names environment variables: the rest of it is not secret then. */
function headerSecrets(entry: string): Secret[] {
  const [, head = '', value = ''] = /^([^:]*:\s*)([\s\S]*)$/.exec(entry) ?? [];
  if (value === '' || VARIABLE.test(value)) return [];
  return [{ start: head.length, end: entry.length, variable: variableName(head) }];
}

export const upstreamOptions = {
  header: list({
    group: 'Endpoint and signing',
    common: true,
    placeholder: 'name: value',
    separator: 'entries',
    expands: true,
    check: headerProblem,
    secrets: headerSecrets,
    help: `header sent with every request, not signed; \${NAME} is replaced by the environment variable NAME`,
  }),
  caBundle: text({
    group: 'Endpoint and signing',
    placeholder: 'file',
    fallback: undefined,
    defaultText: "AWS_CA_BUNDLE, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, the profile's ca_bundle",
    check: bundleProblem,
    help: 'PEM file with the certificates to trust, for the endpoint and for credential requests',
  }),
  proxy: text({
    group: 'Endpoint and signing',
    placeholder: 'url',
    fallback: undefined,
    defaultText: 'HTTPS_PROXY, HTTP_PROXY, NO_PROXY',
    check: (value) =>
      URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
        ? undefined
        : 'must be an http:// or https:// URL',
    secrets: (value) => secretsOfUrl(value, 'PROXY_PASSWORD'),
    help: 'URL of an HTTP proxy; loopback addresses are always reached directly',
  }),
  userAgent: text({
    group: 'Endpoint and signing',
    placeholder: 'suffix',
    fallback: undefined,
    check: (value) => (/^[\x20-\x7e]+$/.test(value) ? undefined : 'must be printable ASCII'),
    help: 'text added to the User-Agent header',
  }),
  maxConnections: integer({
    group: 'Connections',
    common: true,
    placeholder: 'n',
    min: 1,
    fallback: 5,
    help: 'maximum number of connections for requests; further requests wait in order',
  }),
  maxKeepaliveConnections: integer({
    group: 'Connections',
    placeholder: 'n',
    min: 0,
    fallback: undefined,
    defaultText: '1, or the value of --max-connections if given',
    help: 'maximum number of idle connections kept open between calls',
  }),
  keepaliveTimeout: decimal({
    group: 'Connections',
    placeholder: 's',
    min: 0,
    above: true,
    fallback: 30,
    help: 'how long an idle connection stays open; a shorter Keep-Alive hint of the server wins',
  }),
  connectionLifetime: decimal({
    group: 'Connections',
    placeholder: 's',
    min: 0,
    fallback: 0,
    help: 'age at which a connection is closed after its current response, so that DNS is resolved again; 0 = no limit',
  }),
  connectTo: text({
    group: 'Connections',
    placeholder: 'host:port',
    fallback: undefined,
    check: (value) =>
      readConnectAddress(value)
        ? undefined
        : 'must be host:port, or [IPv6 address]:port, with a port from 1 to 65535',
    help: "address to connect to in place of the endpoint's host; URL, Host header, TLS server name and signature keep the endpoint (for VPC endpoints, SSM and SSH tunnels)",
  }),
  transport: text({
    group: 'Connections',
    placeholder: 'kind',
    choices: ['auto', 'http', 'sse'],
    fallback: 'auto',
    help: 'transport of the server: http = Streamable HTTP, sse = HTTP+SSE of revision 2024-11-05, auto = Streamable HTTP, or HTTP+SSE if the server refuses the POST of initialize as the specification describes',
  }),
  connectTimeout: timeLimit({
    group: 'Time limits',
    fallback: 10,
    help: 'time limit for opening a connection, including HTTP proxy and TLS; 0 = no limit',
  }),
  readTimeout: timeLimit({
    group: 'Time limits',
    fallback: 0,
    help: 'longest pause within one response; 0 = no limit',
  }),
} as const;

/**
 * Returns the problems of --connect-to with this endpoint.
 * @param from - the flag or variable that the value came from.
 */
export function connectToProblems(connectTo: string | undefined, endpoint: URL, from: string): string[] {
  const host = connectTo === undefined ? undefined : readConnectAddress(connectTo)?.host;
  // http is allowed on loopback only, where no one else can read the requests.
  if (host === undefined || endpoint.protocol === 'https:' || isLoopback(host)) return [];
  return [
    `${from} must name a loopback host where the endpoint is an http:// URL, not ${JSON.stringify(connectTo)}: use an https:// endpoint`,
  ];
}

/**
 * Reads `name: value` entries, with `${NAME}` replaced from the environment.
 * @returns the headers, and a phrase per variable that is not set.
 */
export function readHeaders(
  entries: readonly string[],
  env: NodeJS.ProcessEnv,
): { headers: Record<string, string>; problems: string[] } {
  const headers: Record<string, string> = {};
  const problems: string[] = [];
  for (const entry of entries) {
    const at = entry.indexOf(':');
    const name = entry.slice(0, at).toLowerCase();
    const value = entry
      .slice(at + 1)
      .trim()
      .replace(EVERY_VARIABLE, (_whole, variable: string) => {
        const found = Object.hasOwn(env, variable) ? env[variable] : undefined;
        const placeholder = placeholderIn(found ?? '');
        if (!found) problems.push(`names the environment variable ${variable}, which is not set`);
        else if (placeholder !== undefined)
          problems.push(
            `names the environment variable ${variable}, which ${placeholderProblem(placeholder)}`,
          );
        return found ?? '';
      });
    const other = placeholderIn(entry.replace(EVERY_VARIABLE, ''));
    if (other !== undefined)
      problems.push(`holds ${other}, which names no environment variable: write \${NAME}`);
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
      problems.push(`has a value for ${name} that no header can carry`);
    headers[name] = value;
  }
  return { headers, problems };
}
