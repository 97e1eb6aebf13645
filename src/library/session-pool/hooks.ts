import { callbackFailed, type SessionPoolError } from './errors.ts';

/** Why a pool opened a session. */
export type PoolOpenReason = 'warmup' | 'demand' | 'recovery' | 'recycled' | 'drain' | 'unhealthy';

/** Why a session of a pool ended. */
export type PoolCloseReason =
  | 'closed'
  | 'expired'
  | 'idle'
  | 'recycled'
  | 'drain'
  | 'unhealthy'
  | 'broken'
  | 'resize'
  | 'lost'
  | 'evicted';

/** The session that an event is about. */
export interface PoolSessionEvent {
  /** Twelve hexadecimal digits. */
  readonly sessionId: string;
  /** The key of the pool that the session belongs to. */
  readonly key: string;
}

/** The numbers of sessions of a key after a borrow or a return. */
export interface PoolUseEvent extends PoolSessionEvent {
  /** Sessions that are borrowed. */
  readonly active: number;
  /** Open sessions that are not borrowed. */
  readonly idle: number;
}

/**
 * Functions to call when something happens. They may return a promise; nothing waits for it, and
 * they may borrow a session. One that throws or rejects is reported to `onHookFailed`, and has no
 * other effect.
 */
export interface SessionPoolHooks {
  /** A session was opened. */
  readonly onSessionCreated?: (event: PoolSessionEvent & { readonly reason: PoolOpenReason }) => unknown;
  /** A session ended. */
  readonly onSessionDestroyed?: (event: PoolSessionEvent & { readonly reason: PoolCloseReason }) => unknown;
  /** A session was borrowed. */
  readonly onBorrow?: (event: PoolUseEvent & { readonly waitSeconds: number }) => unknown;
  /** A session was returned. */
  readonly onReturn?: (event: PoolUseEvent & { readonly broken: boolean }) => unknown;
  /** A session failed its health check. */
  readonly onHealthCheckFailed?: (event: PoolSessionEvent & { readonly error: unknown }) => unknown;
  /** The circuit breaker of a key opened. */
  readonly onCircuitOpen?: (event: {
    readonly key: string;
    readonly failures: number;
    readonly cause: string;
  }) => unknown;
  /** The circuit breaker of a key closed again. */
  readonly onCircuitClose?: (event: { readonly key: string }) => unknown;
  /** The list of tools differs from the last one. */
  readonly onSchemaChanged?: (event: { readonly key: string; readonly schemaHash: string }) => unknown;
  /** A borrow waited for the rate limit, or was refused by it. */
  readonly onRateLimited?: (event: { readonly refused: boolean }) => unknown;
  /** The autoscaler changed the minimum number of sessions. */
  readonly onAutoscale?: (event: {
    readonly direction: 'up' | 'down';
    readonly minSessions: number;
  }) => unknown;
  /** A hook threw or rejected; `error.field` names it. */
  readonly onHookFailed?: (error: SessionPoolError) => unknown;
}

type HookName = Exclude<keyof SessionPoolHooks, 'onHookFailed'>;

/** Calls hooks. A hook that fails does not affect the pool. */
export class HookCaller {
  readonly #hooks: SessionPoolHooks;

  constructor(hooks: SessionPoolHooks = {}) {
    this.#hooks = hooks;
  }

  has(name: HookName): boolean {
    return this.#hooks[name] !== undefined;
  }

  call<N extends HookName>(name: N, event: Parameters<NonNullable<SessionPoolHooks[N]>>[0]): void {
    const hook = this.#hooks[name] as ((event: unknown) => unknown) | undefined;
    if (!hook) return;
    try {
      const result = hook(event);
      if (isThenable(result)) result.then(undefined, (error: unknown) => this.#failed(name, error));
    } catch (error) {
      this.#failed(name, error);
    }
  }

  #failed(name: HookName, cause: unknown): void {
    try {
      const result = this.#hooks.onHookFailed?.(callbackFailed(`hooks.${name}`, 'failed', cause));
      if (isThenable(result)) result.then(undefined, () => undefined);
    } catch {
      // `onHookFailed` itself failed, so nothing can report it.
    }
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
