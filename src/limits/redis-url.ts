/** The Redis server of `--limits`, in which replicas share their limits. */
export interface RedisTarget {
  readonly kind: 'single' | 'cluster' | 'sentinel';
  /** The server, the first nodes of the cluster, or the sentinels. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** The name of the primary that sentinels watch. */
  readonly primary: string | undefined;
  /** Fleets with the same prefix share their limits. */
  readonly prefix: string;
}

/** The maximum number of addresses of a cluster or of sentinels. */
const MAX_NODES = 32;
const DEFAULT_PORT = 6_379;
const DEFAULT_SENTINEL_PORT = 26_379;
const DEFAULT_PREFIX = 'mcp-sigv4-proxy';

const FORM =
  /^(rediss?)(?:\+(cluster|sentinel))?:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^@/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/;
const NODE = /^(\[[0-9a-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i;
const PREFIX = /^[\w.:/-]{1,64}$/;
const MAX_DATABASE = 65_535;

export const REDIS_URL_FORMS =
  'redis://[user:password@]host[:port][/database], rediss:// for TLS, redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/primary[/database]';

/**
 * Reads the value of `--limits`. Pure.
 * @returns `problem`: a phrase such as "must be ...", without the value, which may hold a password.
 */
export function readRedisUrl(text: string): { readonly target: RedisTarget } | { readonly problem: string } {
  const match = FORM.exec(text);
  if (!match) return { problem: `must be ${REDIS_URL_FORMS}` };
  const [, scheme, kind = 'single', user = '', password = '', hosts = '', path = '', query = ''] = match;
  const nodes = readNodes(hosts, kind === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT);
  if (!nodes) return { problem: 'must name hosts such as redis.example.com:6379 or [::1]:6379' };
  if (kind === 'single' && nodes.length > 1) {
    return { problem: 'must name one host; several need redis+cluster:// or redis+sentinel://' };
  }
  const parts = path.split('/').slice(1);
  const primary = kind === 'sentinel' ? parts.shift() : undefined;
  if (kind === 'sentinel' && !primary) {
    return { problem: 'must name the primary that the sentinels watch: redis+sentinel://host:port/primary' };
  }
  const [database = '', ...rest] = parts;
  if (rest.length > 0 || !/^\d*$/.test(database) || Number(database) > MAX_DATABASE) {
    return { problem: `must end with the number of a database from 0 to ${MAX_DATABASE}, or without one` };
  }
  if (kind === 'cluster' && Number(database) > 0)
    return { problem: 'must not name a database: a cluster has only one' };
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((name) => name !== 'prefix');
  if (unknown !== undefined) return { problem: 'must have no query parameter except prefix' };
  const prefix = parameters.get('prefix') ?? DEFAULT_PREFIX;
  if (!PREFIX.test(prefix)) {
    return { problem: 'must have a prefix of 1 to 64 letters, digits and the characters . : / _ -' };
  }
  const credentials = decodeBoth(user, password);
  if (!credentials) return { problem: 'must have a user and password that are percent-encoded' };
  return {
    target: {
      kind: kind as RedisTarget['kind'],
      nodes,
      tls: scheme === 'rediss',
      ...credentials,
      database: Number(database),
      primary,
      prefix,
    },
  };
}

function readNodes(hosts: string, defaultPort: number): RedisTarget['nodes'] | undefined {
  const nodes = hosts.split(',').map((host) => {
    const [, name, port] = NODE.exec(host) ?? [];
    const number = port === undefined ? defaultPort : Number(port);
    return name === undefined || number < 1 || number > 65_535
      ? undefined
      : { host: name.replace(/^\[|\]$/g, ''), port: number };
  });
  const valid = nodes.filter((node) => node !== undefined);
  return valid.length === nodes.length && nodes.length <= MAX_NODES ? valid : undefined;
}

function decodeBoth(user: string, password: string): Pick<RedisTarget, 'username' | 'password'> | undefined {
  try {
    return {
      username: decodeURIComponent(user) || undefined,
      password: decodeURIComponent(password) || undefined,
    };
  } catch {
    return undefined;
  }
}
