import type { ConnectionState, ListenerState, ProfileState, ProxyState, UserState } from './proxy-state.ts';

/** As many as a person reads; a listener may serve a thousand. */
export const MAX_SHOWN_USERS = 100;

/** The states of several proxies as that of one; undefined without any. Pure. */
export function mergeStates(states: readonly ProxyState[]): ProxyState | undefined {
  const [first] = states;
  if (!first) return undefined;
  const users = states.flatMap((state) => state.users ?? []);
  const isMapped = states.some((state) => state.users !== undefined);
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
    users: isMapped ? users.slice(0, MAX_SHOWN_USERS) : undefined,
    userCount: isMapped ? states.reduce((sum, { userCount = 0 }) => sum + userCount, 0) : undefined,
  };
}

/**
 * The state of a proxy with those of its users. As with counts, what a profile of a rule has is
 * part of the first profile, unless the proxy serves that profile itself. Pure.
 */
export function withUsers(
  own: ProxyState,
  states: readonly ProxyState[],
  users: readonly UserState[],
): ProxyState {
  const names = new Set(own.profiles.map(({ profile }) => profile));
  const fallback = own.profiles[0]?.profile ?? '';
  const renamed = states.map((state) => ({
    ...state,
    profiles: state.profiles.map((each) => (names.has(each.profile) ? each : { ...each, profile: fallback })),
  }));
  const shown = { ...own, users: users.slice(0, MAX_SHOWN_USERS), userCount: users.length };
  return mergeStates([shown, ...renamed]) ?? own;
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
