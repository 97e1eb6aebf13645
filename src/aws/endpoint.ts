import { isLoopback } from '../core/loopback.ts';
import type { SigningScope } from './sigv4.ts';

/** The AWS MCP Server, which most people mean: where requests go unless an endpoint is given. */
export const DEFAULT_ENDPOINT = 'https://aws-mcp.us-east-1.api.aws/mcp';

/** Suffixes under which AWS names its hosts `<...>.<service>.<region>.<suffix>`, all partitions; longest match first. */
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
  'c2s.ic.gov',
  'sc2s.sgov.gov',
  'cloud.adc-e.uk',
  'csp.hci.ic.gov',
] as const;

/** Host label -> signing name, where the two differ. */
const SIGNING_NAMES: Readonly<Record<string, string>> = { 'lambda-url': 'lambda' };

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
  const [, partition = 'aws'] = PARTITION_REGIONS.find(([prefix]) => region.startsWith(prefix)) ?? [];
  return `${service}.${region}.${PARTITION_SUFFIXES[partition]}`;
}

const REGION = /^[a-z]{2,5}(-[a-z]+)+-\d+$/;

/**
 * What a host name tells about how to sign for it. Suffixes match on dot boundaries, so that
 * `api.aws.example.com` is no AWS host. Nothing is guessed: an unknown host tells nothing.
 */
export function scopeOfHost(hostname: string): Partial<SigningScope> {
  const host = hostname.toLowerCase().replace(/\.$/, '');
  const suffix = AWS_SUFFIXES.find((candidate) => host.endsWith(`.${candidate}`));
  if (!suffix) return {};
  const labels = host.slice(0, -suffix.length - 1).split('.');
  const last = labels.at(-1) ?? '';
  // `<service>.global.api.aws` has no region of its own to sign for.
  const regional = REGION.test(last);
  const name = regional || last === 'global' ? labels.at(-2) : last;
  if (!name) return {};
  const service = SIGNING_NAMES[name] ?? name;
  return regional ? { service, region: last } : { service };
}

const RUNTIME_ARN =
  /^arn:(aws[a-z-]*):bedrock-agentcore:([a-z0-9-]+):(\d{12}):runtime\/([^/\s]+)(?:\/runtime-endpoint\/([^/\s]+))?$/;

/** Where requests go; or what an endpoint must be, as a phrase that begins with "must", and what was probably meant. */
export type ReadEndpoint = { readonly url: URL } | { readonly problem: string; readonly meant?: string };

/**
 * Reads the endpoint: an https URL, http for loopback only, or the ARN of an AgentCore runtime. The scheme is judged before
 * anything else and whatever other options say, because a signed request over http hands its session token to the network.
 */
export function readEndpoint(text: string): ReadEndpoint {
  if (text.startsWith('arn:')) return readArn(text);
  // To a URL parser, `localhost:3000` has the scheme "localhost:".
  const [, bareHost] = /^([\w.-]+)(?::\d+)?(?:[/?]|$)/.exec(text) ?? [];
  if (bareHost !== undefined || !URL.canParse(text)) {
    // A word without a dot is no host that somebody forgot the scheme of.
    const isHost = bareHost !== undefined && (bareHost.includes('.') || isLoopback(bareHost));
    const problem = 'must be an https URL or the ARN of an AgentCore runtime';
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
  const [, partition = '', region = '', account, name, qualifier = 'DEFAULT'] = RUNTIME_ARN.exec(arn) ?? [];
  const suffix = PARTITION_SUFFIXES[partition];
  if (!suffix || !name) {
    return {
      problem:
        'must be the ARN of an AgentCore runtime, such as arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/name-AbCdEf1234',
    };
  }
  const runtime = `arn:${partition}:bedrock-agentcore:${region}:${account}:runtime/${name}`;
  const path = `/runtimes/${encodeURIComponent(runtime)}/invocations?qualifier=${encodeURIComponent(qualifier)}`;
  return { url: new URL(`https://bedrock-agentcore.${region}.${suffix}${path}`) };
}
