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
import { notInTime, OPEN_LIMIT, type Opener, type OpenLimit, type SessionOpening } from './opener.ts';
import { Reopening } from './reopening.ts';
import type { Session } from './session.ts';
import { SessionPool } from './session-pool.ts';

export interface SessionManagerDeps {
  readonly profile: string;
  /**
   * The client has opened the session of another profile, and this one follows it: only an error's
   * text tells the client of it.
   */
  readonly follows: boolean;
  readonly opener: Opener;
  /** Another session has taken the place of the one before. */
  readonly replaced: () => void;
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined: one session carries everything. */
  readonly limits: PoolLimits | undefined;
  /** Of all conversations. */
  readonly places: SessionQuota;
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
  readonly #reopening = new Reopening<Session>(this.#closing.signal);
  /** Before `initialize`, one that has no id. */
  #session: Session;
  #opening: SessionOpening | undefined;
  #spread: SessionPool | undefined;
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
  sessionOf(id: Id): Session {
    const lost = [...this.#former].find((session) => session.carries(id));
    return lost ?? this.#spread?.carrierOf(id) ?? this.#session;
  }

  /**
   * How the session of this moment was opened; undefined before there was one, and when all is
   * over.
   */
  get opening(): SessionOpening | undefined {
    return this.#opening;
  }

  /** Undefined where one session carries everything. */
  get spread(): SessionPool | undefined {
    return this.#spread;
  }

  /** Nothing more is sent or opened. */
  get closing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** True where the session of this moment carries nothing, or soon will not. */
  get isBroken(): boolean {
    return this.#reopening.running !== undefined || this.#session.lost || (this.#spread?.vacant ?? false);
  }

  /**
   * Waits for an opening that all callers share while it runs, as long as the caller and the option
   * allow.
   */
  opened(open: (until: AbortSignal) => Promise<Session>, signal: AbortSignal): Promise<Session> {
    return this.#wait(() => this.#reopening.join(open), signal);
  }

  /**
   * What is being opened is not wanted any more: it would overwrite what the client has opened
   * itself.
   */
  abandon(): void {
    this.#reopening.abandon(new Error('the client has opened a session itself'));
  }

  /**
   * From now on this session carries the conversation, and the former one is left.
   * @param placed - whether a place was taken for it.
   */
  begin(session: Session, opening: SessionOpening, placed: boolean): void {
    const { limits, places } = this.#deps;
    const former = this.#session;
    const again = this.#opening !== undefined;
    this.#adopt(session);
    this.#opening = opening;
    if (again) this.#deps.replaced();
    // A client that initializes again has left its former session: nobody else would ever delete
    // it.
    void former.close();
    void this.#spread?.close();
    if (!limits) {
      // One place is enough: the former session's is this one's now.
      if (placed && again) places.give();
      return;
    }
    // A pool gives back the places of its sessions itself, the first one's included.
    if (!placed) places.occupy();
    this.#spread = this.#spreadOver(limits, opening, session);
  }

  /** Sessions beside the first, opened as the client opened that. */
  #spreadOver(limits: PoolLimits, opening: SessionOpening, first: Session): SessionPool {
    const { clock, places } = this.#deps;
    return new SessionPool(
      {
        limits,
        places,
        clock,
        open: (signal, met) => this.#deps.opener.open(opening, signal, met),
        ask: (session, method, signal) => this.#deps.opener.ask(session, opening, method, signal),
        first: () => this.#session,
        succeeded: (session) => this.#succeed(session, opening),
        lostFirst: () => {
          this.#reopen(this.#session).catch(() => undefined);
        },
        openFailed: (error) => this.openFailed(error),
      },
      first,
    );
  }

