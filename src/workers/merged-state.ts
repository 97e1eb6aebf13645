import type {
  ConnectionState,
  ListenerState,
  ProfileState,
  ProxyState,
} from '../core/pipeline/proxy-state.ts';

/** The states of several workers as that of one proxy; undefined without any. Pure. */
export function mergeStates(states: readonly ProxyState[]): ProxyState | undefined {
  const [first] = states;
  if (!first) return undefined;
  const modes = states.map(({ limits }) => limits);
  return {
    ...first,
    limits: modes.includes('local') ? 'local' : modes.find((mode) => mode !== undefined),
    profiles: first.profiles.map(({ profile }) =>
      mergeProfiles(
        profile,
        states.flatMap(({ profiles }) => profiles.filter((each) => each.profile === profile)),
      ),
    ),
  };
}

function mergeProfiles(profile: string, states: readonly ProfileState[]): ProfileState {
  const sum = (pick: (state: ProfileState) => number | undefined): number =>
    states.reduce((total, state) => total + (pick(state) ?? 0), 0);
  const breakers = states.map(({ breaker }) => breaker);
  const hasBackpressure = states.some(({ backpressure }) => backpressure !== undefined);
  const hasLearned = states.some(({ learnedRate }) => learnedRate !== undefined);
  return {
    profile,
    connections: mergeConnections(states.flatMap(({ connections }) => connections)),
    sessions: states.flatMap(({ sessions }) => sessions),
    // The worst of all workers.
    breaker: breakers.find(({ state }) => state === 'open') ??
      breakers.find(({ state }) => state === 'half-open') ??
      breakers[0] ?? { state: 'closed', failures: 0, cause: undefined },
    backpressure: hasBackpressure
      ? {
          active: sum(({ backpressure }) => backpressure?.active),
          queued: sum(({ backpressure }) => backpressure?.queued),
          totalRejected: sum(({ backpressure }) => backpressure?.totalRejected),
        }
      : undefined,
    rateWaiting: sum(({ rateWaiting }) => rateWaiting),
    learnedRate: hasLearned ? sum(({ learnedRate }) => learnedRate) : undefined,
  };
}

function mergeConnections(all: readonly ConnectionState[]): ConnectionState[] {
  const lanes = new Map<string, ConnectionState>();
  for (const { lane, used, idle, waiting } of all) {
    const known = lanes.get(lane) ?? { lane, used: 0, idle: 0, waiting: 0 };
    lanes.set(lane, {
      lane,
      used: known.used + used,
      idle: known.idle + idle,
      waiting: known.waiting + waiting,
    });
  }
  return [...lanes.values()];
}

/** The listeners of several workers as one; undefined without any. Pure. */
export function mergeListeners(states: readonly ListenerState[]): ListenerState | undefined {
  const [first] = states;
  return (
    first &&
    states.slice(1).reduce(
      (sum, { connections, requests, streams }) => ({
        url: sum.url,
        connections: sum.connections + connections,
        requests: sum.requests + requests,
        streams: sum.streams + streams,
      }),
      first,
    )
  );
}
