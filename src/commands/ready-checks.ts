import { Readiness, type ReadyCheck } from '../client/http/readiness.ts';
import type { Events } from '../core/pipeline/events.ts';
import { systemClock } from '../core/time/clock.ts';
import { abortable } from '../core/time/waits.ts';
import type { IdentityProxies } from '../identity-proxies.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

export interface ReadinessDeps {
  readonly proxy: McpProxy;
  readonly settings: Settings;
  readonly events: Events;
  /** The users of --identity-map; undefined without it, and until the listener listens. */
  readonly identities: () => Pick<IdentityProxies, 'proxies' | 'baseProfiles'> | undefined;
}

/** Creates what `/readyz` of the listener and of the status address ask. */
export const createReadiness = (deps: ReadinessDeps): Readiness =>
  new Readiness({
    checks: readyChecks(deps),
    clock: systemClock,
    onChange: (reason, message) =>
      deps.events.emit(
        reason === undefined ? { type: 'listener.ready' } : { type: 'listener.not-ready', reason, message },
      ),
  });

/**
 * The checks of `/readyz`: credentials, whether the server accepts the time of signatures, and with
 * `--ready-check endpoint` a connection. With an identity map, what all users need: the failure of
 * one user's role must not take the replica from the others.
 */
function readyChecks({ proxy, settings, identities }: ReadinessDeps): readonly ReadyCheck[] {
  const credentials: ReadyCheck = {
    reason: 'no-credentials: credentials cannot be obtained; the log names the cause',
    run: (signal) =>
      obtainOne(proxy, settings, identities()?.baseProfiles ?? [settings.defaultProfile], signal),
  };
  const time: ReadyCheck = {
    reason:
      'clock: the server rejects the time of signatures; the clock of this machine or of the server is wrong',
    run: async () => {
      const proxies = identities()?.proxies ?? [proxy];
      if (proxies.length > 0 && proxies.every(({ defaultTransport }) => defaultTransport.timeRefused)) {
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

/**
 * Obtains the credentials of the first profile that has some; returns at once for no profiles.
 * @throws the error of the first profile, if none has.
 */
async function obtainOne(
  proxy: McpProxy,
  { auth }: Settings,
  profiles: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const failures: unknown[] = [];
  for (const profile of profiles) {
    try {
      const { authorizer } = proxy.profileTransport(profile);
      const credential = await authorizer.current(signal);
      // Without a login, requests are sent without a token, and refused.
      if (credential === undefined && auth === 'oauth') await authorizer.inspect(signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
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
