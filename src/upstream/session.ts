import type { Call, Emit, Origin, Reply } from '../core/call.ts';
import { atMost, type Clock, type Timer } from '../core/clock.ts';
import { causeText } from '../core/errors.ts';
import type { Events } from '../core/events.ts';
import {
  cancellationOf,
  type Id,
  idKey,
  isObject,
  type Message,
  type Request,
  type Response,
} from '../core/message.ts';
import { isRepeatable } from '../core/repeatable.ts';
import { type AnswerContext, errorOfStatus } from './answer.ts';
import { CANCEL_GRACE_MS, CONTROL_PLACE_MS, Exchange } from './exchange.ts';
import { headerOf, mediaTypeOf } from './incoming.ts';
import { eventMessages } from './stream.ts';
import type { LaneName, Opened, Uplink } from './uplink.ts';

/** How long what follows `initialized` waits for the standalone stream: SDK v1 servers send their first requests on it. */
const STREAM_HEADERS_WAIT_MS = 1_000;
/** How long the process may wait for the server to take the DELETE when it ends. Clients kill it after 2 s. */
const DELETE_WAIT_MS = 1_000;
/** A server that keeps the answer to a notification open would hold a control connection for ever. */
const NOTIFICATION_BODY_MS = 5_000;
const ACCEPT = 'application/json, text/event-stream';
/** Batches exist in this revision only. */
export const BATCH_REVISION = '2025-03-26';

export interface SessionDeps {
  readonly uplink: Uplink;
  readonly clock: Clock;
  readonly events: Events;
  readonly readTimeoutMs: number;
}

/** One MCP session with the server: its id, its negotiated revision, its standalone stream, the exchanges under way. */
export class Session implements Origin {
  readonly profile: string;
  readonly #deps: SessionDeps;
  /** That of the initialize call: it lives as long as the session and carries the standalone stream. */
  readonly #emit: Emit;
  readonly #exchanges = new Map<string, Exchange>();
  readonly #ended = new AbortController();
  #id: string | undefined;
  #version: string | undefined;

  constructor(deps: SessionDeps, emit: Emit) {
    this.#deps = deps;
    this.#emit = emit;
    this.profile = deps.uplink.profile;
  }

  get version(): string | undefined {
    return this.#version;
  }

  /** Posts a request, or the members of a batch as one array, and gives each call its answer. */
  request(calls: readonly Call[], text: string): Promise<Reply>[] {
    const requests = calls.flatMap((call) => (call.message.kind === 'request' ? [call.message] : []));
    const [first] = calls;
    if (!first) return [];
    // The first of a batch may be cancelled, and what comes down for the others must not be held back with it.
    const emit: Emit = (message, origin) =>
      (calls.find(({ signal }) => !signal.aborted) ?? first).emit(message, origin);
    const exchange = this.#exchange(emit);
    const replies = calls.map((call) => this.#expect(exchange, call));
    const lane: LaneName = requests.some(({ method }) => method !== 'ping') ? 'request' : 'control';
    void exchange.run({
      method: 'POST',
      lane,
      headers: this.#headers(),
      body: Buffer.from(text),
      repeatable: calls.every(({ message }) => isRepeatable(message)),
    });
    return replies;
  }

  #expect(exchange: Exchange, call: Call): Promise<Reply> {
    const { message, signal } = call;
    if (message.kind !== 'request') return Promise.resolve({ kind: 'accepted' });
    const key = idKey(message.id);
    const leave = (): void => exchange.abandon(message, signal.reason);
    const settled = (): void => {
      signal.removeEventListener('abort', leave);
      // A cancelled call stays findable for as long as its cancellation may still be on its way here.
      const forget = (): void => {
        if (this.#exchanges.get(key) === exchange) this.#exchanges.delete(key);
      };
      if (signal.aborted) this.#deps.clock.schedule(CANCEL_GRACE_MS, forget, { keepAlive: false });
      else forget();
    };
    this.#exchanges.set(key, exchange);
    const reply = exchange.expect(message);
    reply.then(settled, settled);
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    return reply;
  }

  #exchange(emit: Emit): Exchange {
    const { uplink, clock, readTimeoutMs } = this.#deps;
    return new Exchange(
      {
        uplink,
        clock,
        origin: this,
        inSession: this.#id !== undefined,
        readTimeoutMs,
        elsewhere: (response) => this.#deliverElsewhere(response),
        dropped: (reason) => this.#dropped(reason),
        silent: (request) => void this.#giveUp(request),
      },
      emit,
    );
  }

