import type { Pool } from '../../pool/pool.ts';
import { withPlatformSignal } from './platform-signal.ts';
import { listToolsOf } from './probe.ts';
import type { PoolClient, PooledSession } from './session.ts';
import { fetchAllTools, type PoolTool } from './tool-list.ts';

/**
 * Fetches the tools on an idle or a new session. If the pool has neither, it fetches them on a
 * borrowed session beside its call, because the caller may hold the only session.
 */
export async function fetchTools<C extends PoolClient>(
  engine: Pool<PooledSession<C>>,
  signal: AbortSignal,
): Promise<readonly PoolTool[]> {
  let lease = engine.leaseNow();
  const shared = !lease && !engine.canGrow ? engine.serving.at(-1)?.item : undefined;
  if (!lease && !shared) lease = await engine.lease(signal);
  const session = lease?.item ?? shared;
  const unhold = shared && engine.hold(shared);
  try {
    if (!session) throw new Error('no session is open');
    return await withPlatformSignal(signal, (platform) =>
      fetchAllTools((cursor) => listToolsOf(session.client, cursor, platform)),
    );
  } finally {
    unhold?.();
    lease?.release(session?.fault === 'broken' ? 'broken' : 'ok');
  }
}
