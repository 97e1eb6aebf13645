import { describe, expect, it } from 'vitest';
import {
  DEFAULT_ENDPOINT,
  hostOfService,
  isAgentCore,
  readEndpoint,
  scopeOfHost,
  sessionLifetimeAt,
} from '../../src/endpoint/endpoint.ts';

const scope = (service: string, region?: string) =>
  region === undefined ? { service } : { service, region };

describe('the scope of a host', () => {
  it.each([
    ['aws-mcp.us-east-1.api.aws', scope('aws-mcp', 'us-east-1')],
    ['aws-mcp.eu-central-1.api.aws', scope('aws-mcp', 'eu-central-1')],
    ['eks-mcp.us-west-2.api.aws', scope('eks-mcp', 'us-west-2')],
    ['ecs-mcp.ap-southeast-2.api.aws', scope('ecs-mcp', 'ap-southeast-2')],
    ['bedrock-agentcore.us-east-1.amazonaws.com', scope('bedrock-agentcore', 'us-east-1')],
    ['gw-1.gateway.bedrock-agentcore.eu-west-1.amazonaws.com', scope('bedrock-agentcore', 'eu-west-1')],
    ['vpce-1.bedrock-agentcore.us-east-1.vpce.amazonaws.com', scope('bedrock-agentcore', 'us-east-1')],
    ['runtime.bedrock-agentcore.us-east-1.api.aws', scope('bedrock-agentcore', 'us-east-1')],
    ['abc123.lambda-url.eu-north-1.on.aws', scope('lambda', 'eu-north-1')],
    ['a1b2c3.execute-api.us-east-1.amazonaws.com', scope('execute-api', 'us-east-1')],
    ['a1-vpce-0f.execute-api.us-east-1.amazonaws.com', scope('execute-api', 'us-east-1')],
    ['svc-0f.7d67.vpc-lattice-svcs.us-west-2.on.aws', scope('vpc-lattice-svcs', 'us-west-2')],
  ])('the scope of the host %s is known', (host, expected) => {
    expect(scopeOfHost(host)).toEqual(expected);
  });

  it.each([
    ['bedrock-agentcore-fips.us-gov-west-1.amazonaws.com', scope('bedrock-agentcore', 'us-gov-west-1')],
    ['gw-1.gateway.bedrock-agentcore-fips.us-east-1.amazonaws.com', scope('bedrock-agentcore', 'us-east-1')],
    [
      'gw-1.gateway.bedrock-agentcore.dualstack.us-east-1.amazonaws.com',
      scope('bedrock-agentcore', 'us-east-1'),
    ],
    ['gw-1.gateway.bedrock-agentcore.us-east-1.api.aws', scope('bedrock-agentcore', 'us-east-1')],
    [
      'vpce-1-x.gateway.bedrock-agentcore.us-east-1.vpce.amazonaws.com',
      scope('bedrock-agentcore', 'us-east-1'),
    ],
    ['aws-mcp-fips.us-east-1.api.aws', scope('aws-mcp', 'us-east-1')],
    ['a1.execute-api-fips.us-gov-west-1.amazonaws.com', scope('execute-api', 'us-gov-west-1')],
    ['a1.execute-api-fips.dualstack.us-east-1.amazonaws.com', scope('execute-api', 'us-east-1')],
    ['a1.execute-api.fips.us-east-1.amazonaws.com', scope('execute-api', 'us-east-1')],
    ['abc.lambda-url-fips.us-east-1.on.aws', scope('lambda', 'us-east-1')],
    ['svc-0f.7d67.vpc-lattice-svcs-fips.us-west-2.on.aws', scope('vpc-lattice-svcs', 'us-west-2')],
    ['search-a.us-east-1.es.amazonaws.com', scope('es', 'us-east-1')],
    ['search-a.aos.us-east-1.on.aws', scope('es', 'us-east-1')],
    ['abc.us-east-1.aoss.amazonaws.com', scope('aoss', 'us-east-1')],
    ['abc.aoss.us-east-1.on.aws', scope('aoss', 'us-east-1')],
    ['runtime.sagemaker.us-east-1.amazonaws.com', scope('sagemaker', 'us-east-1')],
    ['abc.appsync-api.us-east-1.amazonaws.com', scope('appsync', 'us-east-1')],
    ['bedrock-runtime-fips.us-east-1.amazonaws.com', scope('bedrock', 'us-east-1')],
    ['constructor.us-east-1.api.aws', scope('constructor', 'us-east-1')],
    ['__proto__.us-east-1.api.aws', scope('__proto__', 'us-east-1')],
  ])(
    'the scope of a host is found with dualstack, fips, and the region before or after the service: %s',
    (host, expected) => {
      expect(scopeOfHost(host)).toEqual(expected);
    },
  );

  it.each([
    ['bedrock-agentcore.us-gov-west-1.amazonaws.com', scope('bedrock-agentcore', 'us-gov-west-1')],
    ['a1.execute-api.cn-north-1.amazonaws.com.cn', scope('execute-api', 'cn-north-1')],
    [
      'x.bedrock-agentcore.cn-northwest-1.vpce.amazonaws.com.cn',
      scope('bedrock-agentcore', 'cn-northwest-1'),
    ],
    ['aws-mcp.cn-north-1.api.amazonwebservices.com.cn', scope('aws-mcp', 'cn-north-1')],
    ['abc.lambda-url.cn-north-1.on.amazonwebservices.com.cn', scope('lambda', 'cn-north-1')],
    ['bedrock-agentcore.eusc-de-east-1.amazonaws.eu', scope('bedrock-agentcore', 'eusc-de-east-1')],
    ['aws-mcp.eusc-de-east-1.api.amazonwebservices.eu', scope('aws-mcp', 'eusc-de-east-1')],
    ['abc.lambda-url.eusc-de-east-1.on.amazonwebservices.eu', scope('lambda', 'eusc-de-east-1')],
    ['a1.execute-api.us-iso-east-1.c2s.ic.gov', scope('execute-api', 'us-iso-east-1')],
    ['a1.execute-api.us-isob-east-1.sc2s.sgov.gov', scope('execute-api', 'us-isob-east-1')],
    ['a1.execute-api.eu-isoe-west-1.cloud.adc-e.uk', scope('execute-api', 'eu-isoe-west-1')],
    ['a1.execute-api.us-isof-south-1.csp.hci.ic.gov', scope('execute-api', 'us-isof-south-1')],
  ])('the scope of a host is found in every partition: %s', (host, expected) => {
    expect(scopeOfHost(host)).toEqual(expected);
  });

  it.each([
    ['knowledge-mcp.global.api.aws', scope('knowledge-mcp')],
    ['sts.amazonaws.com', scope('sts')],
    ['AWS-MCP.US-East-1.API.AWS', scope('aws-mcp', 'us-east-1')],
    ['aws-mcp.us-east-1.api.aws.', scope('aws-mcp', 'us-east-1')],
  ])(
    'the scope of a host is found without a region, in capitals, or with a final dot: %s',
    (host, expected) => {
      expect(scopeOfHost(host)).toEqual(expected);
    },
  );

  it.each([
    ['evilapi.aws'],
    ['aws-mcp.us-east-1.evilapi.aws'],
    ['api.aws.example.com'],
    ['aws-mcp.us-east-1.api.aws.example.com'],
    ['bedrock-agentcore.us-east-1.amazonaws.com.evil.net'],
    ['notamazonaws.com'],
    ['us-east-1.amazonaws.com'],
    ['amazonaws.com'],
    ['api.aws'],
    ['my-alb-1.us-east-1.elb.amazonaws.com'],
    ['my-nlb-1.elb.us-east-1.amazonaws.com'],
    ['ec2-1-2-3-4.us-west-2.compute.amazonaws.com'],
    ['ec2-1-2-3-4.compute-1.amazonaws.com'],
    ['dualstack.us-east-1.amazonaws.com'],
    ['mcp.example.com'],
    ['localhost'],
    ['127.0.0.1'],
    ['[::1]'],
    [''],
  ])('the scope of a host is not guessed for %s', (host) => {
    expect(scopeOfHost(host)).toEqual({});
  });
});

