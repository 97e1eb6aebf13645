import { unlessAborted } from '../core/clock.ts';
import { ProxyError } from '../core/errors.ts';
import type { ReadyCheck } from '../front/readiness.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

/** What `/readyz` checks: the credentials, and the way to the endpoint where --ready-check asks for it. */
export function readyChecks(proxy: McpProxy, settings: Settings): readonly ReadyCheck[] {
  const credentials: ReadyCheck = {
    reason: 'no-credentials: AWS credentials cannot be obtained; the log names the cause',
    run: (signal) => obtainCredentials(proxy, settings, signal),
  };
  const endpoint: ReadyCheck = {
    reason: 'connect-failed: the endpoint cannot be reached; the log names the cause',
    run: (signal) => unlessAborted(connectOnce(proxy, settings), signal),
  };
  return settings.readyCheck === 'endpoint' ? [credentials, endpoint] : [credentials];
}

async function obtainCredentials(
  proxy: McpProxy,
  { defaultProfile, skipAuth }: Settings,
  signal: AbortSignal,
): Promise<void> {
  try {
    await proxy.roadOf(defaultProfile).keys?.current(signal);
  } catch (error) {
    // Requests go unsigned then, as an option asks.
    const unsigned = skipAuth && error instanceof ProxyError && error.details.kind === 'none';
    if (!unsigned) throw error;
  }
}

/** Opens a connection the way that requests take, TLS included, and closes it: no request is sent. */
function connectOnce(proxy: McpProxy, { endpoint, defaultProfile }: Settings): Promise<void> {
  const { protocol, hostname, port } = endpoint;
  return new Promise((resolve, reject) => {
    proxy.roadOf(defaultProfile).connect({ protocol, hostname, port }, (error, socket) => {
      socket?.on('error', () => undefined).destroy();
      if (socket) resolve();
      else reject(error ?? new Error('no socket'));
    });
  });
}
