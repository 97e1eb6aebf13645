import { ACCEPT } from '../../core/http/accept.ts';
import { outlineJsonOf } from '../../core/jsonrpc/long-answer.ts';
import { isObject, type Notification, paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import {
  type Call,
  type Client,
  type Emit,
  type Origin,
  type Reply,
  tapEmit,
} from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { isIdempotentCall } from '../../core/pipeline/idempotent.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ToolCatalog } from '../../core/tools/catalog.ts';
import { derivedHeaders } from '../../core/tools/param-headers.ts';
import { Exchange } from '../exchange/exchange.ts';
import { postNotification } from '../exchange/post-notification.ts';
import type { Affinity } from '../transport/affinity.ts';
import { hedgeAfterMsOf } from '../transport/hedge.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import type { Lane, SignedTransport } from '../transport/signed-transport.ts';
import { connectionLost } from '../transport/transport-errors.ts';
import { InvalidTools } from './invalid-tools.ts';
import { subscribe } from './subscription.ts';

/** MCP 2026-07-28, Server Validation: a required header is missing or wrong. */
const HEADER_MISMATCH = -32_020;

/** One on stdio, any number in the library. */
const MAX_AFFINITIES = 1_000;

export interface StatelessDeps {
  readonly transportOf: (profile: string) => SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  readonly readTimeoutMs: number;
  /** The profile's known tools, which define parameter headers. */
  readonly toolsOf: (profile: string) => Pick<ToolCatalog, 'definitionOf'>;
  /** Reads the server's complete tool list again, in the era of the call. */
  readonly refreshTools: (call: Call) => Promise<void>;
}

/** The origin of a server's request in the stateless era; its answer states the same version. */
export class StatelessOrigin implements Origin {
  readonly profile: string;
  readonly version: string;
  readonly gone: Promise<void>;
  end: () => void = () => undefined;

  constructor(profile: string, version: string) {
    this.profile = profile;
    this.version = version;
    this.gone = new Promise((resolve) => {
      this.end = resolve;
    });
  }
}

/**
 * Handles messages of the stateless era (2026-07-28 and later). Each is one POST with headers
 * derived from the message; nothing is kept or resumed, and closing the stream cancels the request.
 */
export class Stateless {
  readonly #deps: StatelessDeps;
  readonly #invalid: InvalidTools;
  /** By client and profile: AgentCore Runtime routes by it to the microVM that knows the client. */
  readonly #affinities = new Map<string, Affinity>();

  constructor(deps: StatelessDeps) {
    this.#deps = deps;
    this.#invalid = new InvalidTools(deps.events);
  }

  /** @throws ProxyError also where a value cannot be sent as a header. */
  async request(call: Call, request: Request, version: string): Promise<Reply> {
    const { profile } = call;
    const headers = this.#headersOf(call, request, version);
    switch (request.method) {
      case 'subscriptions/listen': {
        const { clock, events } = this.#deps;
        const attempt = (emit: Emit) => this.#post({ ...call, emit }, request, version, headers);
        return subscribe(request, { attempt, call, clock, events });
      }
      case 'tools/list':
        return this.#invalid.removeFrom(await this.#post(call, request, version, headers), profile);
      case 'tools/call':
        return this.#callTool(call, request, version, headers);
      default:
        return this.#post(call, request, version, headers);
    }
  }

  /** Forgets what is kept for a client. */
  removeClient({ id }: Client, profiles: Iterable<string>): void {
    for (const profile of profiles) this.#affinities.delete(`${id} ${profile}`);
  }

  #headersOf(call: Call, message: Request | Notification, version: string): Record<string, string> {
    const { profile, client, sendOptions } = call;
    const { name } = paramsOf(message);
    const called = message.method === 'tools/call' && typeof name === 'string';
    const tool = called ? this.#deps.toolsOf(profile).definitionOf(name) : undefined;
    return {
      ...client.headers,
      ...sendOptions?.headers,
      accept: ACCEPT,
      ...derivedHeaders(message, version, tool),
    };
  }

  /**
   * A server that rejects the headers has not run the call, and its tool definition differs from
   * the known one: the list is read again, and the call re-sent if its headers change.
   */
  async #callTool(
    call: Call,
    request: Request,
    version: string,
    headers: Record<string, string>,
  ): Promise<Reply> {
    let begun = false;
    const tapped = tapEmit(call, () => {
      begun = true;
    });
    const reply = await this.#post(tapped, request, version, headers);
    if (begun || !isHeaderMismatch(reply)) return reply;
    const otherHeaders = (): Record<string, string> | undefined => {
      const now = this.#headersOf(call, request, version);
      return sameHeaders(now, headers) ? undefined : now;
    };
    // Another call may have refreshed the list meanwhile.
    let better = otherHeaders();
    if (!better) {
      try {
        await this.#deps.refreshTools(call);
      } catch (error) {
        // Without a list, the caller receives the server's answer to the call.
        if (call.signal.aborted) throw error;
        return reply;
      }
      better = otherHeaders();
    }
    return better ? this.#post(call, request, version, better) : reply;
  }

  #affinityOf(client: Client, profile: string): Affinity {
    const key = `${client.id} ${profile}`;
    const existing = this.#affinities.get(key);
    if (existing) return existing;
    const affinity = this.#deps.transportOf(profile).newAffinity();
    this.#affinities.set(key, affinity);
    const [oldest] = this.#affinities.keys();
    if (this.#affinities.size > MAX_AFFINITIES && oldest !== undefined) this.#affinities.delete(oldest);
    return affinity;
  }

  /** Re-sent once where its backend is gone, so that it did not run. */
  async #post(
    call: Call,
    request: Request,
    version: string,
    headers: Record<string, string>,
  ): Promise<Reply> {
    const affinity = this.#affinityOf(call.client, call.profile);
    try {
      return await this.#postOnce(call, request, version, headers, affinity);
    } catch (error) {
      if (!isSessionLost(error) || call.signal.aborted) throw error;
      affinity.drop();
      return this.#postOnce(call, request, version, headers, affinity);
    }
  }

  #postOnce(
    call: Call,
    request: Request,
    version: string,
    headers: Record<string, string>,
    affinity: Affinity,
  ): Promise<Reply> {
    const { transportOf, clock, events, readTimeoutMs } = this.#deps;
    const { profile, signal } = call;
    const transport = transportOf(profile);
    const origin = new StatelessOrigin(profile, version);
    const lane = laneFor(request);
    // After the end, the client expects no further messages.
    const filteredEmit: Emit = async (message, from) => {
      if (!signal.aborted) await call.emit(message, from);
    };
    const exchange = new Exchange(
      {
        transport,
        clock,
        events,
        origin,
        affinity,
        resumes: false,
        readTimeoutMs: lane === 'stream' ? 0 : readTimeoutMs,
        deliverElsewhere: () => false,
        onReadTimeout: undefined,
      },
      { emit: filteredEmit, room: lane === 'stream' ? undefined : call.room },
    );
    const reply = exchange.expect(request);
    const leave = (): void => exchange.abandon(request, signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    const run = exchange.run({
      method: 'POST',
      lane,
      headers,
      body: request.text,
      idempotent: isIdempotentCall(call),
      hedgeAfterMs: hedgeAfterMsOf([call]),
      record: call.record,
      span: call.span,
    });
    void run.then(origin.end);
    if (lane === 'stream') {
      // A subscription belongs to one identity; a new request serves the next.
      const unwatch = transport.onSigner((principal) => {
        if (exchange.response && exchange.principal !== principal) {
          exchange.cut(connectionLost(transport.host, 'another AWS identity signs from now on'));
        }
      });
      void run.then(unwatch);
    }
    return reply.finally(() => signal.removeEventListener('abort', leave));
  }

  async notify(
    { client, profile, signal, message }: Call,
    notification: Notification,
    version: string,
  ): Promise<Reply> {
    const { transportOf, clock } = this.#deps;
    const headers = {
      ...client.headers,
      accept: ACCEPT,
      ...derivedHeaders(notification, version, undefined),
    };
    const affinity = this.#affinityOf(client, profile);
    const post = { text: message.text, headers, affinity, signal };
    return postNotification({ transport: transportOf(profile), clock }, post);
  }

  /**
   * Sends a response or progress for a server request. The stateless era has none, but some servers
   * may send them.
   */
  answer({ client, profile, signal, message }: Call, { version }: StatelessOrigin): Promise<Reply> {
    const { transportOf, clock } = this.#deps;
    const headers = { ...client.headers, accept: ACCEPT, 'mcp-protocol-version': version };
    return postNotification(
      { transport: transportOf(profile), clock },
      { text: message.text, headers, affinity: this.#affinityOf(client, profile), signal },
    );
  }
}

/** Streams have connections of their own, without a limit. */
function laneFor({ method }: Request): Lane {
  if (method === 'subscriptions/listen') return 'stream';
  return method === 'ping' ? 'control' : 'request';
}

function isHeaderMismatch(reply: Reply): boolean {
  if (reply.kind !== 'answer') return false;
  const { error } = outlineJsonOf(reply.message);
  return isObject(error) && error.code === HEADER_MISMATCH;
}

const sameHeaders = (one: Record<string, string>, other: Record<string, string>): boolean =>
  Object.keys(one).length === Object.keys(other).length &&
  Object.entries(one).every(([name, value]) => other[name] === value);
