import { ProxyError } from '../core/errors/errors.ts';

/** The form of all AWS region names: us-east-1, us-gov-west-1, eusc-de-east-1, us-isob-east-1. */
const REGION_NAME = /^[a-z]{2,5}(?:-[a-z]+)+-\d+$/;

/** True for the form of a region name. AWS rejects any other region in a signature. */
export const isRegionName = (text: string): boolean => REGION_NAME.test(text);

/** The problem with the region of a profile, or undefined. */
export const regionProblem = (region: string | undefined): string | undefined =>
  region === undefined || isRegionName(region)
    ? undefined
    : `must be a region name such as us-east-1, not ${JSON.stringify(region)}`;

/**
 * The error of a request whose region is not a region name.
 * @param region - the operating region, from a variable of `env` or from the AWS files.
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
