import { type Call, type Handler, type Layer, NO_DEADLINE, type Origin, type Reply } from '../core/call.ts';
import { type Clock, unlessAborted } from '../core/clock.ts';
import { causeText, type ErrorReason, ProxyError } from '../core/errors.ts';
import type { Events } from '../core/events.ts';
import { type ListName, listChanges } from '../core/list-changes.ts';
import {
  claimOf,
  idText,
  isObject,
  type JsonObject,
  type Message,
  type Notification,
  paramsOf,
  type Request,
  type Response,
  valueTextAt,
  withIdText,
} from '../core/message.ts';
import { toggle } from '../core/options.ts';
import { pageKey, type Snapshot, type SnapshotStore } from '../core/snapshot.ts';
import { listRequest } from '../core/tool-list.ts';

export const lazyOptions = {
  lazy: toggle({
    group: 'Sessions',
    help: 'answer initialize and tools/list from what the server said last time, and connect when a call needs it',
  }),
} as const;

/** Longest time for opening the session. Callers have their own deadlines; this one keeps a silent server from holding later ones. */
const OPEN_LIMIT_MS = 60_000;
/** More pages than any server has; one whose cursors go round must not be asked for ever. */
const MOST_PAGES = 1_000;

/** These say what is to be done, whatever they befell; others speak of the call, which has not run. */
const TELLING: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  'no-credentials',
  'auth-rejected',
  'connect-failed',
  'circuit-open',
  'rate-limited',
  'shutting-down',
]);

export interface LazyDeps {
  readonly store: SnapshotStore;
  /** The one whose session the client's own initialize opens; those of others are opened without it, when a call names them. */
  readonly defaultProfile: string;
  readonly clock: Clock;
  readonly events: Events;
}

/** The two places where a lazy start stands in the way: above everything that edits, and where a call's profile is known. */
export interface Lazy {
  /** Answers the client's start from the last snapshot. */
  readonly start: Layer;
  /** Opens the session before the first call that needs it. Below `start`. */
  readonly need: Layer;
}

/**
 * Answers a client's start from the last snapshot, so that it works before there are credentials or a network, and opens the
 * session when something needs it. Session revisions only: a message that claims a later one needs no session.
 */
export function lazy(deps: LazyDeps): Lazy {
  const clients = new Map<string, LazyClient>();
  return {
    start: (next) =>
      async function lazyStart(call) {
        const { message, client } = call;
        if (isOfNoSession(message)) return next(call);
        if (message.kind === 'request' && message.method === 'initialize' && !clients.has(client.id)) {
          clients.set(client.id, new LazyClient(deps, next));
        }
        return clients.get(client.id)?.handle(call) ?? next(call);
      },
    need: (next) =>
      async function lazyNeed(call) {
        if (!isOfNoSession(call.message)) await clients.get(call.client.id)?.needed(call);
        return next(call);
      },
  };
}

/** An answer goes to the session that asked, which is open. */
const isOfNoSession = (message: Message): boolean =>
  message.kind === 'response' || claimOf(message) !== undefined;

/** What opens a session needs none; and what may be cancelled where there is none, went with another profile. */
const OPENS_NOTHING: ReadonlySet<string> = new Set([
  'initialize',
  'notifications/initialized',
  'notifications/cancelled',
]);

/** What is known of the server by this run, to be the next run's snapshot. */
interface Seen {
  readonly revision: string;
  readonly opening: string;
  pages: Readonly<Record<string, string>>;
}

interface Waiting {
  readonly kind: 'waiting';
  /** The client's own initialize, and its handshake's end: what the session is opened with. */
  readonly initialize: Call & { readonly message: Request };
  readonly snapshot: Snapshot;
  initialized: Notification | undefined;
  opening: Promise<void> | undefined;
}

type State =
  /** Nothing stands between client and server. */
  | { readonly kind: 'connected'; readonly record: Seen | undefined }
  | Waiting
  | { readonly kind: 'outdated'; readonly error: ProxyError };

class LazyClient {
  readonly #deps: LazyDeps;
  readonly #next: Handler;
  #state: State = { kind: 'connected', record: undefined };

  constructor(deps: LazyDeps, next: Handler) {
    this.#deps = deps;
    this.#next = next;
  }

  async handle(call: Call): Promise<Reply> {
    const { message } = call;
    if (message.kind === 'request' && message.method === 'initialize') return this.#start(call, message);
    const state = this.#state;
    if (state.kind === 'outdated') throw state.error;
    const known = state.kind === 'waiting' ? this.#fromSnapshot(message, state) : undefined;
    if (known) return known;
    const reply = await this.#next(call);
    if (message.kind === 'request' && message.method === 'tools/list') this.#record(message, reply);
    return reply;
  }

