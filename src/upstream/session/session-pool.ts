import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { type Id, isObject, type JsonObject, METHOD_NOT_FOUND } from '../../core/jsonrpc/message.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import { addWait } from '../../core/pipeline/call-record.ts';
import type { Events, SessionCloseReason, SessionOpenReason } from '../../core/pipeline/events.ts';
import { endWith } from '../../core/pipeline/span-outcome.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ProbeResult } from '../../pool/health.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { LeaseOutcome, Replacement } from '../../pool/members.ts';
import { Pool, type PoolCounts, type PoolItem } from '../../pool/pool.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import { Resends } from './resends.ts';
import type { Session } from './session.ts';

export interface SessionPoolDeps {
  readonly limits: PoolLimits;
  /** Shared by all clients; the first session has acquired its part. */
  readonly quota: SessionQuota;
  readonly clock: Clock;
  readonly events: Events;
  readonly profile: string;
  /**
   * Opens a session as the client opened its own, and replays the client's state. Calls its
   * callback before the replay.
   */
  readonly open: (
    signal: AbortSignal,
    reason: SessionOpenReason,
    created: (session: Session) => void,
  ) => Promise<Session>;
  /** Sends a request of the proxy and returns the whole answer. */
  readonly request: (session: Session, method: string, signal: AbortSignal) => Promise<JsonObject>;
  readonly primary: () => Session;
  /** Called when another session becomes the primary. */
  readonly onPrimaryReplaced: (session: Session) => void;
  /** Called when the server has lost the primary session. */
  readonly onPrimaryLost: () => void;
  readonly openFailed: (error: unknown) => void;
}

const isTransportFailure = (error: unknown): boolean =>
  error instanceof ProxyError && (error.reason === 'connection-lost' || error.reason === 'connect-failed');

/** One session beyond --max-sessions, only while one replaces another. */
const MAX_REPLACEMENT_OVERLAP = 1;

/**
 * The sessions of one client and profile where tool calls are spread over several: the primary and
 * the others.
 */
export class SessionPool {
  readonly #deps: SessionPoolDeps;
  readonly #pool: Pool<Session>;
  /** All open sessions, the primary included. */
  readonly #open = new Set<Session>();
  #vacant = false;

