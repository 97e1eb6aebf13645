import { causeText, ProxyError } from '../../core/errors/errors.ts';
import type { Id } from '../../core/jsonrpc/message.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import { CallController } from '../../core/time/call-signal.ts';
import { type Clock, sleep } from '../../core/time/clock.ts';
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
  /**
   * The client has opened the session of another profile, and this one follows it: only an error's
   * text tells the client of it.
   */
  readonly follows: boolean;
  readonly opener: Opener;
  /** Another session has taken the place of the one before. */
  readonly onReplaced: () => void;
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined: one session carries everything. */
  readonly limits: PoolLimits | undefined;
  /** Of all conversations. */
  readonly quota: SessionQuota;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
}

/** Waits before the next try to replace a session that works, where the last one failed. */
const RENEW_BASE_MS = 1_000;
const RENEW_MAX_MS = 30_000;

/**
 * The sessions that carry one conversation, one after the other, and beside the one of the moment
 * those over which tool calls are spread: one that is lost is opened anew, as it was opened, once
 * for all who need it.
 */
export class SessionManager {
  readonly #deps: SessionManagerDeps;
  readonly #closing = new CallController();
  readonly #sharedOpening = new SharedOpening<Session>(this.#closing.signal);
  /** Before `initialize`, one that has no id. */
  #session: Session;
  #opening: SessionOpening | undefined;
  #pool: SessionPool | undefined;
  /**
   * Sessions that the server has lost, or that were replaced, for as long as something on them
   * still runs to its end.
   */
  readonly #former = new Set<Session>();
  #renewing = false;

  constructor(deps: SessionManagerDeps, unopened: Session) {
    this.#deps = deps;
    this.#session = unopened;
  }

  /** The session of this moment. */
  get session(): Session {
    return this.#session;
  }

