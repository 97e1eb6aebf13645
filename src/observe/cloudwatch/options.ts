import { signsWithAws } from '../../auth/kinds.ts';
import { decimal, flagOf, list, type OptionValues, text } from '../../config/option.ts';

/** AWS allows 30; `Profile` and one more are the proxy's own. */
const MAX_DIMENSIONS = 28;

const NAMESPACE = /^(?!AWS\/)[A-Za-z0-9.\-_/#: ]{1,255}$/;
const DIMENSION = /^(?!:)[\x20-\x3c\x3e-\x7e]{1,255}=[\x20-\x7e]{1,1024}$/;

export const cloudWatchOptions = {
  cloudwatchNamespace: text({
    group: 'Observability',
    placeholder: 'name',
    fallback: undefined,
    check: (name) =>
      NAMESPACE.test(name)
        ? undefined
        : 'must be 1 to 255 letters, digits, blanks or . - _ / # : characters, and must not begin with AWS/',
    help: "CloudWatch namespace that metrics are published to, with the proxy's own credentials (needs cloudwatch:PutMetricData)",
  }),
  cloudwatchDimensions: list({
    group: 'Observability',
    placeholder: 'key=value',
    separator: 'entries',
    check: (entry) =>
      DIMENSION.test(entry) ? undefined : `must be key=value in printable ASCII, not "${entry}"`,
    help: `dimensions of every CloudWatch metric, at most ${MAX_DIMENSIONS}, such as Service=checkout`,
  }),
  cloudwatchInterval: decimal({
    group: 'Observability',
    placeholder: 's',
    min: 1,
    max: 86_400,
    fallback: 60,
    help: 'time between two publications to CloudWatch',
  }),
} as const;

type CloudWatchValues = OptionValues<typeof cloudWatchOptions> & { readonly logFormat: string };

/**
 * Returns the problems of the options taken together. Pure.
 * @param auth - the value of `--auth`.
 */
export function cloudWatchProblems(
  { cloudwatchNamespace, cloudwatchDimensions, logFormat }: CloudWatchValues,
  from: Readonly<Partial<Record<string, string>>>,
  auth: string,
): string[] {
  const problems: string[] = [];
  const isEmf = logFormat === 'emf';
  const named = (key: string): string => from[key] ?? flagOf(key);
  for (const key of ['cloudwatchDimensions', 'cloudwatchInterval']) {
    if (from[key] !== undefined && cloudwatchNamespace === undefined && !isEmf)
      problems.push(`${named(key)} needs --cloudwatch-namespace, or --log-format emf`);
  }
  if (cloudwatchDimensions.length > MAX_DIMENSIONS)
    problems.push(
      `${named('cloudwatchDimensions')} must name at most ${MAX_DIMENSIONS} dimensions, not ${cloudwatchDimensions.length}`,
    );
  if (cloudwatchNamespace !== undefined && !signsWithAws(auth) && !isEmf)
    problems.push(
      `${named('cloudwatchNamespace')} needs AWS credentials, which --auth ${auth} does not have (--log-format emf needs none)`,
    );
  return problems;
}
