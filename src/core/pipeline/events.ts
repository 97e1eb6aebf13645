import { withWordedTexts } from '../errors/wording.ts';
import type { Request } from '../jsonrpc/message.ts';
import type { RequestHeaders } from './call.ts';
import type { CallRecord, CallRecordOptions } from './call-record.ts';
import type { ExchangeMeter } from './exchange-meter.ts';
import type { Span, SpanPart } from './span.ts';

/** Why a session was opened. `recovery`: the server had lost its predecessor. */
export type SessionOpenReason =
  | 'client'
  | 'profile'
  | 'recovery'
  | 'demand'
  | 'minimum'
  | 'unhealthy'
  | 'recycled'
  | 'drain';

/**
 * Why a session ended. `closed`: its client or the proxy left, or it was replaced by its client.
 * `resize`: beyond a new maximum of a pool of the library.
 */
export type SessionCloseReason =
  | 'closed'
  | 'lost'
  | 'expired'
  | 'idle'
  | 'recycled'
  | 'drain'
  | 'unhealthy'
  | 'broken'
  | 'resize';

/**
 * The events that components emit. Observers (log, metrics) subscribe; no behaviour depends on
 * them. Times are in milliseconds, sizes in bytes. `call` is the number of a call's `CallRecord`,
 * `session` a hash of its id, `exchange` a number that the events of one HTTP request share.
 */
