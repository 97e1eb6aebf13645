import { ProxyError } from '../core/errors/errors.ts';

/**
 * `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`, `us-isob-east-1`: the form of every region that
 * AWS has named so far.
 */
const REGION_NAME = /^[a-z]{2,5}(?:-[a-z]+)+-\d+$/;

/**
 * True where the text has the form of an AWS region name. Anything else in a credential scope is
 * refused by AWS.
 */
export const isRegionName = (text: string): boolean => REGION_NAME.test(text);

/** The problem with a region of a profile, or undefined. */
export const regionProblem = (region: string | undefined): string | undefined =>
  region === undefined || isRegionName(region)
    ? undefined
    : `must be a region name such as us-east-1, not ${JSON.stringify(region)}`;

/**
 * The error of a request that would carry a region that is none.
 * @param region - the operating region of the profile, from a variable of `env` or from the AWS
 * files.
 */
export function invalidRegion(region: string, profile: string, env: NodeJS.ProcessEnv): ProxyError {
  const variable = ['AWS_REGION', 'AWS_DEFAULT_REGION'].find((name) => env[name] === region);
  const where = variable ?? `The region of AWS profile '${profile || env.AWS_PROFILE || 'default'}'`;
  const remedy = variable
    ? 'Correct the variable and restart the proxy'
    : 'Correct it in the AWS config file; the next request uses it';
  return new ProxyError(
    'invalid-region',
    `${where} ${regionProblem(region)}. The request was not sent. ${remedy}.`,
    { sent: 'no' },
  );
}
