import { flagOf, list, text, toggle } from '../config/option.ts';
import { isRegionName, regionProblem } from './region-name.ts';

const name = (what: string) => (value: string) =>
  /^[A-Za-z0-9_-]+$/.test(value) ? undefined : `must be ${what}: letters, digits, - and _ only`;

export const awsOptions = {
  service: text({
    group: 'Endpoint and signing',
    common: true,
    placeholder: 'name',
    fallback: undefined,
    defaultText: 'from the host',
    check: name('a signing name such as bedrock-agentcore'),
    help: 'AWS service name in the signature',
  }),
  region: text({
    group: 'Endpoint and signing',
    common: true,
    placeholder: 'region',
    fallback: undefined,
    defaultText: 'from the host, then AWS_REGION, AWS_DEFAULT_REGION, the profile',
    check: regionProblem,
    help: 'AWS region in the signature',
  }),
  regionSet: list({
    group: 'Endpoint and signing',
    placeholder: 'region',
    separator: 'words',
    defaultText: '*',
    check: (value) =>
      isRegionName(value) || /^[a-z0-9-]*\*$/.test(value)
        ? undefined
        : `must name regions such as us-east-1, us-* or *, not ${JSON.stringify(value)}`,
    help: 'AWS regions in which the signatures of --auth sigv4a are valid; * at the end of a name matches any ending',
  }),
  profile: list({
    group: 'Endpoint and signing',
    common: true,
    placeholder: 'name',
    separator: 'words',
    env: ['AWS_MCP_PROXY_PROFILES'],
    singleEnv: ['AWS_PROFILE'],
    defaultText: 'AWS_PROFILE, read as one name',
    help: 'AWS profile whose credentials sign the requests. With several, the first is the default, and a call may name another. Quote a name with blanks, unless a profile of exactly this name exists',
  }),
  roleArn: text({
    group: 'Endpoint and signing',
    placeholder: 'arn',
    fallback: undefined,
    check: (value) =>
      /^arn:aws[a-z-]*:iam::\d{12}:role\/\S+$/.test(value)
        ? undefined
        : 'must be the ARN of a role, such as arn:aws:iam::123456789012:role/name',
    help: "role to assume with the credentials of each --profile; only the role's credentials sign requests",
  }),
  roleSessionName: text({
    group: 'Endpoint and signing',
    placeholder: 'name',
    fallback: undefined,
    defaultText: 'AWS_ROLE_SESSION_NAME, or a name that stays the same while the process runs',
    check: (value) =>
      /^[\w+=,.@-]{2,64}$/.test(value)
        ? undefined
        : 'must be 2 to 64 characters: letters, digits, and any of _ + = , . @ -',
    help: 'session name for --role-arn, visible to the server and in CloudTrail',
  }),
  externalId: text({
    group: 'Endpoint and signing',
    placeholder: 'id',
    fallback: undefined,
    check: (value) =>
      /^[\w+=,.@:/-]{2,1224}$/.test(value)
        ? undefined
        : 'must be 2 to 1224 characters: letters, digits, and any of _ + = , . @ : / -',
    help: 'external id for --role-arn, if the trust policy of the role requires one',
  }),
  skipAuth: toggle({
    group: 'Endpoint and signing',
    help: 'send requests unsigned if no credentials are configured; a credential provider that fails is still an error',
  }),
  auth: text({
    group: 'Endpoint and signing',
    placeholder: 'kind',
    choices: ['sigv4', 'sigv4a', 'oauth', 'bearer', 'auto', 'none'],
    fallback: 'sigv4',
    help: 'how requests are authenticated: sigv4 = signed with AWS credentials, sigv4a = the same for several regions, oauth = with the OAuth access token of a login (mcp-sigv4-proxy login), bearer = with a token of one of the --bearer options, auto = as the first refusal of the server demands, none = never',
  }),
} as const;

/**
 * The problems with the regions of this kind of signature.
 * @param from - the flag or variable of each value; absent for defaults.
 */
export function regionSetProblems(auth: string, from: Readonly<Record<string, string>>): string[] {
  if (auth === 'auto') return [];
  if (auth !== 'sigv4a') return from.regionSet === undefined ? [] : [`${from.regionSet} needs --auth sigv4a`];
  if (from.region === undefined) return [];
  return [`${from.region} must not be given with --auth sigv4a: use ${flagOf('regionSet')}`];
}

/**
 * The problems with role options if no role is given.
 * @param from - the flag or variable of each value; absent for defaults.
 */
export const rolelessProblems = (from: Readonly<Record<string, string>>): string[] =>
  [from.roleSessionName, from.externalId].flatMap((name) =>
    name === undefined ? [] : [`${name} needs ${flagOf('roleArn')}, the role to assume`],
  );
