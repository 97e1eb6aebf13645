import { causeText, ProxyError } from '../../core/errors/errors.ts';
import type { Id } from '../../core/jsonrpc/message.ts';
import type { Events, SessionCloseReason } from '../../core/pipeline/events.ts';
import type { SessionState } from '../../core/pipeline/proxy-state.ts';
import type { Span } from '../../core/pipeline/span.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { sleep } from '../../core/time/waits.ts';
import { listChanges } from '../../core/tools/list-changes.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { notReopened } from './errors.ts';
import { OPEN_LIMIT, type Opener, type OpenLimit, openTimeout, type SessionOpening } from './opener.ts';
import type { Session } from './session.ts';
import { SessionPool } from './session-pool.ts';
import { SharedOpening } from './shared-opening.ts';

export interface SessionManagerDeps {
  readonly profile: string;
  /** True for a follower profile: its errors name the profile. */
  readonly follows: boolean;
  readonly opener: Opener;
  /** Called when the session was replaced. */
  readonly onReplaced: () => void;
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined: one session carries everything. */
  readonly limits: PoolLimits | undefined;
  /** Shared by all clients. */
  readonly quota: SessionQuota;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
}

/** Waits between attempts to replace a working session. */
const RENEW_BASE_MS = 1_000;
const RENEW_MAX_MS = 30_000;

/**
 * The current session of one client and profile, its replacements, and the pool beside it. A lost
 * session is replaced once for all callers, opened as the client opened its own.
 */
export class SessionManager {
  readonly #deps: SessionManagerDeps;
  readonly #closing = new CallController();
  readonly #sharedOpening = new SharedOpening<Session>(this.#closing.signal);
  /** The current session; without an id before `initialize`. */
  #session: Session;
  #opening: SessionOpening | undefined;
  #pool: SessionPool | undefined;
  /** Former sessions on which requests are still in flight. */
  readonly #former = new Set<Session>();
  #renewing = false;

  constructor(deps: SessionManagerDeps, unopened: Session) {
    this.#deps = deps;
    this.#session = unopened;
  }

  /** The current session. */
  get session(): Session {
    return this.#session;
  }

  /**
   * The session that carries a request: the current one, or one that was lost while it answered.
   */
  sessionFor(id: Id): Session {
    const lost = [...this.#former].find((session) => session.carries(id));
    return lost ?? this.#pool?.findByRequest(id) ?? this.#session;
  }

  /** How the current session was opened; undefined before the first one and after `close`. */
  get opening(): SessionOpening | undefined {
    return this.#opening;
  }

  /** Undefined where one session carries everything. */
  get pool(): SessionPool | undefined {
    return this.#pool;
  }

  /** True once nothing more may be sent or opened. */
  get closing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** True where the current session cannot carry requests, or is being replaced. */
  get isBroken(): boolean {
    return this.#sharedOpening.running !== undefined || this.#session.lost || (this.#pool?.vacant ?? false);
  }

  /** Waits for a shared opening, within the limits of caller and option. */
  waitForOpening(open: (until: AbortSignal) => Promise<Session>, signal: AbortSignal): Promise<Session> {
    return this.#wait(() => this.#sharedOpening.join(open), signal);
  }

  /** Aborts a running opening: it would replace the session that the client has opened itself. */
  abandonOpening(): void {
    this.#sharedOpening.abandon(new Error('the client has opened a session itself'));
  }

  /**
   * Makes this session current and closes the previous one.
   * @param hasQuota - whether quota was acquired for it.
   */
  begin(session: Session, opening: SessionOpening, hasQuota: boolean): void {
    const { limits, quota } = this.#deps;
    const former = this.#session;
    const again = this.#opening !== undefined;
    this.#setSession(session);
    this.#opening = opening;
    if (again) this.#deps.onReplaced();
    // Nothing else would delete the previous session.
    void former.close();
    void this.#pool?.close();
    if (!limits) {
      // The previous session's quota is released; the new one keeps its own.
      if (hasQuota && again) quota.release();
      return;
    }
    // The pool releases the quota of its sessions, the first included.
    if (!hasQuota) quota.forceAcquire();
    this.#pool = this.#createPool(limits, opening, session);
  }

  /** Creates the pool of sessions beside the first. */
  #createPool(limits: PoolLimits, opening: SessionOpening, first: Session): SessionPool {
    const { clock, quota } = this.#deps;
    return new SessionPool(
      {
        limits,
        quota,
        clock,
        events: this.#deps.events,
        profile: this.#deps.profile,
        open: (signal, reason, met) => this.#deps.opener.open(opening, signal, met, reason),
        request: (session, method, signal) => this.#deps.opener.request(session, opening, method, signal),
        primary: () => this.#session,
        onPrimaryReplaced: (session) => this.#replaceSession(session, opening),
        onPrimaryLost: () => {
          this.#reopen(this.#session).catch(() => undefined);
        },
        openFailed: (error) => this.openFailed(error),
      },
      first,
    );
  }