export type ProxyEvent =
  /** With `observesCalls` only, as are all events with one of the three. */
  | { type: 'call.begun'; record: CallRecord; request: Request; headers: RequestHeaders | undefined }
  /** Once for each `call.begun`. The record is complete. */
  | { type: 'call.ended'; record: CallRecord }
  | { type: 'client.line-invalid'; reason: string; bytes: number }
  | { type: 'client.response-unexpected'; id: string }
  | { type: 'client.cancel-unknown'; id: string }
  | { type: 'client.message-dropped'; kind: string; underWay: number }
  | { type: 'client.gone'; how: string }
  | {
      type: 'client.refused';
      status: number;
      reason: string;
      message: string;
      address: string;
      /** The name of the token that it presented. */
      token: string | undefined;
    }
  /** To make room for clients: it had no request that was let in, or none under way. */
  | { type: 'client.disconnected'; address: string }
  /** A session of a client of the listener. `lost`: the server does not know it any more. */
  | { type: 'client.session-ended'; reason: 'closed' | 'lost'; ageMs: number }
  | {
      type: 'tool.call-refused';
      profile: string;
      tool: string;
      reason: string;
      address: string | undefined;
      token: string | undefined;
    }
  | { type: 'listener.tokens-read'; names: readonly string[] }
  | { type: 'listener.tokens-unusable'; message: string }
  | { type: 'listener.tls-unusable'; message: string }
  /** The keys that verify access tokens of the listener's users have changed. */
  | { type: 'listener.issuer-keys-read'; issuer: string; keys: number }
  | { type: 'listener.issuer-unreachable'; message: string }
  | { type: 'listener.identities-read'; rules: number }
  | { type: 'listener.identities-unusable'; message: string }
  | { type: 'client.handshake-failed'; address: string; message: string }
  | { type: 'listener.opened'; url: string }
  | { type: 'status.opened'; url: string }
  | { type: 'listener.not-ready'; reason: string; message: string }
  | { type: 'listener.ready' }
  | { type: 'listener.leaving'; delayMs: number }
  /** The primary process of --workers emits these four; `worker` is the index from 0. */
  | { type: 'worker.started'; worker: number; workerPid: number | undefined }
  /** It drained and ended without an order of the primary process. */
  | { type: 'worker.ended'; worker: number; workerPid: number | undefined; message: string }
  /** It does not answer, and is killed. */
  | { type: 'worker.hung'; worker: number; workerPid: number | undefined; message: string }
  | { type: 'worker.died'; worker: number; workerPid: number | undefined; message: string }
  | {
      type: 'message.received';
      kind: string;
      method: string | undefined;
      id: string | undefined;
      text: string;
    }
  | { type: 'message.sent'; kind: string; method: string | undefined; id: string | undefined; text: string }
  | {
      type: 'call.failed';
      call?: number | undefined;
      method: string;
      id: string;
      reason: string;
      message: string;
    }
  | {
      type: 'call.cancelled';
      call?: number | undefined;
      method: string;
      id: string;
      by: 'client' | 'deadline';
    }
  | {
      type: 'call.retried';
      profile: string;
      call: number | undefined;
      method: string;
      id: string;
      attempt: number;
      afterMs: number;
      reason: string;
    }
  | {
      type: 'call.overloaded';
      profile: string;
      tool: string;
      reason: 'concurrency_limit' | 'queue_full' | 'queue_timeout';
      active: number;
      queued: number;
      maxConcurrent: number;
      queueSize: number;
      queueTimeoutMs: number;
    }
  | { type: 'server.throttled'; profile: string; method: string; retryAfterMs: number | undefined }
  /** A request waited for its turn, or was refused. `server`: the rate that the server accepts. */
  | {
      type: 'rate.limited';
      profile: string;
      by: 'option' | 'server';
      outcome: 'waited' | 'refused' | 'cancelled';
      ms: number;
      waiting: number;
    }
  | { type: 'breaker.opened'; profile: string; from: 'closed' | 'half-open'; failures: number; cause: string }
  | { type: 'breaker.half-opened'; profile: string; from: 'open' | 'half-open' }
  | { type: 'breaker.closed'; profile: string; from: 'open' | 'half-open' }
  | { type: 'breaker.refused'; profile: string; retryAfterMs: number }
  | { type: 'rate.learned'; profile: string; ratePerSecond: number; waiting: number }
  /** Once until `limits.shared`: calls have the share of this process meanwhile. */
  | { type: 'limits.local'; message: string }
  | { type: 'limits.shared'; message: string }
  | { type: 'limits.differ'; message: string }
  | { type: 'probe.failed'; reason: string; message: string }
  | { type: 'notification.failed'; method: string; message: string }
  | { type: 'tool.invalid'; profile: string; name: string; reason: string }
  | {
      type: 'session.opened';
      profile: string;
      session: string;
      reason: SessionOpenReason;
      protocolVersion: string;
      hasId: boolean;
      ms: number;
    }
  /** Once for each `session.opened`. */
  | {
      type: 'session.closed';
      profile: string;
      session: string;
      reason: SessionCloseReason;
      how: string;
      ageMs: number;
    }
  /** A tool call has a session of a pool. `active` and `idle` count sessions. */
  | {
      type: 'session.borrowed';
      profile: string;
      session: string;
      call: number | undefined;
      waitMs: number;
      active: number;
      idle: number;
    }
  | {
      type: 'session.returned';
      profile: string;
      session: string;
      call: number | undefined;
      broken: boolean;
      active: number;
      idle: number;
    }
  | { type: 'session.checked'; profile: string; session: string; healthy: boolean; error: string | undefined }
  | { type: 'session.lost'; profile: string }
  | { type: 'session.not-ours'; message: string }
  | { type: 'session.open-failed'; profile: string; message: string }
  | { type: 'snapshot.unusable'; message: string }
  | { type: 'stream.resumed'; profile: string }
  | { type: 'stream.opened'; profile: string }
  | { type: 'stream.unavailable'; profile: string; status: number; message: string }
  | { type: 'stream.ended'; profile: string; how: string }
  | { type: 'upstream.message-dropped'; profile: string; reason: string }
  | { type: 'upstream.other-id'; profile: string; method: string; id: string }
  /** With `observesExchanges` only, as is its end. */
  | {
      type: 'http.request';
      profile: string;
      exchange: number;
      call: number | undefined;
      method: string;
      lane: string;
      bytes: number;
      attempt: number;
      signed: boolean;
    }
  /** With `detailed` only. */
  | {
      type: 'http.response';
      profile: string;
      exchange: number;
      call: number | undefined;
      status: number;
      ms: number;
      contentType: string;
      date: string;
    }
  /** Once for each `http.request`: its body has arrived, or it failed. `bytes` as received. */
  | {
      type: 'http.ended';
      profile: string;
      exchange: number;
      call: number | undefined;
      status: number | undefined;
      bytes: number;
      ms: number;
      error: string | undefined;
    }
  | { type: 'http.failed'; profile: string; message: string }
  | { type: 'connection.awaited'; profile: string; message: string }
  /** With `detailed` only: a request has waited for a connection, or left while it waited. */
  | { type: 'connection.waited'; profile: string; call: number | undefined; lane: string; ms: number }
  | { type: 'connection.opened'; profile: string; lane: string }
  | { type: 'connection.closed'; profile: string; lane: string }
  | { type: 'connection.silent'; profile: string; lane: string }
  | { type: 'auth.rejected'; profile: string; verdict: string; message: string; again: boolean }
  /** Once for each profile: `--transport auto` has found a server of HTTP+SSE. */
  | { type: 'transport.derived'; profile: string; transport: string }
  /** Once for each endpoint: the kind that `--auth auto` has derived. */
  | { type: 'auth.derived'; profile: string; kind: string; because: string }
  | { type: 'clock.corrected'; offsetMs: number }
  | {
      type: 'credentials.resolved';
      profile: string;
      providerName: string;
      expiresAt: string | undefined;
      ms: number;
    }
  /** Once for each resolution without a result, also where the previous credentials stay in use. */
  | { type: 'credentials.failed'; profile: string; message: string; ms: number }
  | { type: 'credentials.refresh-failed'; profile: string; message: string }
  | { type: 'login.failed'; profile: string; message: string }
  | { type: 'credentials.missing'; profile: string; message: string }
  | { type: 'secret.known'; value: string; lasting?: boolean; brief?: boolean }
  | { type: 'list.cut'; profile: string; method: string; pages: number; reason: string }
  | { type: 'tools.listed'; profile: string; from: 'server' | 'another-call' | 'cache' | 'last-good' }
  | { type: 'tools.refresh-failed'; profile: string; message: string }
  | { type: 'tools.changed'; profile: string; announced: boolean }
  | { type: 'tools.hidden'; profile: string; names: readonly string[]; more: number }
  | { type: 'tools.all-hidden'; profile: string; tools: number; message: string }
  | { type: 'tools.glob-unmatched'; profile: string; option: string; glob: string }
  | { type: 'tool.keeps-argument'; tool: string; argument: string }
  /** Lines of one event that were left out because there were too many. */
  | { type: 'log.lines-omitted'; event: string; address: string | undefined; omitted: number }
  /** Once until it works again. */
  | { type: 'cloudwatch.failed'; namespace: string; message: string }
  | { type: 'access-log.behind'; message: string }
  | { type: 'log.reopened'; file: string }
  | { type: 'log.reopen-failed'; message: string }
  /** Settings of OpenTelemetry that cannot be obeyed. */
  | { type: 'telemetry.unusable'; message: string }
  /** Once until it works again. */
  | { type: 'telemetry.export-failed'; signal: 'traces' | 'metrics'; message: string }
  | { type: 'proxy.draining'; inFlight: number }
  | { type: 'hook.failed'; hook: string; message: string }
  | { type: 'internal.fault'; where: string; message: string };

