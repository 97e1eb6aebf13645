import { decimal, flagOf, integer, list, type OptionValues, timeLimit } from '../config/option.ts';
import { HEALTH_METHODS } from './health.ts';
import { MIN_OPENING_WAIT_MS, type PoolLimits } from './maintenance.ts';

export const poolOptions = {
  minSessions: integer({
    group: 'Sessions',
    placeholder: 'n',
    min: 0,
    fallback: 0,
    help: "minimum number of sessions kept open from the client's initialize on, at most --max-sessions",
  }),
  maxSessions: integer({
    group: 'Sessions',
    placeholder: 'n',
    min: 1,
    fallback: 1,
    help: 'maximum number of sessions per client and profile, plus one while a session is replaced. Use more than 1 only for servers that run one call at a time per session; only tools/call is spread',
  }),
  callsPerSession: integer({
    group: 'Sessions',
    placeholder: 'n',
    min: 1,
    fallback: undefined,
    defaultText: 'no limit with one session, else 1',
    help: 'maximum number of tool calls at once in one session',
  }),
  sessionWait: timeLimit({
    group: 'Sessions',
    fallback: 10,
    help: 'longest wait of a call for a session. A call waits at least 1 s for a session that is being opened; with 0, it waits only for such a session, up to 30 s',
  }),
  sessionLifetime: decimal({
    group: 'Sessions',
    placeholder: 's',
    min: 0,
    fallback: undefined,
    defaultText:
      '0; 3600 with --min-sessions above 0 or --max-sessions above 1; 3540 at an AgentCore gateway',
    help: 'age at which a session accepts no further calls and is closed; the only session of a client is closed only if this option is given; 0 = no limit',
  }),
  sessionRecycleWindow: decimal({
    group: 'Sessions',
    placeholder: 's',
    min: 0,
    fallback: undefined,
    defaultText: '30, or 300 at an AgentCore gateway; at most half of --session-lifetime',
    help: 'time before the end of --session-lifetime over which the replacement of sessions is spread; less than --session-lifetime',
  }),
  sessionIdle: timeLimit({
    group: 'Sessions',
    fallback: 600,
    help: 'idle time after which a session above --min-sessions is closed, except the only session; 0 = never',
  }),
  healthInterval: decimal({
    group: 'Sessions',
    placeholder: 's',
    min: 0,
    fallback: undefined,
    defaultText: '0, or 60 with --min-sessions above 0 or --max-sessions above 1',
    help: 'idle time after which a session is probed with --health-check; the only session is probed only if this option is given; 0 = off',
  }),
  healthCheck: list({
    group: 'Sessions',
    placeholder: 'method',
    separator: 'words',
    defaultText: HEALTH_METHODS.slice(0, 2).concat('skip').join(' '),
    check: (value) =>
      HEALTH_METHODS.includes(value)
        ? undefined
        : `must name ${HEALTH_METHODS.slice(0, -1).join(', ')} or skip, not ${JSON.stringify(value)}`,
    help: 'methods that probe an idle session, in order, until the server supports one; skip = assume a healthy session without a request',
  }),
  healthTimeout: timeLimit({
    group: 'Sessions',
    fallback: 5,
    above: true,
    help: 'time limit of each request of --health-check',
  }),
  maxTotalSessions: integer({
    group: 'Sessions',
    placeholder: 'n',
    min: 1,
    fallback: undefined,
    defaultText: 'no limit',
    help: 'maximum number of sessions over all profiles and clients, the first session of each included; further sessions are refused',
  }),
} as const;

export type PoolValues = OptionValues<typeof poolOptions>;

/** The flag or variable that each option was given by; absent for defaults. */
export type OptionSources = Readonly<Partial<Record<string, string>>>;

const LIFETIME = 3_600;
const RECYCLE_WINDOW = 30;
/** Where the server ends sessions: time to find a moment between two calls. */
const PLATFORM_RECYCLE_WINDOW = 300;
const HEALTH_INTERVAL = 60;
const HEALTH_CHECK = ['ping', 'tools/list', 'skip'];

/**
 * Returns the problems of the options taken together, with the names that were used. Pure.
 * @param platformLifetime - seconds that the server itself gives a session; undefined where it
 * names no limit.
 */
export function poolProblems(values: PoolValues, given: OptionSources, platformLifetime?: number): string[] {
  const nameOf = (key: keyof PoolValues): string => given[key] ?? flagOf(key);
  const { minSessions: min, maxSessions: max, maxTotalSessions: total } = values;
  const problems: string[] = [];
  if (min > max)
    problems.push(`${nameOf('minSessions')} must be <= ${nameOf('maxSessions')} (${max}), not ${min}`);
  if (total !== undefined && total < min) {
    problems.push(`${nameOf('maxTotalSessions')} must be >= ${nameOf('minSessions')} (${min}), not ${total}`);
  }
  const window = values.sessionRecycleWindow;
  const { lifetime } = derived(values, platformLifetime);
  if (window !== undefined && lifetime > 0 && window >= lifetime) {
    problems.push(
      `${nameOf('sessionRecycleWindow')} must be < ${nameOf('sessionLifetime')} (${lifetime}), not ${window}`,
    );
  }
  return problems;
}

function derived(
  values: PoolValues,
  platformLifetime: number | undefined,
): { lifetime: number; healthInterval: number } {
  const pooled = values.minSessions > 0 || values.maxSessions > 1;
  return {
    lifetime: values.sessionLifetime ?? platformLifetime ?? (pooled ? LIFETIME : 0),
    healthInterval: values.healthInterval ?? (pooled ? HEALTH_INTERVAL : 0),
  };
}

/** Returns the limits of each pool. By default it has one session, and no timer runs. Pure. */
export function poolLimits(values: PoolValues, platformLifetime?: number): PoolLimits {
  const { minSessions, maxSessions, callsPerSession, sessionLifetime, healthInterval } = values;
  // The server's limit applies to a single session too.
  const askedToRecycle = (sessionLifetime ?? platformLifetime ?? 0) > 0;
  const askedToProbe = (healthInterval ?? 0) > 0;
  const { lifetime, healthInterval: interval } = derived(values, platformLifetime);
  const window = platformLifetime === undefined ? RECYCLE_WINDOW : PLATFORM_RECYCLE_WINDOW;
  return {
    min: minSessions,
    max: maxSessions,
    callsPerItem: callsPerSession ?? (maxSessions === 1 ? Number.POSITIVE_INFINITY : 1),
    waitMs: values.sessionWait * 1_000,
    lifetimeMs: lifetime * 1_000,
    recycleWindowMs: (values.sessionRecycleWindow ?? Math.min(window, lifetime / 2)) * 1_000,
    recyclesOnly: askedToRecycle,
    idleMs: values.sessionIdle * 1_000,
    healthIntervalMs: interval * 1_000,
    healthMethods: values.healthCheck.length > 0 ? values.healthCheck : HEALTH_CHECK,
    healthTimeoutMs: values.healthTimeout * 1_000,
    probesOnly: askedToProbe,
    keepsOne: true,
    keepsOpen:
      maxSessions > 1 || minSessions > 0 || callsPerSession !== undefined || askedToRecycle || askedToProbe,
  };
}

/**
 * Longest wait of a call for a session that is being opened; undefined where no option limits it.
 * Pure.
 */
export const openLimitOf = ({
  sessionWait,
}: Pick<PoolValues, 'sessionWait'>): { ms: number; option: string } | undefined =>
  sessionWait > 0
    ? { ms: Math.max(sessionWait * 1_000, MIN_OPENING_WAIT_MS), option: flagOf('sessionWait') }
    : undefined;
