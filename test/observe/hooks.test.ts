import { expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { attachHooks, type ProxyHooks } from '../../src/observe/hooks.ts';

const profile = 'p';
const session = 'hash';

it.each<[keyof ProxyHooks, ProxyEvent]>([
  [
    'onSessionCreated',
    {
      ...{ type: 'session.opened', profile, session, reason: 'recovery' },
      ...{ protocolVersion: '2025-11-25', hasId: true, ms: 3 },
    },
  ],
  ['onSessionDestroyed', { type: 'session.closed', profile, session, reason: 'idle', how: 'x', ageMs: 9 }],
  ['onBorrow', { type: 'session.borrowed', profile, session, call: 1, waitMs: 12, active: 1, idle: 2 }],
  ['onReturn', { type: 'session.returned', profile, session, call: 1, broken: false, active: 0, idle: 3 }],
  ['onHealthCheckFailed', { type: 'session.checked', profile, session, healthy: false, error: 'no answer' }],
  ['onCircuitOpen', { type: 'breaker.opened', profile, from: 'closed', failures: 5, cause: 'HTTP 503' }],
  ['onCircuitClose', { type: 'breaker.closed', profile, from: 'half-open' }],
  ['onSchemaChanged', { type: 'tools.changed', profile, announced: true }],
  ['onRateLimited', { type: 'rate.limited', profile, by: 'option', outcome: 'waited', ms: 40, waiting: 2 }],
  [
    'onOverload',
    {
      ...{ type: 'call.overloaded', profile, tool: 't', reason: 'queue_full', active: 1, queued: 2 },
      ...{ maxConcurrent: 1, queueSize: 2, queueTimeoutMs: 3 },
    },
  ],
])('the hook %s gets its event, and no other hook does', (name, event) => {
  const got: [string, unknown][] = [];
  const hooks = Object.fromEntries(
    ALL_HOOKS.map((each) => [each, (given: unknown) => void got.push([each, given])]),
  );
  const events = new Events();
  attachHooks(events, hooks);
  if (event.type === 'session.borrowed' || event.type === 'session.returned') events.emitOfCall(event);
  else events.emit(event);
  expect(got).toEqual([[name, event]]);
});

const ALL_HOOKS: readonly (keyof ProxyHooks)[] = [
  ...(['onSessionCreated', 'onSessionDestroyed', 'onBorrow', 'onReturn', 'onHealthCheckFailed'] as const),
  ...(['onCircuitOpen', 'onCircuitClose', 'onSchemaChanged', 'onRateLimited', 'onOverload'] as const),
];

it('a health check that succeeds calls no hook', () => {
  let failures = 0;
  const events = new Events();
  attachHooks(events, { onHealthCheckFailed: () => failures++ });
  events.emit({ type: 'session.checked', profile, session, healthy: true, error: undefined });
  expect(failures).toBe(0);
});