  #adopt(session: Session): void {
    this.#session = session;
    session.onLost = () => {
      this.#reopen(session).catch(() => undefined);
    };
  }

  /** In the place of the former one, behind which another server may have stood. */
  #succeed(session: Session, { emit, isEcho }: SessionOpening): void {
    const { declared } = this.#session;
    this.#adopt(session);
    this.#deps.replaced();
    for (const change of listChanges(declared, session.declared)) {
      if (!isEcho?.(change, session)) void emit(change, session).catch(() => undefined);
    }
  }

  /**
   * Waits for a new session as long as the caller and the option allow.
   * @throws ProxyError session-lost, where none could be opened; the reason of the signal, for a
   * call that was not sent.
   */
  async reopened(dead: Session, signal: AbortSignal): Promise<Session> {
    try {
      return await this.#wait(() => this.#reopen(dead), signal);
    } catch (error) {
      const overdue = !signal.aborted && error instanceof ProxyError && error.reason === 'timeout';
      const { follows, profile } = this.#deps;
      throw overdue ? notReopened(error, follows ? profile : undefined) : error;
    }
  }

  #wait(begin: () => Promise<Session>, signal: AbortSignal): Promise<Session> {
    const { clock, openLimit = OPEN_LIMIT } = this.#deps;
    const refusal = (): ProxyError => notInTime(openLimit);
    return this.#reopening.wait(begin, signal, {
      clock,
      ms: openLimit.ms,
      again: openLimit.option !== undefined,
      refusal,
    });
  }

  /** One attempt for all who ask while it runs. */
  #reopen(dead: Session): Promise<Session> {
    const { running } = this.#reopening;
    if (running) return running;
    if (this.#session !== dead) return Promise.resolve(this.#session);
    return this.#reopening.join((until) => this.#openAnew(dead, until));
  }

  async #openAnew(dead: Session, until: AbortSignal): Promise<Session> {
    const { opener, events, profile, follows } = this.#deps;
    const opening = this.#opening;
    if (!opening) throw new TypeError('a session that was never opened cannot be lost');
    const abandon = (): void => this.#reopening.abandonUnwaited(new Error('no call waits for it any more'));
    const replacement = this.#spread?.replacing(dead, abandon);
    if (this.#spread && !replacement) {
      // It was given up before, and another stands in for it, or soon will.
      const session = await this.#spread.successor(until);
      if (session !== this.#session) this.#succeed(session, opening);
      return session;
    }
    events.emit({ type: 'session.lost', profile });
    const { foreign } = dead;
    // What the old session's streams still bring runs to its end; only what one that is lost has
    // asked of the client is over.
    if (!foreign) dead.forsake();
    for (const session of this.#former) if (session.idle) this.#former.delete(session);
    this.#former.add(dead);
    try {
      const session = await opener.open(opening, until);
      if (this.#session !== dead) {
        void session.close();
        return this.#session;
      }
      this.#succeed(session, opening);
      if (foreign) void this.#leave(dead);
      replacement?.with(session);
      return session;
    } catch (error) {
      if (this.#session !== dead) return this.#session;
      if (until.aborted && !this.closing) replacement?.abandoned();
      else replacement?.failed(error);
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
    const reopening = this.#reopening.running?.catch(() => undefined);
    if (pending) await pending;
    const sessions = [this.#session, ...this.#former];
    await Promise.all([...sessions.map((session) => session.close()), this.#spread?.close(), reopening]);
    if (this.#opening && !this.#spread) this.#deps.places.give();
    this.#opening = undefined;
  }

  /** The client has left: calls that wait for a session are refused; those under way go on. */
  refuseWaiting(): void {
    this.#spread?.refuseWaiting();
  }

  /**
   * Replaces every session with a new one; each that is in use is left when the last call on it has
   * ended.
   */
  drain(): void {
    if (this.#spread) this.#spread.drain();
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
      this.#session === former && !former.lost && !this.closing && !this.#reopening.running;
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
    const { opener, places } = this.#deps;
    if (!places.takeNow()) {
      await this.#renewInPlace(former, opening);
      return;
    }
    try {
      const session = await opener.open(opening, this.#closing.signal, () => undefined);
      if (this.#session !== former || this.closing) {
        await session.close();
        return;
      }
      this.#succeed(session, opening);
      this.#former.add(former);
    } catch (error) {
      places.give();
      throw error;
    }
    // The place of the former session, until its last call has ended. A drain that comes meanwhile
    // is for its successor.
    void this.#leave(former).finally(() => places.give());
  }

  /**
   * Where there may be no session more: the former one goes first, when nobody uses it, and who
   * comes meanwhile waits for the new one.
   */
  async #renewInPlace(former: Session, opening: SessionOpening): Promise<void> {
    await former.atRest();
    if (this.#session !== former || this.closing || this.#reopening.running || former.lost) return;
    await this.#reopening.join(async (until) => {
      await former.close();
      former.forsake();
      const session = await this.#deps.opener.open(opening, until);
      this.#succeed(session, opening);
      return session;
    });
  }

  async #leave(former: Session): Promise<void> {
    await former.atRest();
    this.#former.delete(former);
    await former.close();
  }

  /** The log hears of it; those who need the session hear of it themselves. */
  openFailed(error: unknown): void {
    const { events, profile } = this.#deps;
    events.emit({ type: 'session.open-failed', profile, message: causeText(error) });
  }
}
