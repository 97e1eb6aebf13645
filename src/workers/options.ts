import { flagOf, text } from '../config/option.ts';

/** Few machines have more processors. Each worker takes about 70 MB. */
const MAX_WORKERS = 128;

export const workersOptions = {
  workers: text({
    group: 'Listener',
    placeholder: 'n',
    fallback: undefined,
    defaultText: 'one process serves --listen',
    check: (value) =>
      value === 'auto' || (/^[1-9]\d{0,2}$/.test(value) && Number(value) <= MAX_WORKERS)
        ? undefined
        : `must be an integer from 1 to ${MAX_WORKERS}, or auto`,
    help: 'number of processes that serve --listen; auto = one for each processor. A process that dies or hangs is replaced. All processes share --rate-limit and --max-concurrent, and divide the other limits',
  }),
} as const;

/** The limits that are divided among workers: each worker needs at least one. */
const DIVIDED = ['maxConnections', 'maxClients', 'maxClientsPerAddress', 'maxStreams'] as const;

export type DividedLimits = { readonly [K in (typeof DIVIDED)[number]]: number | undefined };

interface WorkersValues extends DividedLimits {
  readonly workers: string | undefined;
  readonly listen: string | undefined;
  readonly stdio: boolean;
}

/** Returns the problems of the options taken together. Pure. */
export function workersProblems(
  values: WorkersValues,
  from: Readonly<Partial<Record<string, string>>>,
): string[] {
  const { workers, listen, stdio } = values;
  if (workers === undefined) return [];
  const nameOf = (key: string): string => from[key] ?? flagOf(key);
  const own = nameOf('workers');
  if (listen === undefined) return [`${own} needs --listen`];
  const problems: string[] = [];
  if (stdio) {
    problems.push(
      `${own} excludes ${nameOf('stdio')}: one client on stdio cannot be divided among processes. Remove one of the two`,
    );
  }
  if (workers === 'auto') return problems;
  for (const key of DIVIDED) {
    const limit = values[key];
    if (limit === undefined || limit >= Number(workers)) continue;
    problems.push(
      `${own} ${workers} is more than ${nameOf(key)} ${limit}, and each worker needs at least 1 of it: raise ${flagOf(key)} or set fewer workers`,
    );
  }
  return problems;
}

/**
 * The number of workers. `auto` starts no more than each divided limit has parts for. Pure.
 * @param workers - a valid value of --workers.
 */
export function workerCount(workers: string, limits: DividedLimits, processors: number): number {
  if (workers !== 'auto') return Number(workers);
  const given = DIVIDED.map((key) => limits[key]).filter((limit) => limit !== undefined);
  return Math.min(MAX_WORKERS, processors, ...given);
}
