import { integer, text } from '../config/option.ts';
import { secretsOfUrl } from '../config/secrets.ts';
import { readRedisUrl } from './redis-url.ts';

export const LIMIT_KEYS = ['account', 'profile', 'identity', 'tool'] as const;

export type LimitKey = (typeof LIMIT_KEYS)[number];

export const limitsOptions = {
  limits: text({
    group: 'Backpressure',
    placeholder: 'url',
    fallback: undefined,
    defaultText: 'each process has limits of its own',
    check: (value) => {
      const read = readRedisUrl(value);
      return 'problem' in read ? read.problem : undefined;
    },
    secrets: (value) => secretsOfUrl(value, 'MCP_PROXY_LIMITS'),
    help: 'URL of a Redis or Valkey server through which all processes with this URL share --rate-limit and --max-concurrent: redis:// or rediss:// (TLS), redis+cluster:// or redis+sentinel://. The variable keeps a password out of process lists, the flag does not',
  }),
  limitKey: text({
    group: 'Backpressure',
    placeholder: 'what',
    choices: LIMIT_KEYS,
    fallback: 'profile',
    help: 'what each have a --rate-limit and --max-concurrent of their own. account: the AWS account, whichever profiles sign for it; profile: the AWS profile; identity: the client of --listen, by the name of its token; tool: the tool, per profile',
  }),
  limitReplicas: integer({
    group: 'Backpressure',
    needs: 'limits',
    placeholder: 'n',
    min: 1,
    max: 10_000,
    fallback: 1,
    help: 'number of processes that share --limits at least; each takes that fraction of a limit while Redis cannot be used. More are counted while it can',
  }),
} as const;

interface LimitsValues {
  readonly limits: string | undefined;
  readonly rateLimit: number | undefined;
  readonly maxConcurrent: number | undefined;
}

/** The rules over several options of the limits. Pure. */
export function limitsProblems(
  { limits, rateLimit, maxConcurrent }: LimitsValues,
  from: Readonly<Record<string, string>>,
): string[] {
  if (rateLimit !== undefined || maxConcurrent !== undefined) return [];
  const given = [limits === undefined ? undefined : (from.limits ?? '--limits'), from.limitKey];
  return given
    .filter((name) => name !== undefined)
    .map((name) => `${name} needs a limit: set --rate-limit, --max-concurrent or both`);
}
