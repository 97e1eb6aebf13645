import { isRegionName } from '../auth/region-name.ts';
import type { SigningScope } from '../auth/signing.ts';
import { isLoopback } from '../core/http/loopback.ts';

/** The AWS MCP Server, which most people mean: where requests go unless an endpoint is given. */
export const DEFAULT_ENDPOINT = 'https://aws-mcp.us-east-1.api.aws/mcp';

/**
 * Suffixes under which AWS names its hosts `<...>.<service>.<region>.<suffix>`, all partitions;
 * longest match first.
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
 * Host label -> signing name, where the two differ. A map: the label is any word of a URL,
 * `constructor` too.
 */
const SIGNING_NAMES: ReadonlyMap<string, string> = new Map([
  ['lambda-url', 'lambda'],
  ['aos', 'es'],
  ['appsync-api', 'appsync'],
  ['bedrock-agentcore-control', 'bedrock-agentcore'],
  ['bedrock-runtime', 'bedrock'],
  ['bedrock-agent-runtime', 'bedrock'],
]);

/**
 * Under these labels AWS names load balancers and machines of its customers, who check no
 * signature.
 */
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

/** How the regions of each partition but the first begin. */
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

/** Where a service of AWS itself stands in a region: `sts.eu-west-1.amazonaws.com`. */
export function hostOfService(service: string, region: string): string {
  return `${service}.${region}.${PARTITION_SUFFIXES[partitionOf(region)]}`;
}

/** The partition of a region; `aws` where no prefix says otherwise. */
const partitionOf = (region: string): string =>
  PARTITION_REGIONS.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'aws';

/**
 * What a host name tells about how to sign for it. Suffixes match on dot boundaries, so that
 * `api.aws.example.com` is no AWS host. Nothing is guessed: an unknown host tells nothing.
 */
export function scopeOfHost(hostname: string): Partial<SigningScope> {
  const host = hostname.toLowerCase().replace(/\.$/, '');
  const suffix = AWS_SUFFIXES.find((candidate) => host.endsWith(`.${candidate}`));
  if (!suffix) return {};
  // `dualstack` and `fips` say how a host is reached, and nothing of the service.
  const labels = host
    .slice(0, -suffix.length - 1)
    .split('.')
    .filter((label) => label !== 'dualstack' && label !== 'fips');
  const last = labels.at(-1) ?? '';
  const before = labels.at(-2) ?? '';
  // `<service>.global.api.aws` has no region of its own to sign for;
  // `<domain>.<region>.es.amazonaws.com` has it in front.
  const region = [last, before].find(isRegionName);
  const label = region === last || last === 'global' ? before : last;
  const name = label.replace(/^fips-|-fips$/g, '');
  if (!name || CUSTOMER_HOSTS.has(name)) return {};
  const service = SIGNING_NAMES.get(name) ?? name;
  return region === undefined ? { service } : { service, region };
}

const AGENT_CORE = 'bedrock-agentcore';

/**
 * True where Amazon Bedrock AgentCore serves, by the host's name or by the service that requests
 * are signed for.
 */
export const isAgentCore = (endpoint: URL, service: string | undefined): boolean =>
  service === AGENT_CORE || scopeOfHost(endpoint.hostname).service === AGENT_CORE;

const GATEWAY_HOST = /^[^.]+\.gateway\./;
/**
 * A gateway's session ends so long after `initialize`, whatever its activity, unless the gateway is
 * configured otherwise.
 */
const GATEWAY_SESSION_S = 3_600;
/**
 * The gateway's clock starts before its answer arrives here, and the last call in the session takes
 * its time.
 */
const GATEWAY_MARGIN_S = 60;

/**
 * Seconds after which a session at this endpoint must have been replaced; undefined where the
 * server names no limit. Pure.
 */
export function sessionLifetimeAt({ hostname }: URL): number | undefined {
  const isGateway = GATEWAY_HOST.test(hostname) && scopeOfHost(hostname).service === AGENT_CORE;
  return isGateway ? GATEWAY_SESSION_S - GATEWAY_MARGIN_S : undefined;
}

const AGENTCORE_ARN = /^arn:(aws[a-z-]*):bedrock-agentcore:([a-z0-9-]+):(\d{12}):(runtime|gateway)\/(\S+)$/;
const RUNTIME = /^([^/]+)(?:\/runtime-endpoint\/([^/]+))?$/;
/** The id of a gateway, `name-0123456789`, is the first label of its host name. */
const GATEWAY_ID = /^(?=.{3,63}$)[a-z0-9][a-z0-9-]*-[a-z0-9]+$/i;

/**
 * Where requests go; or what an endpoint must be, as a phrase that begins with "must", and what was
 * probably meant.
 */
export type ReadEndpoint = { readonly url: URL } | { readonly problem: string; readonly meant?: string };

/**
 * Reads the endpoint: an https URL, http for loopback only, or the ARN of an AgentCore runtime or
 * gateway. The scheme is judged before anything else and whatever other options say, because a
 * signed request over http hands its session token to the network.
 */
export function readEndpoint(text: string): ReadEndpoint {
  if (text.startsWith('arn:')) return readArn(text);
  // To a URL parser, `localhost:3000` has the scheme "localhost:".
  const [, bareHost] = /^([\w.-]+)(?::\d+)?(?:[/?]|$)/.exec(text) ?? [];
  if (bareHost !== undefined || !URL.canParse(text)) {
    // A word without a dot is no host that somebody forgot the scheme of.
    const isHost = bareHost !== undefined && (bareHost.includes('.') || isLoopback(bareHost));
    const problem = 'must be an https URL or the ARN of an AgentCore runtime or gateway';
    return isHost ? { problem, meant: `${isLoopback(bareHost) ? 'http' : 'https'}://${text}` } : { problem };
  }
  const url = new URL(text);
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return {
      problem:
        'must use https: http would send signed requests in the clear, and is for loopback addresses only',
    };
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return { problem: 'must start with https://' };
  }
  if (url.username || url.password) {
    return { problem: 'must not hold a user name or password: requests are signed with AWS credentials' };
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
