import { list, text, toggle } from '../core/options.ts';

const name = (what: string) => (value: string) =>
  /^[A-Za-z0-9_-]+$/.test(value) ? undefined : `must be ${what}: letters, digits, - and _ only`;

export const awsOptions = {
  service: text({
    group: 'Endpoint and signing',
    placeholder: 'name',
    fallback: undefined,
    defaultText: 'from the host',
    check: name('a signing name such as bedrock-agentcore'),
    help: 'service name to sign for',
  }),
  region: text({
    group: 'Endpoint and signing',
    placeholder: 'region',
    fallback: undefined,
    defaultText: 'from the host, then AWS_REGION, AWS_DEFAULT_REGION, the profile',
    check: name('a region such as us-east-1'),
    help: 'region to sign for',
  }),
  profile: list({
    group: 'Endpoint and signing',
    placeholder: 'name',
    separator: 'words',
    env: ['AWS_MCP_PROXY_PROFILES', 'AWS_PROFILE'],
    defaultText: 'AWS_PROFILE',
    help: 'AWS profile whose credentials sign the requests',
  }),
  skipAuth: toggle({
    group: 'Endpoint and signing',
    help: 'send unsigned where there are no credentials at all (a provider that fails is still an error)',
  }),
  auth: text({
    group: 'Endpoint and signing',
    placeholder: 'kind',
    choices: ['sigv4', 'none'],
    fallback: 'sigv4',
    help: 'how requests are authenticated; none = never sign',
  }),
} as const;
