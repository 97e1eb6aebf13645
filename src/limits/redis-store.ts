import { Cluster, Redis } from 'ioredis';
import type { RateCommand } from './rate-bucket.ts';
import { LEASE_SCRIPT, RATE_SCRIPT, REPLICA_SCRIPT } from './redis-scripts.ts';
import type { RedisTarget } from './redis-url.ts';
import type { LimitStore, StoreDeps } from './store.ts';

/** Time limit of the handshake; meanwhile, calls use the local share. */
const CONNECT_TIMEOUT_MS = 2_000;
/** Between two attempts to connect. */
const RECONNECT_MS = 250;
const MAX_RECONNECT_MS = 2_000;
/** Lifetime of a probe's scratch lease, in case the process ends before it is released. */
const PROBE_LEASE_US = 1_000_000;

type Script = (keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;

/** Keeps the names of nodes, which TLS verifies; a lookup would replace them by addresses. */
const skipLookup = (address: string, done: (error: null, address: string) => void): void =>
  done(null, address);

/** Connects in the background: a command fails at once while there is no connection. */
function connect(target: RedisTarget, random: () => number): Redis | Cluster {
  const { kind, nodes, tls, username, password, database: db, primary } = target;
  const [node = { host: '', port: 0 }] = nodes;
  const delayMs = (times: number): number =>
    Math.min(MAX_RECONNECT_MS, RECONNECT_MS * times) * (0.5 + random() / 2);
  const common = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: kind === 'single' ? { servername: node.host } : {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    connectionName: 'mcp-sigv4-proxy',
    // A command of before the failure must not run after it.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // After a failover the old primary is read-only.
    reconnectOnError: ({ message }: Error) => message.startsWith('READONLY'),
    protocol: 2 as const,
  };
  if (kind === 'cluster') {
    return new Cluster([...nodes], {
      redisOptions: common,
      enableOfflineQueue: false,
      clusterRetryStrategy: delayMs,
      // No retry within a call: it uses the local share at once.
      maxRedirections: 4,
      ...(tls ? { dnsLookup: skipLookup } : {}),
    });
  }
  const single = { ...common, db, enableOfflineQueue: false, retryStrategy: delayMs };
  return kind === 'sentinel'
    ? new Redis({
        ...single,
        sentinels: [...nodes],
        ...(primary === undefined ? {} : { name: primary }),
        ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
        sentinelRetryStrategy: delayMs,
      })
    : new Redis({ ...single, ...node });
}

/** Messages of the client library about a command that it did not send. */
const NO_CONNECTION = /^Stream isn't writeable|^Connection is closed|^Command aborted/;

const numbers = (answer: unknown): number[] => (answer as unknown[]).map(Number);

/** The arguments of the script for a command. */
export function rateArguments(command: RateCommand): (string | number)[] {
  switch (command.name) {
    case 'take':
      return [command.count, command.maxWaitUs];
    case 'claim': {
      const { readyAt, shift, born } = command.reserved;
      return [readyAt, shift, born, command.maxWaitUs, Math.ceil(command.maxLateUs)];
    }
    case 'refund':
      return [command.count, command.born, command.reserved ? 1 : 0];
    case 'pause':
      return [Math.ceil(command.us)];
  }
}

/** The store in Redis or Valkey. */
export function redisStore(target: RedisTarget, deps: StoreDeps): LimitStore {
  const { replica, onFree, onError, random } = deps;
  const client = connect(target, random);
  const subscriber = connect(target, random);
  client.on('error', onError);
  client.on('ready', () => onError(undefined));
  // Without it a freed lease is found by asking again.
  subscriber.on('error', () => undefined);
  const scripts = { rate: RATE_SCRIPT, lease: LEASE_SCRIPT, replica: REPLICA_SCRIPT };
  const defined = client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const scriptOf = (name: keyof typeof scripts): Script => {
    const command = `limits_${name}`;
    client.defineCommand(command, { lua: scripts[name] });
    return (keys, args) =>
      (defined[command] as (...args: unknown[]) => Promise<unknown>)(keys.length, ...keys, ...args).catch(
        (error: Error) => {
          throw NO_CONNECTION.test(error.message) ? new Error('the connection is closed') : error;
        },
      );
  };
  const rate = scriptOf('rate');
  const lease = scriptOf('lease');
  const replicas = scriptOf('replica');
  // The braces put all keys of one limit on one node of a cluster.
  const keyOf = (key: string, part: string): string => `${target.prefix}:{${key}}:${part}`;
  const leaseKeys = (key: string): string[] => ['leases', 'turns', 'waiting'].map((part) => keyOf(key, part));
  const channel = `${target.prefix}:free:`;
  subscriber.on('message', (_channel: string, key: string) => onFree(key));
  subscriber.on('ready', () => void subscriber.subscribe(`${channel}${replica}`).catch(() => undefined));
  const connected = new Promise<void>((resolve, reject) => {
    client.once('ready', resolve);
    client.once('error', reject);
  });
  connected.catch(() => undefined);
  return {
    connected: () => connected,
    async rate(key, limit, command) {
      const { ratePerSecond, burst, configured = limit } = limit;
      const text = `${configured.ratePerSecond}/${configured.burst}`;
      const answer = (await rate(
        [keyOf(key, 'rate')],
        [command.name, ratePerSecond, burst, text, ...rateArguments(command)],
      )) as unknown[];
      const [granted = 0, waitUs = 0, readyAt = 0, shift = 0, born = 0] = numbers(answer.slice(0, 5));
      const reserved = readyAt > 0 ? { readyAt, shift, born } : undefined;
      return { granted, waitUs, reserved, born, otherLimit: String(answer[5] ?? '') || undefined };
    },
    async enter(key, { limit, leaseUs, patienceUs, more, leases }) {
      const args = ['enter', replica, limit, leaseUs, patienceUs, more ? 1 : 0, ...leases];
      return Number(await lease(leaseKeys(key), args));
    },
    async release(key, leases) {
      await lease(leaseKeys(key), ['release', replica, channel, key, ...leases]);
    },
    async renew(key, leaseUs, leases) {
      await lease(leaseKeys(key), ['renew', replica, leaseUs, ...leases]);
    },
    async quit(key) {
      await lease(leaseKeys(key), ['quit', replica]);
    },
    async beat({ ttlUs, expiresAt, minReplicas, expected, expectedForUs, usedShareOf }) {
      const table = `${target.prefix}:{replicas}`;
      const answer = (await replicas(
        [`${table}:alive`, `${table}:joined`, `${table}:shares`],
        [replica, ttlUs, Math.floor(expiresAt), minReplicas, expected, expectedForUs, usedShareOf],
      )) as unknown[];
      const [now = 0, divisor = 1, rank = 0, alive = 0, missing = 0, missingShare = 0, known = 1] =
        numbers(answer);
      return { now, replicas: divisor, rank, alive, known, missing, missingShare };
    },
    async probe(key) {
      const scratch = keyOf(key, 'probe');
      const keys = ['leases', 'turns', 'waiting'].map((part) => `${scratch}-${part}`);
      await rate([`${scratch}-rate`], ['refund', 1, 1, '', 0, 0, 0]);
      await lease(keys, ['enter', replica, 1, PROBE_LEASE_US, PROBE_LEASE_US, 1, replica]);
      await lease(keys, ['release', replica, channel, key, replica]);
      await lease(keys, ['quit', replica]);
    },
    close() {
      client.disconnect();
      subscriber.disconnect();
    },
  };
}
