import { servedProfiles } from './auth/credentials/profile-list.ts';
import { urlWithoutSecrets } from './config/secrets.ts';
import type { ProfileState, ProxyState } from './core/pipeline/proxy-state.ts';
import type { BreakerState } from './layers/breaker.ts';
import type { Settings } from './settings.ts';
import type { Upstream } from './upstream/upstream.ts';
import type { Wiring } from './wiring.ts';

/** The facts that only the proxy itself has. */
export interface ProxyParts {
  readonly sessions: ReturnType<Upstream['describe']>;
  readonly breakerOf: (profile: string) => BreakerState | undefined;
  readonly limits: ProxyState['limits'];
}

/** Describes connections, sessions and limits at this moment. Opens and resolves nothing. */
export function describeProxy(
  settings: Settings,
  wiring: Wiring,
  { sessions, breakerOf, limits }: ProxyParts,
): ProxyState {
  const { endpoint, scope } = settings;
  return {
    endpoint: urlWithoutSecrets(endpoint.href),
    service: scope?.service ?? '',
    region: scope?.region ?? '',
    limits,
    profiles: servedProfiles(settings).map((name) => ({
      profile: name,
      ...wiring.describe(name),
      sessions: sessions
        .filter(({ profile }) => profile === name)
        .map(({ profile: _, ...session }) => session),
      breaker: describeBreaker(breakerOf(name)),
    })),
  };
}

const describeBreaker = (state: BreakerState | undefined): ProfileState['breaker'] => ({
  state: state?.is ?? 'closed',
  failures: state?.failures ?? 0,
  cause: state === undefined || state.is === 'closed' ? undefined : state.cause,
});
