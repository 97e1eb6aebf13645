import { Readiness, type ReadyCheck } from '../client/http/readiness.ts';
import type { Events } from '../core/pipeline/events.ts';
import { systemClock } from '../core/time/clock.ts';
import { abortable } from '../core/time/waits.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

/** Creates what `/readyz` of the listener and of the status address ask. */
export const createReadiness = (proxy: McpProxy, settings: Settings, events: Events): Readiness =>
  new Readiness({
    checks: readyChecks(proxy, settings),
    clock: systemClock,
    onChange: (reason, message) =>
      events.emit(
        reason === undefined ? { type: 'listener.ready' } : { type: 'listener.not-ready', reason, message },
      ),
  });

/**
 * The checks of `/readyz`: credentials, whether the server accepts the time of signatures, and with
 * `--ready-check endpoint` a connection.
 */
function readyChecks(proxy: McpProxy, settings: Settings): readonly ReadyCheck[] {
  const credentials: ReadyCheck = {
    reason: 'no-credentials: credentials cannot be obtained; the log names the cause',
    run: async (signal) => {
      await proxy.profileTransport(settings.defaultProfile).authorizer.current(signal);
    },
  };
  const time: ReadyCheck = {
    reason:
      'clock: the server rejects the time of signatures; the clock of this machine or of the server is wrong',
    run: async () => {
      if (proxy.profileTransport(settings.defaultProfile).transport.timeRefused) {
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

/** Opens and closes a connection as requests do, with TLS, and sends no request. */
function connectOnce(proxy: McpProxy, { endpoint, defaultProfile }: Settings): Promise<void> {
  const { protocol, hostname, port } = endpoint;
  return new Promise((resolve, reject) => {
    proxy.profileTransport(defaultProfile).connect({ protocol, hostname, port }, (error, socket) => {
      socket?.on('error', () => undefined).destroy();
      if (socket) resolve();
      else reject(error ?? new Error('no socket'));
    });
  });
}