  /**
   * The session that a request is under way on: the one of this moment, or one that was lost while
   * it answered.
   */
  sessionFor(id: Id): Session {
    const lost = [...this.#former].find((session) => session.carries(id));
    return lost ?? this.#pool?.findByRequest(id) ?? this.#session;
  }

  /**
   * How the session of this moment was opened; undefined before there was one, and when all is
   * over.
   */
  get opening(): SessionOpening | undefined {
    return this.#opening;
  }

  /** Undefined where one session carries everything. */
  get pool(): SessionPool | undefined {
    return this.#pool;
  }

  /** Nothing more is sent or opened. */
  get closing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** True where the session of this moment carries nothing, or soon will not. */
  get isBroken(): boolean {
    return this.#sharedOpening.running !== undefined || this.#session.lost || (this.#pool?.vacant ?? false);
  }

  /**
   * Waits for an opening that all callers share while it runs, as long as the caller and the option
   * allow.
   */
  waitForOpening(open: (until: AbortSignal) => Promise<Session>, signal: AbortSignal): Promise<Session> {
    return this.#wait(() => this.#sharedOpening.join(open), signal);
  }

  /**
   * What is being opened is not wanted any more: it would overwrite what the client has opened
   * itself.
   */
  abandonOpening(): void {
    this.#sharedOpening.abandon(new Error('the client has opened a session itself'));
  }

  /**
   * From now on this session carries the conversation, and the former one is left.
   * @param hasQuota - whether a place was taken for it.
   */
  begin(session: Session, opening: SessionOpening, hasQuota: boolean): void {
    const { limits, quota } = this.#deps;
    const former = this.#session;
    const again = this.#opening !== undefined;
    this.#setSession(session);
    this.#opening = opening;
    if (again) this.#deps.onReplaced();
    // A client that initializes again has left its former session: nobody else would ever delete
    // it.
    void former.close();
    void this.#pool?.close();
    if (!limits) {
      // One place is enough: the former session's is this one's now.
      if (hasQuota && again) quota.release();
      return;
    }
    // A pool gives back the places of its sessions itself, the first one's included.
    if (!hasQuota) quota.forceAcquire();
    this.#pool = this.#createPool(limits, opening, session);
  }

  /** Sessions beside the first, opened as the client opened that. */
  #createPool(limits: PoolLimits, opening: SessionOpening, first: Session): SessionPool {
    const { clock, quota } = this.#deps;
    return new SessionPool(
      {
        limits,
        quota,
        clock,
        open: (signal, met) => this.#deps.opener.open(opening, signal, met),
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

  /** In the place of the former one, behind which another server may have stood. */
  #replaceSession(session: Session, { emit, isDuplicate }: SessionOpening): void {
    const { initializeResult } = this.#session;
    this.#setSession(session);
    this.#deps.onReplaced();
    for (const change of listChanges(initializeResult, session.initializeResult)) {
      if (!isDuplicate?.(change, session)) void emit(change, session).catch(() => undefined);
    }
  }

  /**
   * Waits for a new session as long as the caller and the option allow.
   * @throws ProxyError session-lost, where none could be opened; the reason of the signal, for a
   * call that was not sent.
   */
  async waitForReplacement(lost: Session, signal: AbortSignal): Promise<Session> {
    try {
      return await this.#wait(() => this.#reopen(lost), signal);
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

  /** One attempt for all who ask while it runs. */
  #reopen(lost: Session): Promise<Session> {
    const { running } = this.#sharedOpening;
    if (running) return running;
    if (this.#session !== lost) return Promise.resolve(this.#session);
    return this.#sharedOpening.join((until) => this.#openReplacement(lost, until));
  }

  async #openReplacement(lost: Session, until: AbortSignal): Promise<Session> {
    const { opener, events, profile, follows } = this.#deps;
    const opening = this.#opening;
    if (!opening) throw new TypeError('a session that was never opened cannot be lost');
    const abandon = (): void =>
      this.#sharedOpening.abandonUnwaited(new Error('no call waits for it any more'));
    const replacement = this.#pool?.beginReplacement(lost, abandon);
    if (this.#pool && !replacement) {
      // It was given up before, and another stands in for it, or soon will.
      const session = await this.#pool.nextPrimary(until);
      if (session !== this.#session) this.#replaceSession(session, opening);
      return session;
    }
    events.emit({ type: 'session.lost', profile });
    const { foreign } = lost;
    // What the old session's streams still bring runs to its end; only what one that is lost has
    // asked of the client is over.
    if (!foreign) lost.markLost();
    for (const session of this.#former) if (session.idle) this.#former.delete(session);
    this.#former.add(lost);
    try {
      const session = await opener.open(opening, until);
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
   * Deletes the sessions; one that is being opened is given up. Never throws.
   * @param pending - an opening of the client's own, which may still bring a session.
   */
  async close(pending: Promise<unknown> | undefined): Promise<void> {
    this.#closing.abort(new Error('the proxy is ending'));
    // One that is being opened at this moment closes what it has opened.
    const reopening = this.#sharedOpening.running?.catch(() => undefined);
    if (pending) await pending;
    const sessions = [this.#session, ...this.#former];
    await Promise.all([...sessions.map((session) => session.close()), this.#pool?.close(), reopening]);
    if (this.#opening && !this.#pool) this.#deps.quota.release();
    this.#opening = undefined;
  }

  /** The client has left: calls that wait for a session are refused; those under way go on. */
  refuseWaiting(): void {
    this.#pool?.refuseWaiting();
  }

  /**
   * Replaces every session with a new one; each that is in use is left when the last call on it has
   * ended.
   */
  drain(): void {
    if (this.#pool) this.#pool.drain();
    else void this.#renew();
  }

  /**
   * Opens a successor, again and again until that works, while the session of this moment serves
   * on. Never throws.
   */
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
      const session = await opener.open(opening, this.#closing.signal, () => undefined);
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
    // The place of the former session, until its last call has ended. A drain that comes meanwhile
    // is for its successor.
    void this.#closeWhenIdle(former).finally(() => quota.release());
  }

  /**
   * Where there may be no session more: the former one goes first, when nobody uses it, and who
   * comes meanwhile waits for the new one.
   */
  async #renewInPlace(former: Session, opening: SessionOpening): Promise<void> {
    await former.whenIdle();
    if (this.#session !== former || this.closing || this.#sharedOpening.running || former.lost) return;
    await this.#sharedOpening.join(async (until) => {
      await former.close();
      former.markLost();
      const session = await this.#deps.opener.open(opening, until);
      this.#replaceSession(session, opening);
      return session;
    });
  }

  async #closeWhenIdle(former: Session): Promise<void> {
    await former.whenIdle();
    this.#former.delete(former);
    await former.close();
  }

  /** The log hears of it; those who need the session hear of it themselves. */
  openFailed(error: unknown): void {
    const { events, profile } = this.#deps;
    events.emit({ type: 'session.open-failed', profile, message: causeText(error) });
  }
}
