import { ProxyError } from '../../core/errors/errors.ts';
import { type Id, isObject, type JsonObject } from '../../core/jsonrpc/message.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ProbeResult } from '../../pool/health.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { LeaseOutcome, Replacement } from '../../pool/members.ts';
import { Pool } from '../../pool/pool.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import { Resends } from './resends.ts';
import type { Session } from './session.ts';

export interface SessionPoolDeps {
  readonly limits: PoolLimits;
  /** Of all conversations; the first session has one. */
  readonly quota: SessionQuota;
  readonly clock: Clock;
  /**
   * Opens a session as the client opened its own, and tells it what that was told. `met` before
   * anything is told.
   */
  readonly open: (signal: AbortSignal, created: (session: Session) => void) => Promise<Session>;
  /** Asks a session, and gives the whole answer. */
  readonly request: (session: Session, method: string, signal: AbortSignal) => Promise<JsonObject>;
  readonly primary: () => Session;
  /** The first session is no more, and this one takes over what only one session does. */
  readonly onPrimaryReplaced: (session: Session) => void;
  /** The server has lost the first session. */
  readonly onPrimaryLost: () => void;
  readonly openFailed: (error: unknown) => void;
}

const METHOD_NOT_FOUND = -32601;

const isTransportFailure = (error: unknown): boolean =>
  error instanceof ProxyError && (error.reason === 'connection-lost' || error.reason === 'connect-failed');

/**
 * One more session than --max-sessions, and only for the moment in which one takes the place of
 * another.
 */
const MAX_REPLACEMENT_OVERLAP = 1;

/**
 * The sessions of one conversation, where tool calls are spread over several: the client's first,
 * and those beside it.
 */
export class SessionPool {
  readonly #deps: SessionPoolDeps;
  readonly #pool: Pool<Session>;
  /** All that are open, the first included. */
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
      open: (signal) => this.#openSession(signal),
      close: (session) => this.#close(session),
      probe: (session, method, signal) => this.#probe(session, method, signal),
    });
    this.#open.add(first);
    this.#pool.adopt(first);
  }

  /** True while no session is the first: it has been closed, and its successor is not there yet. */
  get vacant(): boolean {
    return this.#vacant;
  }

  /** The session that a request is under way on. */
  findByRequest(id: Id): Session | undefined {
    return [...this.#open].find((session) => session.carries(id));
  }

  get others(): readonly Session[] {
    const first = this.#deps.primary();
    return [...this.#open].filter((session) => session !== first && !session.lost);
  }

  /**
   * Runs a tool call on a session with room. One that is turned away by a session that is gone goes
   * to the next.
   */
  async sendCall(call: Call, send: (session: Session) => Promise<Reply>): Promise<Reply> {
    const { clock } = this.#deps;
    let since = clock.monotonic();
    for (let resends: Resends | undefined; ; ) {
      const lease = await this.#pool.lease(call.signal);
      const session = lease.item;
      let ended: LeaseOutcome = 'ok';
      let loss: unknown;
      try {
        return await send(session);
      } catch (error) {
        loss = error;
        const first = session === this.#deps.primary();
        if (!isSessionLost(error)) {
          // The first has more to it than calls: whether it is gone, the server has to say.
          if (!first && isTransportFailure(error)) ended = 'broken';
          throw error;
        }
        if (first) this.#deps.onPrimaryLost();
        else {
          // Another identity's is left when what is under way there has ended.
          if (!session.foreign) session.markLost();
          ended = 'broken';
        }
      } finally {
        lease.release(ended);
      }
      // Any number of old sessions may be gone at once; new ones that are lost cost a wait.
      if (lease.openedAt >= since) {
        resends ??= new Resends(clock, call);
        await resends.waitAfter(loss);
      }
      since = clock.monotonic();
    }
  }

  /** For what is no tool call: its session is not closed under it. */
  async withHold<R>(session: Session, work: () => Promise<R>): Promise<R> {
    const release = this.#pool.hold(session);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /**
   * The first session is lost, and is being opened anew. Undefined where it was given up before.
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

  /** A session to be the first from now on: one that is open, or the next that is. */
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

  async #openSession(signal: AbortSignal): Promise<Session> {
    let created: Session | undefined;
    try {
      const session = await this.#deps.open(signal, (opened) => {
        created = opened;
        this.#open.add(opened);
      });
      session.onLost = () => {
        // The next call finds out, and leaves it.
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

  async #close(session: Session): Promise<void> {
    if (session === this.#deps.primary()) {
      const [next] = this.#pool.items;
      if (next) this.#replacePrimary(next);
      else this.#vacant = true;
    }
    try {
      await session.close();
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