/** Receives events; must not wait. Its exceptions are ignored. */
export type Observer = (event: ProxyEvent) => void;

/** The events that an observer receives in addition. */
export interface ObserverOptions {
  /** Events of every message, with its text. True by default. */
  readonly detailed?: boolean;
  /** Events of every call, without their texts. By default as `detailed`. */
  readonly calls?: boolean;
  /** Events of every HTTP request. By default as `calls`. */
  readonly exchanges?: boolean;
  /** Counts the HTTP requests of a profile, in place of their events. Called once for each. */
  readonly meterOf?: ((profile: string) => ExchangeMeter) | undefined;
  /** Only the begin and the end of each call. By default as `calls`. */
  readonly records?: boolean;
  /**
   * Begins the span of a client's request. Given by the observer that traces, which gets the begin
   * and end of each recorded call.
   */
  readonly beginSpan?: BeginSpan | undefined;
  /** Begins a trace of work that no call waits for; given by the observer that traces. */
  readonly beginTrace?: ((part: SpanPart) => Span) | undefined;
  /** Finds the span of a recent call by its number; given by the observer that traces. */
  readonly spanOf?: ((call: number) => Span | undefined) | undefined;
  /**
   * `secret.known`, which contains the secret. False by default, so that no observer prints keys by
   * accident.
   */
  readonly secrets?: boolean;
}