  /** Resolves when what the call needs is there; the sessions of other profiles are opened by who finds them missing. */
  async needed({ message, profile, signal }: Call): Promise<void> {
    const state = this.#state;
    if (state.kind !== 'waiting' || profile !== this.#deps.defaultProfile) return;
    if (message.kind !== 'response' && OPENS_NOTHING.has(message.method)) return;
    await unlessAborted(this.#opened(state), signal);
  }

  async #start(call: Call, request: Request): Promise<Reply> {
    const connected = this.#state.kind === 'connected' && this.#state.record !== undefined;
    const { protocolVersion } = paramsOf(request);
    const revision = typeof protocolVersion === 'string' ? protocolVersion : '';
    // A client that begins anew over a living session wants a new one.
    const snapshot = connected ? undefined : await this.#deps.store.load(revision);
    if (snapshot) {
      const told: JsonObject = JSON.parse(snapshot.opening);
      await this.#next({ ...call, foretold: String(told.protocolVersion) });
      this.#state = {
        kind: 'waiting',
        initialize: { ...call, message: request },
        snapshot,
        initialized: undefined,
        opening: undefined,
      };
      return answer(request, snapshot.opening);
    }
    const reply = await this.#next(call);
    const opening = resultText(reply);
    if (opening !== undefined) {
      this.#state = { kind: 'connected', record: { revision, opening, pages: {} } };
    }
    return reply;
  }

  /** What needs no server. */
  #fromSnapshot(message: Message, waiting: Waiting): Reply | undefined {
    if (message.kind === 'notification') {
      if (message.method === 'notifications/initialized') waiting.initialized = message;
      // Nobody has asked for the roots yet.
      const empty = ['notifications/initialized', 'notifications/roots/list_changed'];
      return empty.includes(message.method) ? { kind: 'accepted' } : undefined;
    }
    if (message.kind !== 'request') return undefined;
    // Asked whether it is alive, the proxy is.
    if (message.method === 'ping') return answer(message, '{}');
    if (message.method !== 'tools/list') return undefined;
    const page = waiting.snapshot.pages[pageKey(paramsOf(message).cursor)];
    return page === undefined ? undefined : answer(message, page);
  }

  /** One attempt for all who need the session while it runs; the next call after a failed one tries again. */
  #opened(waiting: Waiting): Promise<void> {
    waiting.opening ??= this.#open(waiting).finally(() => {
      waiting.opening = undefined;
    });
    return waiting.opening;
  }

  async #open(waiting: Waiting): Promise<void> {
    const { initialize, snapshot } = waiting;
    const { signal, done } = this.#limited();
    const send = (message: Message): Promise<Reply> =>
      this.#next({ ...initialize, message, signal, deadline: NO_DEADLINE });
    let record: Seen;
    let opened: JsonObject;
    try {
      const reply = await send(withIdText(initialize.message, '"mcp-sigv4-proxy:initialize"'));
      const { protocolVersion } = paramsOf(initialize.message);
      opened = resultOf(reply);
      record = {
        revision: typeof protocolVersion === 'string' ? protocolVersion : '',
        opening: resultText(reply) ?? '',
        pages: {},
      };
      const told: JsonObject = JSON.parse(snapshot.opening);
      if (opened.protocolVersion !== told.protocolVersion) {
        const error = outdated(told.protocolVersion, opened.protocolVersion);
        this.#state = { kind: 'outdated', error };
        await this.#deps.store.save(record.revision, record);
        throw error;
      }
      await send(waiting.initialized ?? INITIALIZED);
    } catch (error) {
      throw openFailure(error);
    } finally {
      done();
    }
    // A client that has begun anew meanwhile has left what this would speak of.
    if (this.#state !== waiting) return;
    this.#state = { kind: 'connected', record };
    // The calls that have waited go first.
    setImmediate(() => void this.#correct(waiting, record, opened));
  }

  /** The client goes by the snapshot until it is told otherwise. */
  async #correct(waiting: Waiting, record: Seen, opened: JsonObject): Promise<void> {
    const { initialize, snapshot } = waiting;
    const told: JsonObject = JSON.parse(snapshot.opening);
    const changed: ListName[] = [];
    if (Object.keys(snapshot.pages).length > 0) {
      const pages = await this.#pages(initialize).catch(() => undefined);
      if (pages) {
        const [before, after] = [snapshot.pages, pages].map((all) => JSON.stringify(Object.values(all)));
        if (before !== after) changed.push('tools');
        if (Object.keys(record.pages).length === 0) this.#save(record, pages);
      }
    }
    for (const change of listChanges(told, opened, changed)) {
      await initialize.emit(change, originOf(initialize)).catch(() => undefined);
    }
  }

  async #pages(initialize: Call): Promise<Record<string, string>> {
    const pages: Record<string, string> = {};
    const { signal, done } = this.#limited();
    try {
      let cursor: string | undefined;
      for (let page = 1; page <= MOST_PAGES; page++) {
        const message = listRequest(initialize.message, cursor);
        const reply = await this.#next({ ...initialize, message, signal, deadline: NO_DEADLINE });
        const { nextCursor } = resultOf(reply);
        pages[pageKey(cursor)] = resultText(reply) ?? '';
        if (typeof nextCursor !== 'string') break;
        cursor = nextCursor;
      }
      return pages;
    } finally {
      done();
    }
  }

  /** The signal of work that several calls share, so that none of them can end it for the others. */
  #limited(): { signal: AbortSignal; done: () => void } {
    const controller = new AbortController();
    const late = new Error(`no answer within ${OPEN_LIMIT_MS / 1_000} s`);
    const timer = this.#deps.clock.schedule(OPEN_LIMIT_MS, () => controller.abort(late), {
      keepAlive: false,
    });
    return { signal: controller.signal, done: () => timer.cancel() };
  }

  #record(request: Request, reply: Reply): void {
    const text = resultText(reply);
    if (this.#state.kind !== 'connected' || !this.#state.record || text === undefined) return;
    const { record } = this.#state;
    const { cursor } = paramsOf(request);
    const key = pageKey(cursor);
    // One that comes from the cache is kept already: an agent that lists at every turn must not have a file written each time.
    if (record.pages[key] === text) return;
    this.#save(record, { ...(cursor === undefined ? {} : record.pages), [key]: text });
  }

  #save(record: Seen, pages: Readonly<Record<string, string>>): void {
    record.pages = pages;
    void this.#deps.store.save(record.revision, { opening: record.opening, pages });
  }
}