  constructor(deps: SessionPoolDeps, first: Session) {
    const { limits, quota, clock, openFailed } = deps;
    this.#deps = deps;
    this.#pool = new Pool<Session>({
      limits,
      quota,
      clock,
      overlap: MAX_REPLACEMENT_OVERLAP,
      openFailed,
      open: (signal, reason) => this.#openSession(signal, reason),
      close: (session, reason) => this.#close(session, reason),
      checked: (session, healthy, error) => this.#reportCheck(session, healthy, error),
      probe: (session, method, signal) => this.#probe(session, method, signal),
    });
    this.#open.add(first);
    this.#pool.adopt(first);
  }

  /** True while there is no primary session. */
  get vacant(): boolean {
    return this.#vacant;
  }

  /** The session that carries a request. */
  findByRequest(id: Id): Session | undefined {
    return [...this.#open].find((session) => session.carries(id));
  }

  get others(): readonly Session[] {
    const first = this.#deps.primary();
    return [...this.#open].filter((session) => session !== first && !session.lost);
  }

  /** Runs a tool call on a session with room; where that session is lost, on the next. */
  async sendCall(call: Call, send: (session: Session) => Promise<Reply>): Promise<Reply> {
    const { clock, events } = this.#deps;
    let since = clock.monotonic();
    for (let resends: Resends | undefined; ; ) {
      const asked = clock.monotonic();
      const span = call.record?.span?.begin({ type: 'borrow', profile: call.profile });
      const leased = endWith(span, this.#pool.lease(call.signal));
      const lease = await addWait(call.record, 'sessionMs', clock, leased);
      const session = lease.item;
      if (events.observesCalls) this.#reportBorrow(call, session, clock.monotonic() - asked);
      let ended: LeaseOutcome = 'ok';
      let loss: unknown;
      try {
        return await send(session);
      } catch (error) {
        loss = error;
        const first = session === this.#deps.primary();
        if (!isSessionLost(error)) {
          // The primary carries more than calls, so only the server's word counts it as lost.
          if (!first && isTransportFailure(error)) ended = 'broken';
          throw error;
        }
        if (first) this.#deps.onPrimaryLost();
        else {
          // A foreign session is closed after its last call.
          if (!session.foreign) session.markLost();
          ended = 'broken';
        }
      } finally {
        lease.release(ended);
        if (events.observesCalls) this.#reportReturn(call, session, ended);
      }
      // Any number of old sessions may be lost at once; only lost new ones cost a wait.
      if (lease.openedAt >= since) {
        resends ??= new Resends(clock, call);
        await resends.waitAfter(loss);
      }
      since = clock.monotonic();
    }
  }

  #reportBorrow({ profile, record }: Call, { label }: Session, waitMs: number): void {
    const { active, idle } = this.#pool.counts;
    const call = record?.number;
    this.#deps.events.emit({
      type: 'session.borrowed',
      profile,
      session: label,
      call,
      waitMs,
      active,
      idle,
    });
  }

  #reportReturn({ profile, record }: Call, { label }: Session, ended: LeaseOutcome): void {
    const { active, idle } = this.#pool.counts;
    this.#deps.events.emit({
      type: 'session.returned',
      profile,
      session: label,
      call: record?.number,
      broken: ended === 'broken',
      active,
      idle,
    });
  }

  #reportCheck({ label, profile }: Session, healthy: boolean, failure: unknown): void {
    const error = failure === undefined ? undefined : causeText(failure);
    this.#deps.events.emit({ type: 'session.checked', profile, session: label, healthy, error });
  }

  /** The pool, for what it counts. */
  get counts(): PoolCounts {
    return this.#pool.counts;
  }

  /** What is known of each session. */
  describe(): readonly PoolItem<Session>[] {
    return this.#pool.describe();
  }

  /** Keeps the session open during work other than tool calls. */
  async withHold<R>(session: Session, work: () => Promise<R>): Promise<R> {
    const release = this.#pool.hold(session);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /**
   * Reserves the slot of the lost primary session. Undefined where the pool has given it up.
   * @param abandon - called when no tool call waits for the new one any more.
   */
  beginReplacement(dead: Session, abandon: () => void): Replacement<Session> | undefined {
    const replacement = this.#pool.beginReplacement(dead, abandon);
    if (!replacement) return undefined;
    return {
      complete: (fresh) => {
        this.#open.delete(dead);
        this.#open.add(fresh);
        replacement.complete(fresh);
      },
      fail: (error) => {
        this.#open.delete(dead);
        replacement.fail(error);
      },
      abandon: () => {
        this.#open.delete(dead);
        replacement.abandon();
      },
    };
  }

  /** Returns the next primary: an open session, or the next that opens. */
  async nextPrimary(signal: AbortSignal): Promise<Session> {
    const [session] = this.#pool.items;
    if (session) {
      this.#vacant = false;
      return session;
    }
    const { item, release } = await this.#pool.lease(signal);
    release('ok');
    this.#vacant = false;
    return item;
  }

  refuseWaiting(): void {
    this.#pool.refuseWaiting();
  }

  drain(): void {
    this.#pool.drain();
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #openSession(signal: AbortSignal, reason: SessionOpenReason): Promise<Session> {
    let created: Session | undefined;
    try {
      const session = await this.#deps.open(signal, reason, (opened) => {
        created = opened;
        this.#open.add(opened);
      });
      session.onLost = () => {
        // The next call notices it.
        if (session.foreign) return;
        session.markLost();
        this.#pool.discard(session);
      };
      if (this.#vacant) this.#replacePrimary(session);
      return session;
    } catch (error) {
      if (created) this.#open.delete(created);
      throw error;
    }
  }

  #replacePrimary(session: Session): void {
    this.#vacant = false;
    this.#deps.onPrimaryReplaced(session);
  }

  async #close(session: Session, reason: SessionCloseReason): Promise<void> {
    if (session === this.#deps.primary()) {
      const [next] = this.#pool.items;
      if (next) this.#replacePrimary(next);
      else this.#vacant = true;
    }
    try {
      await session.close(reason);
    } finally {
      this.#open.delete(session);
    }
  }

  async #probe(session: Session, method: string, signal: AbortSignal): Promise<ProbeResult> {
    try {
      const { error } = await this.#deps.request(session, method, signal);
      if (!isObject(error)) return 'answered';
      if (error.code === METHOD_NOT_FOUND) return 'unknown-method';
    } catch (error) {
      if (isSessionLost(error)) {
        if (session === this.#deps.primary()) this.#deps.onPrimaryLost();
        else if (!session.foreign) session.markLost();
      }
      throw error;
    }
    throw new Error(`the server answered ${method} with an error`);
  }
}