  /** Opens the session: the one request that carries no session id, and whose answer brings one. */
  async initialize(call: Call, request: Request): Promise<Reply> {
    const exchange = this.#exchange(call.emit);
    const leave = (): void => exchange.cut(call.signal.reason);
    call.signal.addEventListener('abort', leave, { once: true });
    const reply = exchange.expect(request);
    void exchange.run({
      method: 'POST',
      lane: 'request',
      headers: { accept: ACCEPT },
      body: Buffer.from(request.text),
      repeatable: true,
    });
    const answer = await reply.finally(() => call.signal.removeEventListener('abort', leave));
    if (answer.kind === 'answer' && answer.message.outcome === 'result') this.#open(exchange, answer.message);
    return answer;
  }

  #open(exchange: Exchange, { json }: Response): void {
    const result = json.result;
    const version = isObject(result) ? result.protocolVersion : undefined;
    // Both go into headers: what is not printable ASCII there is no session id or revision that the protocol knows.
    if (typeof version === 'string' && /^[\x21-\x7e]+$/.test(version)) this.#version = version;
    const id = exchange.response ? headerOf(exchange.response.headers, 'mcp-session-id') : '';
    if (/^[\x21-\x7e]+$/.test(id)) this.#id = id;
    this.#deps.events.emit({
      type: 'session.opened',
      profile: this.profile,
      protocolVersion: this.#version ?? 'none',
      hasId: this.#id !== undefined,
    });
  }

  /**
   * Posts a notification, a response, or a batch of them; resolves when the server has accepted it.
   * @throws ProxyError as for a request.
   */
  async notify(text: string, signal: AbortSignal): Promise<Reply> {
    const { uplink, clock } = this.#deps;
    let sharing: Timer | undefined;
    const opened = await uplink.open({
      method: 'POST',
      lane: 'control',
      headers: this.#headers(),
      body: Buffer.from(text),
      repeatable: true,
      signal,
      onAttempt: (lease) => {
        lease.cutBy(signal);
        sharing?.cancel();
        sharing = clock.schedule(CONTROL_PLACE_MS, () => lease.leave(), { keepAlive: false });
      },
    });
    const { response, lease } = opened;
    const overdue = clock.schedule(NOTIFICATION_BODY_MS, () => lease.cancel(new Error('unread')), {
      keepAlive: false,
    });
    const { status, headers } = response;
    try {
      if (status < 200 || status >= 300) {
        throw errorOfStatus(status, headers, await response.whole(), this.#context(opened), clock.now());
      }
    } finally {
      void response
        .whole()
        .catch(() => undefined)
        .then(() => {
          overdue.cancel();
          sharing?.cancel();
        });
    }
    return { kind: 'accepted', http: { status, headers } };
  }

  /** `notifications/initialized`: accepted first, then the standalone stream, so that nothing sent on it gets lost. */
  async initialized(text: string, signal: AbortSignal): Promise<Reply> {
    const reply = await this.notify(text, signal);
    await atMost(this.#deps.clock, STREAM_HEADERS_WAIT_MS, this.#openStream());
    return reply;
  }

  /** Passes a cancellation on if the server may know the request, then ends the exchange. */
  async cancel(id: Id, text: string, signal: AbortSignal): Promise<Reply> {
    const exchange = this.#exchanges.get(idKey(id));
    if (!exchange?.sent) return { kind: 'accepted' };
    try {
      return await this.notify(text, signal);
    } finally {
      exchange.end(new Error('cancelled'));
    }
  }

  async #giveUp(request: Request): Promise<void> {
    const { text } = cancellationOf(request, 'nothing was heard for longer than the read timeout');
    await this.notify(text, this.#ended.signal).catch(() => undefined);
  }

  #deliverElsewhere(response: Response): boolean {
    return response.id !== undefined && (this.#exchanges.get(idKey(response.id))?.take(response) ?? false);
  }

  #dropped(reason: string): void {
    this.#deps.events.emit({ type: 'upstream.message-dropped', profile: this.profile, reason });
  }

  #headers(accept = ACCEPT): Record<string, string> {
    return {
      accept,
      ...(this.#id === undefined ? {} : { 'mcp-session-id': this.#id }),
      ...(this.#version === undefined ? {} : { 'mcp-protocol-version': this.#version }),
    };
  }

  #context({ signed, skewMs }: Opened): AnswerContext {
    const { host, profile, scope } = this.#deps.uplink;
    return {
      host,
      profile,
      scope,
      signed,
      inSession: this.#id !== undefined,
      ...(skewMs === undefined ? {} : { skewMs }),
    };
  }

  /** The standalone stream. Resolves when its headers are here; what it brings goes on arriving afterwards. */
  async #openStream(): Promise<void> {
    const { uplink, events } = this.#deps;
    const { profile } = this;
    try {
      const opened = await uplink.open({
        method: 'GET',
        lane: 'stream',
        headers: this.#headers('text/event-stream'),
        repeatable: true,
        signal: this.#ended.signal,
        onAttempt: (lease) => lease.cutBy(this.#ended.signal),
      });
      const { response, lease } = opened;
      if (response.status !== 200 || mediaTypeOf(response.headers) !== 'text/event-stream') {
        lease.cancel(new Error('not a stream'));
        const message = response.status === 405 ? 'not offered by this server' : 'not a stream';
        events.emit({ type: 'stream.unavailable', profile, status: response.status, message });
        return;
      }
      events.emit({ type: 'stream.opened', profile });
      void this.#readStream(opened);
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      events.emit({ type: 'stream.unavailable', profile, status: 0, message: causeText(error) });
    }
  }

  async #readStream({ response, lease }: Opened): Promise<void> {
    const { events } = this.#deps;
    const { profile } = this;
    try {
      const ears = { heard: () => undefined, dropped: (reason: string) => this.#dropped(reason) };
      for await (const message of eventMessages(response, ears)) await this.#deliver(message);
      events.emit({ type: 'stream.ended', profile, how: 'the server closed it' });
    } catch (error) {
      if (!this.#ended.signal.aborted) events.emit({ type: 'stream.ended', profile, how: causeText(error) });
    } finally {
      lease.cancel(new Error('stream over'));
    }
  }

  async #deliver(message: Message): Promise<void> {
    if (message.kind !== 'response') await this.#emit(message, this);
    else if (!this.#deliverElsewhere(message)) this.#dropped('an answer to no request that is waiting');
  }

  /** Ends the standalone stream at once and deletes the session, waiting a bounded moment for the server. Never throws. */
  async close(): Promise<void> {
    const { uplink, clock, events } = this.#deps;
    this.#ended.abort(new Error('session closed'));
    if (this.#id === undefined) return;
    const headers = this.#headers();
    this.#id = undefined;
    const late = new AbortController();
    const deletion = uplink
      .open({
        method: 'DELETE',
        lane: 'control',
        headers,
        repeatable: true,
        signal: late.signal,
        onAttempt: (lease) => lease.cutBy(late.signal),
      })
      .then(({ response }) => `HTTP ${response.status} to DELETE`, causeText);
    const how = await atMost(clock, DELETE_WAIT_MS, deletion);
    late.abort(new Error('no answer to DELETE in time'));
    events.emit({ type: 'session.closed', profile: this.profile, how: how ?? 'no answer to DELETE in time' });
  }
}