const INITIALIZED: Notification = {
  kind: 'notification',
  method: 'notifications/initialized',
  json: { jsonrpc: '2.0', method: 'notifications/initialized' },
  text: '{"jsonrpc":"2.0","method":"notifications/initialized"}',
};

function answer(request: Request, result: string): Reply {
  const text = `{"jsonrpc":"2.0","id":${idText(request)},"result":${result}}`;
  const message: Response = {
    kind: 'response',
    text,
    json: JSON.parse(text),
    id: request.id,
    outcome: 'result',
  };
  return { kind: 'answer', message };
}

const resultText = (reply: Reply): string | undefined =>
  reply.kind === 'answer' && isObject(reply.message.json.result)
    ? valueTextAt(reply.message.text, ['result'])
    : undefined;

/** @throws Error with the server's words, where it answered with an error. */
function resultOf(reply: Reply): JsonObject {
  const json: JsonObject = reply.kind === 'answer' ? reply.message.json : {};
  if (isObject(json.result)) return json.result;
  const said = isObject(json.error) ? json.error.message : undefined;
  throw new Error(`the server refused${typeof said === 'string' ? `: ${said}` : ''}`);
}

/** What the proxy says of itself asks nothing of the client, so nothing of it is ever forsaken. */
const originOf = ({ profile }: Call): Origin => ({ profile, gone: new Promise(() => undefined) });

const outdated = (told: unknown, now: unknown): ProxyError =>
  new ProxyError(
    'restart-needed',
    `The server now speaks revision ${String(now)} of MCP, and your client was told ${String(told)}, as the last time (--lazy). Restart the MCP server in your client: the next start says the right one. This call did not run.`,
    { sent: 'no', details: { told, now } },
  );

function openFailure(error: unknown): ProxyError {
  if (error instanceof ProxyError && error.reason === 'restart-needed') return error;
  const { retryAfterMs, details } =
    error instanceof ProxyError ? error : { retryAfterMs: undefined, details: undefined };
  const telling = error instanceof ProxyError && TELLING.has(error.reason);
  const text = telling
    ? error.message
    : `The MCP session could not be opened, and this call is the first to need it (--lazy): ${causeText(error)}. The call did not run; try again.`;
  return new ProxyError(telling ? error.reason : 'not-opened', text, {
    sent: 'no',
    cause: error,
    ...(details ? { details } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
