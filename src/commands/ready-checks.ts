import type { ReadyCheck } from '../client/http/readiness.ts';
import { ProxyError } from '../core/errors/errors.ts';
import { abortable } from '../core/time/clock.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

/**
 * What `/readyz` checks: the credentials, whether the server takes the time of signatures, and the
 * way to the endpoint where --ready-check asks for it.
 */
export function readyChecks(proxy: McpProxy, settings: Settings): readonly ReadyCheck[] {
  const credentials: ReadyCheck = {
    reason: 'no-credentials: AWS credentials cannot be obtained; the log names the cause',
    run: (signal) => obtainCredentials(proxy, settings, signal),
  };
  const time: ReadyCheck = {
    reason: "clock: the server refuses the time of signatures; this machine's clock or the server's is wrong",
    run: async () => {
      if (proxy.roadOf(settings.defaultProfile).uplink.timeRefused) {
        throw new Error('the server has refused the time of a signature, and no correction has helped');
      }
    },
  };
  const endpoint: ReadyCheck = {
    reason: 'connect-failed: the endpoint cannot be reached; the log names the cause',
    run: (signal) => abortable(connectOnce(proxy, settings), signal),
  };
  return settings.readyCheck === 'endpoint' ? [credentials, time, endpoint] : [credentials, time];
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

/**
 * Opens a connection the way that requests take, TLS included, and closes it: no request is sent.
 */
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
