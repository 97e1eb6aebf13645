import { describe, expect, it } from 'vitest';
import { MAX_SHOWN_USERS, mergeStates, withUsers } from '../../../src/core/pipeline/merged-state.ts';
import type { ProfileState, ProxyState, UserState } from '../../../src/core/pipeline/proxy-state.ts';

const profileOf = (profile: string, used: number, breaker: 'closed' | 'open' = 'closed'): ProfileState => ({
  profile,
  connections: [{ lane: 'request', used, idle: 1, waiting: 0 }],
  sessions: [],
  breaker: { state: breaker, failures: 0, cause: undefined },
  backpressure: { active: used, queued: 0, totalRejected: 0 },
  rateWaiting: 1,
  learnedRate: undefined,
});

const stateOf = (...profiles: ProfileState[]): ProxyState => ({
  endpoint: 'https://mcp.example.com/mcp',
  service: 's',
  region: 'r',
  limits: undefined,
  profiles,
});

const userOf = (name: string): UserState => ({
  ...{ name, rule: 'x', account: undefined, role: undefined },
  ...{ requests: 0, connections: 0, breaker: 'closed' },
});

describe('the state of a proxy with the users of its identity map', () => {
  it('connections, limits and breakers of users count for their profile, or for the first one', () => {
    const own = stateOf(profileOf('', 0), profileOf('dev', 0));
    const states = [stateOf(profileOf('dev', 2)), stateOf(profileOf('ops', 3, 'open'))];
    const merged = withUsers(own, states, [userOf('a'), userOf('b')]);
    expect(
      merged.profiles.map(({ profile, connections, breaker }) => [profile, connections, breaker.state]),
    ).toEqual([
      ['', [{ lane: 'request', used: 3, idle: 2, waiting: 0 }], 'open'],
      ['dev', [{ lane: 'request', used: 2, idle: 2, waiting: 0 }], 'closed'],
    ]);
    expect(merged.profiles[0]).toMatchObject({ backpressure: { active: 3 }, rateWaiting: 2 });
    expect([merged.userCount, merged.users?.map(({ name }) => name)]).toEqual([2, ['a', 'b']]);
  });

  it('at most a hundred users are listed, also of several workers, and all are counted', () => {
    const users = Array.from({ length: MAX_SHOWN_USERS + 1 }, (_, at) => userOf(`u-${at}`));
    const one = withUsers(stateOf(profileOf('', 0)), [], users);
    const both = mergeStates([one, one]);
    expect([one.users?.length, one.userCount]).toEqual([MAX_SHOWN_USERS, MAX_SHOWN_USERS + 1]);
    expect([both?.users?.length, both?.userCount]).toEqual([MAX_SHOWN_USERS, 2 * (MAX_SHOWN_USERS + 1)]);
  });

  it('a proxy without an identity map lists no users', () => {
    const merged = mergeStates([stateOf(profileOf('', 0)), stateOf(profileOf('', 1))]);
    expect([merged?.users, merged?.userCount]).toEqual([undefined, undefined]);
  });
});