/** Begins the span of a request with the headers of its HTTP request. */
export type BeginSpan = (options: CallRecordOptions, headers: RequestHeaders | undefined) => Span;

function pass(event: ProxyEvent, observers: readonly Observer[]): void {
  for (const observer of observers) {
    try {
      observer(event);
    } catch {
      // A broken log must never cost a caller its answer.
    }
  }
}

/** A fan-out of events to observers. */
export class Events {
  readonly #observers: Observer[] = [];
  readonly #secretObservers: Observer[] = [];
  /** Receive the frequent events, which others need not look at. */
  readonly #callObservers: Observer[] = [];
  #detailed = false;
  #calls = false;
  #exchanges = false;
  #records = false;
  #beginSpan: BeginSpan | undefined;
  #beginTrace: ((part: SpanPart) => Span) | undefined;
  #spanOf: ((call: number) => Span | undefined) | undefined;
  readonly #metersOf: ((profile: string) => ExchangeMeter)[] = [];

  /** True where an observer wants per-message events; otherwise building them is wasted work. */
  get detailed(): boolean {
    return this.#detailed;
  }

  /** True where an observer wants per-call events; otherwise nothing of a call is measured. */
  get observesCalls(): boolean {
    return this.#calls;
  }

  /** True where an observer wants an event of each HTTP request. */
  get observesExchanges(): boolean {
    return this.#exchanges;
  }

  /** How many observers count HTTP requests. It only grows. */
  get meters(): number {
    return this.#metersOf.length;
  }

  /** The meters of a profile: one for each observer that counts HTTP requests. */
  metersOf(profile: string): ExchangeMeter[] {
    return this.#metersOf.map((meterOf) => meterOf(profile));
  }

  /** True where an observer wants the record of each call, or gives it a span. */
  get recordsCalls(): boolean {
    return this.#records || this.#beginSpan !== undefined;
  }

  /** True where a call with this span needs a record. */
  wantsRecord(span: Span | undefined): boolean {
    return this.#records || span?.isRecorded === true;
  }

  /** True where calls have spans, whose context goes to the server. */
  get traces(): boolean {
    return this.#beginSpan !== undefined;
  }

  /** Begins the span of a client's request; undefined where calls have none. Never throws. */
  beginSpan(options: CallRecordOptions, headers: RequestHeaders | undefined): Span | undefined {
    try {
      return this.#beginSpan?.(options, headers);
    } catch {
      // As of a broken observer.
      return undefined;
    }
  }

  /** Calls `observer` synchronously with every event from now on; its exceptions are ignored. */
  subscribe(
    observer: Observer,
    {
      detailed = true,
      calls = detailed,
      exchanges = calls,
      meterOf,
      records = calls,
      beginSpan,
      beginTrace,
      spanOf,
      secrets = false,
    }: ObserverOptions = {},
  ): void {
    this.#observers.push(observer);
    if (secrets) this.#secretObservers.push(observer);
    if (calls || records || beginSpan) this.#callObservers.push(observer);
    this.#detailed ||= detailed;
    this.#calls ||= calls;
    this.#exchanges ||= exchanges;
    if (meterOf) this.#metersOf.push(meterOf);
    this.#records ||= records;
    this.#beginSpan ??= beginSpan;
    this.#beginTrace ??= beginTrace;
    this.#spanOf ??= spanOf;
  }

  /** Begins a trace of work that no call waits for; undefined where nothing is traced. */
  beginTrace(part: SpanPart): Span | undefined {
    return this.#beginTrace?.(part);
  }

  /** The span of the call that an event belongs to; undefined where it is not traced. */
  spanOf(event: ProxyEvent): Span | undefined {
    if ('record' in event) return event.record.span;
    return 'call' in event && event.call !== undefined ? this.#spanOf?.(event.call) : undefined;
  }

  /** Passes an event to the observers, in the order of their subscription. Never throws. */
  emit(event: ProxyEvent): void {
    if (event.type === 'secret.known') pass(event, this.#secretObservers);
    else pass(withWordedTexts(event), this.#observers);
  }

  /** As `emit`, for an event of every call: to the observers that want those. */
  emitOfCall(event: ProxyEvent): void {
    pass(event, this.#callObservers);
  }
}
