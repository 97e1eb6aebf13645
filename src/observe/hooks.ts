import { causeText } from '../core/errors/errors.ts';
import type { Events, ProxyEvent } from '../core/pipeline/events.ts';

type EventOf<T extends ProxyEvent['type']> = Extract<ProxyEvent, { type: T }>;

/**
 * Functions to call when something happens. They may return a promise; nothing waits for it. One
 * that throws or rejects is reported by the event `hook.failed`, and has no other effect.
 */
export interface ProxyHooks {
  /** A session with the server was opened; `reason` says why. */
  readonly onSessionCreated?: (event: EventOf<'session.opened'>) => unknown;
  /** A session ended; `reason` says why. */
  readonly onSessionDestroyed?: (event: EventOf<'session.closed'>) => unknown;
  /** A tool call got a session of the pool. */
  readonly onBorrow?: (event: EventOf<'session.borrowed'>) => unknown;
  /** A tool call returned its session to the pool. */
  readonly onReturn?: (event: EventOf<'session.returned'>) => unknown;
  /** A session failed its health check. */
  readonly onHealthCheckFailed?: (event: EventOf<'session.checked'>) => unknown;
  /** The circuit breaker opened: no session is opened for a time. */
  readonly onCircuitOpen?: (event: EventOf<'breaker.opened'>) => unknown;
  /** The circuit breaker closed again. */
  readonly onCircuitClose?: (event: EventOf<'breaker.closed'>) => unknown;
  /** The server's list of tools changed. */
  readonly onSchemaChanged?: (event: EventOf<'tools.changed'>) => unknown;
  /** A request waited for its turn under a rate limit, or was refused. */
  readonly onRateLimited?: (event: EventOf<'rate.limited'>) => unknown;
  /** A tool call was refused because of `--max-concurrent`. */
  readonly onOverload?: (event: EventOf<'call.overloaded'>) => unknown;
}

const HOOK_OF: Readonly<Partial<Record<ProxyEvent['type'], keyof ProxyHooks>>> = {
  'session.opened': 'onSessionCreated',
  'session.closed': 'onSessionDestroyed',
  'session.borrowed': 'onBorrow',
  'session.returned': 'onReturn',
  'session.checked': 'onHealthCheckFailed',
  'breaker.opened': 'onCircuitOpen',
  'breaker.closed': 'onCircuitClose',
  'tools.changed': 'onSchemaChanged',
  'rate.limited': 'onRateLimited',
  'call.overloaded': 'onOverload',
};

/** Calls the hooks for the events of a proxy. */
export function attachHooks(events: Events, hooks: ProxyHooks): void {
  const failed = (hook: string, error: unknown): void =>
    events.emit({ type: 'hook.failed', hook, message: causeText(error) });
  const observe = (event: ProxyEvent): void => {
    const name = HOOK_OF[event.type];
    const hook = name && (hooks[name] as ((event: ProxyEvent) => unknown) | undefined);
    if (!hook || (event.type === 'session.checked' && event.healthy)) return;
    try {
      const result = hook(event);
      if (result instanceof Promise) result.catch((error: unknown) => failed(name, error));
    } catch (error) {
      failed(name, error);
    }
  };
  const calls = hooks.onBorrow !== undefined || hooks.onReturn !== undefined;
  events.subscribe(observe, { detailed: false, calls });
}
