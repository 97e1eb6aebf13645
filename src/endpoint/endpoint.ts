import { isRegionName } from '../auth/region-name.ts';
import type { SigningScope } from '../auth/signing.ts';
import { isLoopback } from '../core/http/loopback.ts';

/** The AWS MCP Server: the endpoint if none is given. */
export const DEFAULT_ENDPOINT = 'https://aws-mcp.us-east-1.api.aws/mcp';

/**
 * The suffixes of AWS host names `<...>.<service>.<region>.<suffix>` in all partitions, longest
 * first.
 */
const AWS_SUFFIXES = [
  'vpce.amazonaws.com.cn',
  'vpce.amazonaws.com',
  'vpce.amazonaws.eu',
  'amazonaws.com.cn',
  'amazonaws.com',
  'amazonaws.eu',
  'api.amazonwebservices.com.cn',
  'on.amazonwebservices.com.cn',
  'api.amazonwebservices.eu',
  'on.amazonwebservices.eu',
  'api.aws',
  'on.aws',
  'vpce.c2s.ic.gov',
  'vpce.sc2s.sgov.gov',
  'vpce.cloud.adc-e.uk',
  'vpce.csp.hci.ic.gov',
  'api.aws.ic.gov',
  'api.aws.scloud',
  'api.cloud-aws.adc-e.uk',
  'api.aws.hci.ic.gov',
  'c2s.ic.gov',
  'sc2s.sgov.gov',
  'cloud.adc-e.uk',
  'csp.hci.ic.gov',
] as const;

/**
 * Host labels whose signing name differs. A Map, because a label may be any word, `constructor`
 * included.
 */
const SIGNING_NAMES: ReadonlyMap<string, string> = new Map([
  ['lambda-url', 'lambda'],
  ['aos', 'es'],
  ['appsync-api', 'appsync'],
  ['bedrock-agentcore-control', 'bedrock-agentcore'],
  ['bedrock-runtime', 'bedrock'],
  ['bedrock-agent-runtime', 'bedrock'],
]);

/** Labels of load balancers and machines of AWS customers, which check no signature. */
const CUSTOMER_HOSTS: ReadonlySet<string> = new Set(['elb', 'compute', 'compute-1']);

const PARTITION_SUFFIXES: Readonly<Record<string, string>> = {
  aws: 'amazonaws.com',
  'aws-us-gov': 'amazonaws.com',
  'aws-cn': 'amazonaws.com.cn',
  'aws-eusc': 'amazonaws.eu',
  'aws-iso': 'c2s.ic.gov',
  'aws-iso-b': 'sc2s.sgov.gov',
  'aws-iso-e': 'cloud.adc-e.uk',
  'aws-iso-f': 'csp.hci.ic.gov',
};

/** The prefixes of the regions of all partitions but the first. */
const PARTITION_REGIONS: readonly (readonly [prefix: string, partition: string])[] = [
  ['cn-', 'aws-cn'],
  ['us-gov-', 'aws-us-gov'],
  ['eusc-', 'aws-eusc'],
  ['us-iso-', 'aws-iso'],
  ['us-isob-', 'aws-iso-b'],
  ['eu-isoe-', 'aws-iso-e'],
  ['us-isof-', 'aws-iso-f'],
  ['eu-isof-', 'aws-iso-f'],
];

/** The host of an AWS service in a region: `sts.eu-west-1.amazonaws.com`. */
export function hostOfService(service: string, region: string): string {
  return `${service}.${region}.${PARTITION_SUFFIXES[partitionOf(region)]}`;
}

/** The partition of a region; `aws` without a known prefix. */
const partitionOf = (region: string): string =>
  PARTITION_REGIONS.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'aws';

/**
 * The service and region in a host name. Suffixes match at dots: `api.aws.example.com` is not an
 * AWS host. Nothing is guessed: an unknown host has neither.
 */
export function scopeOfHost(hostname: string): Partial<SigningScope> {
  const host = hostname.toLowerCase().replace(/\.$/, '');
  const suffix = AWS_SUFFIXES.find((candidate) => host.endsWith(`.${candidate}`));
  if (!suffix) return {};
  // `dualstack` and `fips` concern the network, not the service.
  const labels = host
    .slice(0, -suffix.length - 1)
    .split('.')
    .filter((label) => label !== 'dualstack' && label !== 'fips');
  const last = labels.at(-1) ?? '';
  const before = labels.at(-2) ?? '';
  // `<service>.global.api.aws` has no region; `<domain>.<region>.es.amazonaws.com` has it before
  // the service.
  const region = [last, before].find(isRegionName);
  const label = region === last || last === 'global' ? before : last;
  const name = label.replace(/^fips-|-fips$/g, '');
  if (!name || CUSTOMER_HOSTS.has(name)) return {};
  const service = SIGNING_NAMES.get(name) ?? name;
  return region === undefined ? { service } : { service, region };
}