  #setSession(session: Session): void {
    this.#session = session;
    session.onLost = () => {
      this.#reopen(session).catch(() => undefined);
    };
  }

  /**
   * Replaces the current session. The new server may differ, so the client is notified of changed
   * lists.
   */
  #replaceSession(session: Session, { emit, isDuplicate }: SessionOpening): void {
    const { initializeResult } = this.#session;
    this.#setSession(session);
    this.#deps.onReplaced();
    for (const change of listChanges(initializeResult, session.initializeResult)) {
      if (!isDuplicate?.(change, session)) void emit(change, session).catch(() => undefined);
    }
  }

  /**
   * Waits for a replacement, within the limits of caller and option.
   * @throws ProxyError session-lost, where none could be opened; the reason of the signal, for a
   * call that was not sent.
   * @param span - of the call; an opening that it begins is a part of it.
   */
  async waitForReplacement(lost: Session, signal: AbortSignal, span?: Span): Promise<Session> {
    try {
      return await this.#wait(() => this.#reopen(lost, span), signal);
    } catch (error) {
      const overdue = !signal.aborted && error instanceof ProxyError && error.reason === 'timeout';
      const { follows, profile } = this.#deps;
      throw overdue ? notReopened(error, follows ? profile : undefined) : error;
    }
  }

  #wait(begin: () => Promise<Session>, signal: AbortSignal): Promise<Session> {
    const { clock, openLimit = OPEN_LIMIT } = this.#deps;
    const refusal = (): ProxyError => openTimeout(openLimit);
    return this.#sharedOpening.wait(begin, signal, {
      clock,
      ms: openLimit.ms,
      retriesTimeout: openLimit.option !== undefined,
      refusal,
    });
  }

  /** Concurrent callers share one attempt. */
  #reopen(lost: Session, span?: Span): Promise<Session> {
    const { running } = this.#sharedOpening;
    if (running) return running;
    if (this.#session !== lost) return Promise.resolve(this.#session);
    return this.#sharedOpening.join((until) => this.#openReplacement(lost, until, span));
  }

  async #openReplacement(lost: Session, until: AbortSignal, span?: Span): Promise<Session> {
    const { opener, events, profile, follows } = this.#deps;
    const opening = this.#opening;
    if (!opening) throw new TypeError('a session that was never opened cannot be lost');
    const abandon = (): void =>
      this.#sharedOpening.abandonUnwaited(new Error('no call waits for it any more'));
    const replacement = this.#pool?.beginReplacement(lost, abandon);
    if (this.#pool && !replacement) {
      // The pool has given it up already, and has another session or will have one.
      const session = await this.#pool.nextPrimary(until);
      if (session !== this.#session) this.#replaceSession(session, opening);
      return session;
    }
    events.emit({ type: 'session.lost', profile });
    const { foreign } = lost;
    // Requests in flight on the old session go on; only its open server requests end.
    if (!foreign) lost.markLost();
    for (const session of this.#former) if (session.idle) this.#former.delete(session);
    this.#former.add(lost);
    try {
      const session = await opener.open(opening, until, undefined, 'recovery', span);
      if (this.#session !== lost) {
        void session.close();
        return this.#session;
      }
      this.#replaceSession(session, opening);
      if (foreign) void this.#closeWhenIdle(lost);
      replacement?.complete(session);
      return session;
    } catch (error) {
      if (this.#session !== lost) return this.#session;
      if (until.aborted && !this.closing) replacement?.abandon();
      else replacement?.fail(error);
      throw notReopened(error, follows ? profile : undefined);
    }
  }

  /**
   * Deletes the sessions and aborts openings. Never throws.
   * @param pending - a running `initialize` of the client, which may still open a session.
   */
  async close(pending: Promise<unknown> | undefined): Promise<void> {
    this.#closing.abort(new Error('the proxy is ending'));
    // A running opening closes the session it opens.
    const reopening = this.#sharedOpening.running?.catch(() => undefined);
    if (pending) await pending;
    const sessions = [this.#session, ...this.#former];
    await Promise.all([...sessions.map((session) => session.close()), this.#pool?.close(), reopening]);
    if (this.#opening && !this.#pool) this.#deps.quota.release();
    this.#opening = undefined;
  }

  /** The client has left: calls that wait for a session are refused, others go on. */
  refuseWaiting(): void {
    this.#pool?.refuseWaiting();
  }

  /** Replaces every session; one in use is closed after its last call. */
  drain(): void {
    if (this.#pool) this.#pool.drain();
    else void this.#renew();
  }

  /** Opens a successor, with retries, while the current session serves on. Never throws. */
  async #renew(): Promise<void> {
    const former = this.#session;
    if (this.#renewing || !this.#opening) return;
    this.#renewing = true;
    const { clock } = this.#deps;
    const isDue = (): boolean =>
      this.#session === former && !former.lost && !this.closing && !this.#sharedOpening.running;
    try {
      for (let failures = 1; isDue(); failures++) {
        try {
          await this.#renewOnce(former);
          return;
        } catch (error) {
          this.openFailed(error);
        }
        const delay = fullJitter(clock, failures, RENEW_BASE_MS, RENEW_MAX_MS);
        await sleep(clock, delay, this.#closing.signal).catch(() => undefined);
      }
    } finally {
      this.#renewing = false;
    }
  }

  async #renewOnce(former: Session): Promise<void> {
    const opening = this.#opening;
    if (!opening) return;
    const { opener, quota } = this.#deps;
    if (!quota.tryAcquire()) {
      await this.#renewInPlace(former, opening);
      return;
    }
    try {
      const session = await opener.open(opening, this.#closing.signal, () => undefined, 'drain');
      if (this.#session !== former || this.closing) {
        await session.close();
        return;
      }
      this.#replaceSession(session, opening);
      this.#former.add(former);
    } catch (error) {
      quota.release();
      throw error;
    }
    // The former session keeps quota until its last call has ended.
    void this.#closeWhenIdle(former, 'drain').finally(() => quota.release());
  }

  /**
   * Without quota for a successor, the session is closed first when idle; callers wait for the new
   * one.
   */
  async #renewInPlace(former: Session, opening: SessionOpening): Promise<void> {
    await former.whenIdle();
    if (this.#session !== former || this.closing || this.#sharedOpening.running || former.lost) return;
    await this.#sharedOpening.join(async (until) => {
      await former.close('drain');
      former.markLost();
      const session = await this.#deps.opener.open(opening, until, undefined, 'drain');
      this.#replaceSession(session, opening);
      return session;
    });
  }

  async #closeWhenIdle(former: Session, reason?: SessionCloseReason): Promise<void> {
    await former.whenIdle();
    this.#former.delete(former);
    await former.close(reason);
  }

  /** Describes the open sessions: those of the pool, or the current one. */
  describe(): readonly Omit<SessionState, 'client'>[] {
    const now = this.#deps.clock.monotonic();
    const seconds = (since: number): number => Math.round((now - since) / 10) / 100;
    if (this.#pool) {
      return this.#pool.describe().map(({ item, leases, borrowed, openedAt, usedAt }) => ({
        session: item.label,
        state: leases > 0 ? 'active' : 'idle',
        ageS: seconds(openedAt),
        idleS: leases > 0 ? 0 : seconds(usedAt),
        borrowCount: borrowed,
        primary: item === this.#session,
      }));
    }
    const { label, openedAt, idle, lost } = this.#session;
    if (openedAt === undefined || lost) return [];
    const state = idle ? 'idle' : 'active';
    return [{ session: label, state, ageS: seconds(openedAt), idleS: 0, borrowCount: 0, primary: true }];
  }

  /** Reports the failure; waiting callers get it as their error. */
  openFailed(error: unknown): void {
    const { events, profile } = this.#deps;
    events.emit({ type: 'session.open-failed', profile, message: causeText(error) });
  }
}
