import { truncate } from '../core/system/plain-text.ts';
import type { ProfileSnapshot } from '../observe/metrics/snapshot.ts';
import { ERROR_REMEDIES, WAIT_REMEDIES } from '../observe/status/remedies.ts';
import type { StatusReport } from '../observe/status/report.ts';

const MAX_TOOLS_SHOWN = 15;
const MAX_ERRORS_SHOWN = 5;
const MAX_USERS_SHOWN = 20;

/** Milliseconds below one second. Pure. */
const duration = (seconds: number): string => {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${Math.round(seconds)} s`;
};

const span = (seconds: number): string => {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 1 ? `${minutes} min` : `${hours} h ${minutes % 60} min`;
};

/** Lines of columns of equal width; all but the first are aligned to the right. */
function columnsOf(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  return rows.map(
    (row) =>
      `  ${row.map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ')}`,
  );
}

const LIMITS_TEXT = {
  shared: 'limits shared through Redis',
  local: 'limits NOT shared: Redis cannot be used, so this process has a share of its own',
} as const;

/** Formats a report for a terminal. @param width - undefined to cut no line. Pure. */
export function statusText(report: StatusReport, width: number | undefined): string {
  const { version, endpoint, uptimeS, callsInFlight, profiles, listener, limits } = report;
  const lines = [
    `mcp-sigv4-proxy ${version} for ${endpoint}, up ${span(uptimeS)}, ${callsInFlight} calls in flight`,
    ...(listener
      ? [
          `listener ${listener.url}: ${listener.connections} connections, ${listener.requests} requests, ${listener.streams} streams`,
        ]
      : []),
    ...(limits ? [LIMITS_TEXT[limits]] : []),
    ...profiles.flatMap((profile) => ['', ...profileLines(profile, report)]),
    ...userLines(report),
    '',
    ...toolLines(report),
    ...errorLines(profiles),
  ];
  return lines.map((line) => `${width === undefined ? line : truncate(line, width)}\n`).join('');
}

/** The users of --identity-map; none without it. */
function userLines({ users, userCount = 0 }: StatusReport): string[] {
  if (!users) return [];
  const rows = users
    .slice(0, MAX_USERS_SHOWN)
    .map(({ name, rule, account, role, requests, connections, breaker }) => [
      name,
      rule,
      account === undefined ? 'no request yet' : `${account}${role === undefined ? '' : ` ${role}`}`,
      String(requests),
      String(connections),
      breaker,
    ]);
  const more = userCount - rows.length;
  return [
    '',
    `users of the identity map: ${userCount}`,
    ...columnsOf([['user', 'rule', 'account and role', 'requests', 'connections', 'breaker'], ...rows]),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

function profileLines(profile: ProfileSnapshot, { identities, listener }: StatusReport): string[] {
  const { credentials, state, backpressure } = profile;
  const identity = identities[profile.profile];
  const account = identity?.account ? `account ${identity.account}` : 'account unknown';
  const expiry =
    credentials?.expiresInS === undefined
      ? 'do not expire'
      : `expire in ${span(Math.max(0, credentials.expiresInS))}`;
  const waits = profile.waits
    .filter(({ calls }) => calls > 0)
    .sort((one, other) => other.seconds - one.seconds)
    .map(({ wait, calls, seconds, p95 }) => {
      const remedy = WAIT_REMEDIES[wait];
      const times = `${wait} ${calls} calls, ${duration(seconds)}, p95 ${duration(p95)}`;
      return remedy === undefined ? times : `${times} (${remedy})`;
    });
  return [
    `profile ${profile.profile}: ${account}${identity?.arn ? `, ${identity.arn}` : ''}`,
    `  credentials  ${credentials ? `${credentials.provider}, ${expiry}` : 'not resolved yet'}`,
    `  breaker      ${state.breaker.state}${state.breaker.cause ? `: ${state.breaker.cause}` : ''}`,
    ...state.connections
      .filter(({ lane }) => lane === 'request')
      .map(
        ({ used, idle, waiting }) =>
          `  connections  ${used} in use, ${idle} idle, ${waiting} requests waiting`,
      ),
    `  sessions     ${listener && profile.sessionsCreated === 0 ? 'those of the clients' : `${profile.active} active, ${profile.idle} idle, ${profile.sessionsCreated} opened, ${profile.sessionsDestroyed} closed`}`,
    `  queue        ${state.backpressure ? `${backpressure.active} running, ${backpressure.queued} queued, ${backpressure.totalRejected} refused` : 'off'}`,
    `  rate         ${profile.throttled} throttled, ${state.rateWaiting} waiting`,
    `  calls        ${profile.calls}, ${profile.callErrors} errors, ${profile.toolErrors} tool errors, ${profile.cancelled} cancelled, ${profile.retryAttempts} retries`,
    `  server time  p50 ${duration(profile.serverTime.p50)}, p95 ${duration(profile.serverTime.p95)}, without waits`,
    `  waits        ${waits.length === 0 ? 'none' : waits.join('\n               ')}`,
  ];
}

function toolLines({ tools }: StatusReport): string[] {
  if (tools.length === 0) return ['no tool was called yet'];
  const slowest = [...tools].sort((one, other) => other.p95 - one.p95).slice(0, MAX_TOOLS_SHOWN);
  const rows = slowest.map(({ tool, calls, p50, p95, errors }) => [
    tool,
    String(calls),
    duration(p50),
    duration(p95),
    String(errors),
  ]);
  return columnsOf([['tools, slowest first', 'calls', 'p50', 'p95', 'errors'], ...rows]);
}

function errorLines(profiles: readonly ProfileSnapshot[]): string[] {
  const errors = profiles
    .flatMap(({ recentErrors }) => recentErrors)
    .sort((one, other) => other.at - one.at)
    .slice(0, MAX_ERRORS_SHOWN);
  if (errors.length === 0) return [];
  return [
    '',
    'recent errors',
    ...errors.flatMap(({ at, times, method, tool, reason, message }) => {
      const remedy = ERROR_REMEDIES[reason];
      const line = `  ${new Date(at).toISOString().slice(11, 19)}  ${method}${tool ? ` ${tool}` : ''}  ${times > 1 ? `${times} times ` : ''}${reason}: ${message.replaceAll('\n', ' ')}`;
      return remedy === undefined ? [line] : [line, `            ${remedy}`];
    }),
  ];
}