const hrefOf = (text: string): string => {
  const read = readEndpoint(text);
  return 'url' in read ? read.url.href : `problem: ${read.problem}`;
};

describe('a valid endpoint', () => {
  it.each([
    [DEFAULT_ENDPOINT, 'https://aws-mcp.us-east-1.api.aws/mcp'],
    ['https://example.com', 'https://example.com/'],
    ['https://example.com:8443/a%2Fb?x=1&y#part', 'https://example.com:8443/a%2Fb?x=1&y'],
    ['HTTPS://Example.com/MCP', 'https://example.com/MCP'],
    ['http://localhost:3000/mcp', 'http://localhost:3000/mcp'],
    ['http://127.0.0.1:3000/mcp', 'http://127.0.0.1:3000/mcp'],
    ['http://127.8.9.10/', 'http://127.8.9.10/'],
    ['http://[::1]:3000/mcp', 'http://[::1]:3000/mcp'],
  ])('the URL %s is a valid endpoint', (text, href) => {
    expect(hrefOf(text)).toBe(href);
  });

  const runtime = (partition: string, region: string) =>
    `arn:${partition}:bedrock-agentcore:${region}:123456789012:runtime/my_mcp-AbCdEf1234`;
  const invocations = (partition: string, region: string, suffix: string, qualifier: string) =>
    `https://bedrock-agentcore.${region}.${suffix}/runtimes/arn%3A${partition}%3Abedrock-agentcore%3A${region}` +
    `%3A123456789012%3Aruntime%2Fmy_mcp-AbCdEf1234/invocations?qualifier=${qualifier}`;

  it.each([
    ['aws', 'us-east-1', 'amazonaws.com'],
    ['aws-us-gov', 'us-gov-west-1', 'amazonaws.com'],
    ['aws-cn', 'cn-north-1', 'amazonaws.com.cn'],
    ['aws-eusc', 'eusc-de-east-1', 'amazonaws.eu'],
    ['aws-iso', 'us-iso-east-1', 'c2s.ic.gov'],
    ['aws-iso-b', 'us-isob-east-1', 'sc2s.sgov.gov'],
    ['aws-iso-e', 'eu-isoe-west-1', 'cloud.adc-e.uk'],
    ['aws-iso-f', 'us-isof-south-1', 'csp.hci.ic.gov'],
  ])('the ARN of an AgentCore runtime in %s is a valid endpoint', (partition, region, suffix) => {
    expect(hrefOf(runtime(partition, region))).toBe(invocations(partition, region, suffix, 'DEFAULT'));
    expect(hrefOf(`${runtime(partition, region)}/runtime-endpoint/prod`)).toBe(
      invocations(partition, region, suffix, 'prod'),
    );
  });

  it.each([
    ['aws', 'us-east-1', 'amazonaws.com'],
    ['aws-us-gov', 'us-gov-west-1', 'amazonaws.com'],
    ['aws-cn', 'cn-north-1', 'amazonaws.com.cn'],
  ])('the ARN of an AgentCore gateway in %s is a valid endpoint', (partition, region, suffix) => {
    const arn = `arn:${partition}:bedrock-agentcore:${region}:123456789012:gateway/my-gw-abcdef1234`;
    expect(hrefOf(arn)).toBe(`https://my-gw-abcdef1234.gateway.bedrock-agentcore.${region}.${suffix}/mcp`);
    const read = readEndpoint(arn);
    expect('url' in read && scopeOfHost(read.url.hostname)).toEqual({ service: 'bedrock-agentcore', region });
  });

  it.each([
    'arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/evil.example.com/x',
    'arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/a@b',
    'arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/',
    'arn:aws:bedrock-agentcore:cn-north-1:123456789012:gateway/gw-1',
    'arn:aws-cn:bedrock-agentcore:us-east-1:123456789012:runtime/x',
    'arn:aws:bedrock-agentcore:nowhere:123456789012:runtime/x',
  ])('the ARN %s is not a valid endpoint, because it leads to another host', (arn) => {
    expect(hrefOf(arn)).toMatch(/^problem: must be the ARN of an AgentCore runtime or gateway/);
  });

  it('an endpoint given as an ARN has a host with service and region', () => {
    const read = readEndpoint(runtime('aws', 'us-east-1'));
    expect('url' in read && scopeOfHost(read.url.hostname)).toEqual({
      service: 'bedrock-agentcore',
      region: 'us-east-1',
    });
  });

  it.each([
    ['http://example.com/mcp', /must use https: http sends signed requests unencrypted/],
    ['http://aws-mcp.us-east-1.api.aws/mcp', /must use https/],
    ['http://localhost.example.com/', /must use https/],
    ['http://127.0.0.1.nip.io/', /must use https/],
    ['http://0.0.0.0/', /must use https/],
    ['http://10.0.0.1/', /must use https/],
    ['ftp://example.com/', /must start with https:\/\/$/],
    ['file:///etc/passwd', /must start with https:\/\/$/],
    ['javascript:alert(1)', /must start with https:\/\//],
    ['https://user:secret@example.com/', /must not contain a user name or password/],
    ['https://', /must be an https URL or the ARN/],
    ['', /must be an https URL or the ARN/],
    ['nonsense with blanks', /must be an https URL or the ARN/],
    [
      'arn:aws:s3:::bucket',
      /must be the ARN of an AgentCore runtime or gateway, such as arn:aws:bedrock-agentcore:/,
    ],
    [
      'arn:aws-mars:bedrock-agentcore:us-east-1:123456789012:runtime/x',
      /must be the ARN of an AgentCore runtime/,
    ],
    ['arn:aws:bedrock-agentcore:evil.com/:123456789012:runtime/x', /must be the ARN of an AgentCore runtime/],
    ['arn:aws:bedrock-agentcore:us-east-1:123:runtime/x', /must be the ARN of an AgentCore runtime/],
    ['arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/', /must be the ARN of an AgentCore runtime/],
    ['arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/x', /must be the ARN of an AgentCore runtime/],
  ])('the text %s is never a valid endpoint', (text, problem) => {
    const read = readEndpoint(text);
    expect('problem' in read ? read.problem : read.url.href).toMatch(problem);
  });
});

describe('an endpoint without its scheme', () => {
  it.each([
    ['example.com/mcp', 'https://example.com/mcp'],
    ['example.com:8443/mcp', 'https://example.com:8443/mcp'],
    ['localhost:3000/mcp', 'http://localhost:3000/mcp'],
    ['127.0.0.1:3000', 'http://127.0.0.1:3000'],
    ['nonsense', undefined],
    ['https', undefined],
  ])('the endpoint %s without a scheme gets the suggestion %s', (text, meant) => {
    expect(readEndpoint(text)).toEqual({
      problem: 'must be an https URL or the ARN of an AgentCore runtime or gateway',
      ...(meant && { meant }),
    });
  });
});

describe('the host of an AWS service', () => {
  it.each([
    ['eu-west-1', 'sts.eu-west-1.amazonaws.com'],
    ['us-gov-west-1', 'sts.us-gov-west-1.amazonaws.com'],
    ['cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'],
    ['eusc-de-east-1', 'sts.eusc-de-east-1.amazonaws.eu'],
    ['us-iso-east-1', 'sts.us-iso-east-1.c2s.ic.gov'],
    ['us-isob-east-1', 'sts.us-isob-east-1.sc2s.sgov.gov'],
    ['eu-isoe-west-1', 'sts.eu-isoe-west-1.cloud.adc-e.uk'],
    ['us-isof-south-1', 'sts.us-isof-south-1.csp.hci.ic.gov'],
  ])('the host of an AWS service has the suffix of the partition of %s', (region, host) => {
    expect(hostOfService('sts', region)).toBe(host);
  });
});

describe('isAgentCore', () => {
  const arn = readEndpoint('arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/name-AbCdEf1234');
  const urlOf = (text: string): URL => new URL(text);
  it.each<[what: string, endpoint: URL, service: string | undefined, serves: boolean]>([
    ['the ARN of a runtime', 'url' in arn ? arn.url : urlOf('https://unread'), undefined, true],
    [
      'a runtime',
      urlOf('https://bedrock-agentcore.us-east-1.amazonaws.com/runtimes/x/invocations'),
      '',
      true,
    ],
    [
      'a gateway',
      urlOf('https://g-1.gateway.bedrock-agentcore.us-east-1.amazonaws.com/mcp'),
      undefined,
      true,
    ],
    ['any host, by the service', urlOf('http://127.0.0.1:3000/mcp'), 'bedrock-agentcore', true],
    ['another AWS service', urlOf('https://id.lambda-url.us-east-1.on.aws/'), 'lambda', false],
    ['a similar host', urlOf('https://bedrock-agentcore.example.com/'), undefined, false],
  ])('isAgentCore decides for %s', (_what, endpoint, service, serves) => {
    expect(isAgentCore(endpoint, service)).toBe(serves);
  });
});

describe('the session lifetime at an endpoint', () => {
  it.each([
    ['https://g-1.gateway.bedrock-agentcore.us-east-1.amazonaws.com/mcp', 3_540],
    ['https://g-1.gateway.bedrock-agentcore.cn-north-1.amazonaws.com.cn/mcp', 3_540],
    ['https://bedrock-agentcore.us-east-1.amazonaws.com/runtimes/x/invocations', undefined],
    ['https://gateway.example.com/mcp', undefined],
    ['https://g-1.gateway.bedrock-agentcore.example.com/mcp', undefined],
  ])('the session lifetime at %s is %s seconds', (endpoint, seconds) => {
    expect(sessionLifetimeAt(new URL(endpoint))).toBe(seconds);
  });
});
