import type { Clock } from '../core/time/clock.ts';
import type { DemoEndpoint } from './endpoint.ts';
import { StdioSession } from './stdio-session.ts';

export interface FanOutPlan {
  readonly binPath: string;
  readonly env: NodeJS.ProcessEnv;
  readonly endpoint: DemoEndpoint;
  readonly clock: Clock;
  readonly maxConnections: number;
  readonly calls: number;
  readonly callMs: number;
}

export interface FanOutReport {
  readonly maxConnections: number;
  /** From the first call sent to the last answer read. */
  readonly elapsedMs: number;
  readonly connectionsOpened: number;
  readonly signaturesVerified: number;
}

/**
 * The demo uses none of the user's AWS settings and proxy options: they would change its result.
 */
function demoEnvironment({ env, endpoint }: FanOutPlan): NodeJS.ProcessEnv {
  const foreign = /^(AWS_|MCP_PROXY_)/i;
  const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentials;
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name))),
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  };
}

/** Runs the real command against the endpoint and sends all calls at once. */
export async function runFanOut(plan: FanOutPlan): Promise<FanOutReport> {
  const { binPath, endpoint, clock, maxConnections, calls, callMs } = plan;
  const { url, service, region } = endpoint;
  const signing = ['--service', service, '--region', region];
  const args = [binPath, url, ...signing, '--max-connections', String(maxConnections)];
  endpoint.resetCounts();
  const session = new StdioSession(args, demoEnvironment(plan), clock);
  let elapsedMs: number;
  try {
    await session.initialize();
    // List the tools first, as clients do: the fan-out then measures calls only.
    await session.request('tools/list', {});
    const startedAt = clock.monotonic();
    const call = { name: 'wait', arguments: { ms: callMs } };
    await Promise.all(Array.from({ length: calls }, () => session.request('tools/call', call)));
    elapsedMs = clock.monotonic() - startedAt;
  } finally {
    await session.close();
  }
  const counts = endpoint.counts();
  if (counts.signaturesRefused > 0)
    throw new Error(`the endpoint refused ${counts.signaturesRefused} signatures`);
  if (counts.calls !== calls)
    throw new Error(`the endpoint saw ${counts.calls} calls where ${calls} were made`);
  return {
    maxConnections,
    elapsedMs,
    connectionsOpened: counts.connectionsOpened,
    signaturesVerified: counts.signaturesVerified,
  };
}
