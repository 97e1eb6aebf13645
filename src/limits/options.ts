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
    help: 'URL of a Redis or Valkey server through which all processes with this URL share --rate-limit and --max-concurrent: redis:// or rediss:// (TLS), redis+cluster:// or redis+sentinel://. Set a URL with a password by the variable: process lists show flags',
  }),
  limitKey: text({
    group: 'Backpressure',
    placeholder: 'what',
    choices: LIMIT_KEYS,
    fallback: 'profile',
    help: 'which calls share one --rate-limit and one --max-concurrent. account: calls signed for the same AWS account, by any profile; profile: calls of the same AWS profile; identity: calls of the same client of --listen, by the name of its token; tool: calls of the same tool and profile',
  }),
  limitReplicas: integer({
    group: 'Backpressure',
    needs: 'limits',
    placeholder: 'n',
    min: 1,
    max: 10_000,
    fallback: 1,
    help: 'minimum number of processes that share --limits. While Redis cannot be used, each process takes this fraction of every limit; while it can, further processes are counted',
  }),
} as const;

interface LimitsValues {
  readonly limits: string | undefined;
  readonly rateLimit: number | undefined;
  readonly maxConcurrent: number | undefined;
  readonly identityMap: string | undefined;
}

/** The rules over several options of the limits. Pure. */
export function limitsProblems(
  { limits, rateLimit, maxConcurrent, identityMap }: LimitsValues,
  from: Readonly<Record<string, string>>,
): string[] {
  if (rateLimit !== undefined || maxConcurrent !== undefined) return [];
  // The rules of the map may have limits.
  const needsLimit = limits !== undefined && identityMap === undefined;
  return [needsLimit ? (from.limits ?? '--limits') : undefined, from.limitKey]
    .filter((name) => name !== undefined)
    .map((name) => `${name} needs a limit: set --rate-limit, --max-concurrent or both`);
}