const AGENT_CORE = 'bedrock-agentcore';

/** True for Amazon Bedrock AgentCore, by the host or by the service of the signature. */
export const isAgentCore = (endpoint: URL, service: string | undefined): boolean =>
  service === AGENT_CORE || scopeOfHost(endpoint.hostname).service === AGENT_CORE;

const GATEWAY_HOST = /^[^.]+\.gateway\./;
/** AgentCore gateways end a session this long after `initialize`, unless configured otherwise. */
const GATEWAY_SESSION_S = 3_600;
/** The clock of the gateway starts before its answer arrives, and the last call takes time. */
const GATEWAY_MARGIN_S = 60;

/** Seconds after which a session must be replaced; undefined if the server has no limit. Pure. */
export function sessionLifetimeAt({ hostname }: URL): number | undefined {
  const isGateway = GATEWAY_HOST.test(hostname) && scopeOfHost(hostname).service === AGENT_CORE;
  return isGateway ? GATEWAY_SESSION_S - GATEWAY_MARGIN_S : undefined;
}

const AGENTCORE_ARN = /^arn:(aws[a-z-]*):bedrock-agentcore:([a-z0-9-]+):(\d{12}):(runtime|gateway)\/(\S+)$/;
const RUNTIME = /^([^/]+)(?:\/runtime-endpoint\/([^/]+))?$/;
/** The id of a gateway, `name-0123456789`, is the first label of its host name. */
const GATEWAY_ID = /^(?=.{3,63}$)[a-z0-9][a-z0-9-]*-[a-z0-9]+$/i;

/** The URL for requests; or a problem that begins with "must", and a suggestion. */
export type ReadEndpoint = { readonly url: URL } | { readonly problem: string; readonly meant?: string };

/**
 * Reads an https URL (http for loopback only), or the ARN of an AgentCore runtime or gateway. The
 * scheme is checked whatever other options say: http would reveal the session token.
 */
export function readEndpoint(text: string): ReadEndpoint {
  if (text.startsWith('arn:')) return readArn(text);
  // To a URL parser, `localhost:3000` has the scheme "localhost:".
  const [, bareHost] = /^([\w.-]+)(?::\d+)?(?:[/?]|$)/.exec(text) ?? [];
  if (bareHost !== undefined || !URL.canParse(text)) {
    // A word without a dot is not a host without its scheme.
    const isHost = bareHost !== undefined && (bareHost.includes('.') || isLoopback(bareHost));
    const problem = 'must be an https URL or the ARN of an AgentCore runtime or gateway';
    return isHost ? { problem, meant: `${isLoopback(bareHost) ? 'http' : 'https'}://${text}` } : { problem };
  }
  const url = new URL(text);
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return {
      problem:
        'must use https: http sends signed requests unencrypted, and is allowed for loopback addresses only',
    };
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return { problem: 'must start with https://' };
  }
  if (url.username || url.password) {
    return { problem: 'must not contain a user name or password: requests are signed with AWS credentials' };
  }
  url.hash = '';
  return { url };
}

function readArn(arn: string): ReadEndpoint {
  const [, partition = '', region = '', account, kind, rest = ''] = AGENTCORE_ARN.exec(arn) ?? [];
  const suffix = PARTITION_SUFFIXES[partition];
  const isWhole = suffix !== undefined && isRegionName(region) && partitionOf(region) === partition;
  if (isWhole && kind === 'gateway' && GATEWAY_ID.test(rest)) {
    return { url: new URL(`https://${rest}.gateway.bedrock-agentcore.${region}.${suffix}/mcp`) };
  }
  const [, name, qualifier = 'DEFAULT'] = RUNTIME.exec(rest) ?? [];
  if (!isWhole || kind !== 'runtime' || !name) {
    return {
      problem:
        'must be the ARN of an AgentCore runtime or gateway, such as arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/name-AbCdEf1234',
    };
  }
  const runtime = `arn:${partition}:bedrock-agentcore:${region}:${account}:runtime/${name}`;
  const path = `/runtimes/${encodeURIComponent(runtime)}/invocations?qualifier=${encodeURIComponent(qualifier)}`;
  return { url: new URL(`https://bedrock-agentcore.${region}.${suffix}${path}`) };
}
