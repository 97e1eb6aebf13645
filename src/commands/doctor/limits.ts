import { causeText } from '../../core/errors/errors.ts';
import { systemClock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { type RedisTarget, readRedisUrl } from '../../limits/redis-url.ts';
import type { LimitStore } from '../../limits/store.ts';
import type { Settings } from '../../settings.ts';
import { type Finding, failed, ok, warning } from './finding.ts';

const CHECK = 'limits';
/** The user waits for the report. */
const MAX_WAIT_MS = 5_000;
/** A call waits for Redis at least once, and takes its local share after 500 ms. */
const SLOW_MS = 100;

/** The remedy for an error of Redis or of the connection to it. Pure. */
export function limitsRemedy(cause: string): string {
  if (/WRONGPASS|NOAUTH|invalid password/i.test(cause)) return 'Correct the user and password in --limits.';
  if (/NOPERM|no permission|can't run this command/i.test(cause)) {
    return 'Give the user of Redis the commands and keys that docs/limits.md lists.';
  }
  if (/READONLY/.test(cause))
    return 'Name the primary, or its sentinels: this server is a read-only replica.';
  if (/OOM/.test(cause))
    return 'Raise maxmemory of the Redis server, or give the limits a server of their own.';
  if (/certificate|self.signed|TLS|SSL|issuer/i.test(cause)) {
    return 'Use the name in the certificate of Redis, and name its authority with NODE_EXTRA_CA_CERTS.';
  }
  return 'Check host, port and network of --limits, and whether Redis requires TLS (rediss://).';
}

/** Opens the store as a proxy does; replaced in tests. */
export type OpenForCheck = (target: RedisTarget, onError: (error: Error) => void) => Promise<LimitStore>;

const openRedis: OpenForCheck = async (target, onError) => {
  const { redisStore } = await import('../../limits/redis-store.ts');
  return redisStore(target, {
    replica: 'doctor',
    onFree: () => undefined,
    onError: (error) => error && onError(error),
    random: () => systemClock.random(),
  });
};

/** Connects to the Redis server of --limits, and runs each operation on a scratch key. */
export async function checkLimits(
  { limits = '' }: Pick<Settings, 'limits'>,
  open: OpenForCheck = openRedis,
): Promise<Finding> {
  const read = readRedisUrl(limits);
  if ('problem' in read) return failed(CHECK, `--limits ${read.problem}`, 'Correct the URL.');
  const { target } = read;
  const where = target.nodes.map(({ host, port }) => `${host}:${port}`).join(', ');
  let last: string | undefined;
  const store = await open(target, (error) => {
    last = causeText(error);
  });
  try {
    const since = systemClock.monotonic();
    const checked = check(store).catch((error: unknown) => causeText(error));
    const result = await settleWithin(systemClock, MAX_WAIT_MS, checked);
    if (typeof result === 'object') return describe(result, where);
    const waited = Math.round((systemClock.monotonic() - since) / 1_000);
    const cause = result ?? last ?? `no answer in ${waited} s`;
    return failed(
      CHECK,
      `${where}: ${cause.replace(/\.+$/, '')}; each process takes a local share`,
      limitsRemedy(cause),
    );
  } finally {
    store.close();
  }
}

interface CheckedStore {
  readonly operationMs: number;
  readonly processes: number;
}

/** Lifetime 0: counts the other processes and does not join them. */
const COUNT_ONLY = {
  ttlUs: 0,
  expiresAt: 0,
  minReplicas: 1,
  expected: 0,
  expectedForUs: 0,
  usedShareOf: 0,
} as const;

async function check(store: LimitStore): Promise<CheckedStore> {
  await store.connected();
  await store.probe('doctor');
  const since = systemClock.monotonic();
  const { alive } = await store.beat(COUNT_ONLY);
  return { operationMs: systemClock.monotonic() - since, processes: alive };
}

function describe({ operationMs, processes }: CheckedStore, where: string): Finding {
  const ms = Math.max(1, Math.round(operationMs));
  const detail = `${where}: one operation in ${ms} ms, used by ${processes} process${processes === 1 ? '' : 'es'} now`;
  return ms < SLOW_MS
    ? ok(CHECK, detail)
    : warning(CHECK, detail, 'Use a Redis server in the same Region: each call waits for it.');
}
