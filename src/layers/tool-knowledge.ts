import {
  isObject,
  type Message,
  paramsOf,
  type Request,
  type Response,
  statedVersion,
} from '../core/jsonrpc/message.ts';
import {
  type Call,
  type Client,
  type Emit,
  type Handler,
  type Layer,
  PermanentOrigin,
  type Reply,
  tapEmit,
} from '../core/pipeline/call.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import type { ToolCatalog } from '../core/tools/catalog.ts';
import type { ChangeStreams } from '../core/tools/change-streams.ts';
import { declaresChangesOf, isToolsChanged, listChanged } from '../core/tools/list-changes.ts';
import { listCacheKey } from '../core/tools/list-request.ts';
import { isOutdated } from '../core/tools/list-version.ts';

export interface ToolKnowledgeDeps {
  readonly toolsOf: (profile: string) => ToolCatalog;
  /** Returns the known tools without a request, also those of another profile. */
  readonly knownTo?: (profile: string) => Pick<ToolCatalog, 'annotationsOf'>;
  readonly changeStreams: ChangeStreams;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Minimum time between notifications of changes that only the proxy has seen: a client requests the
 * list on each, and the server's list may differ every time.
 */
const MIN_NOTIFY_INTERVAL_MS = 60_000;

/**
 * Records tools from passing tools/list answers, and invalidates them on list_changed or a new
 * session. Makes no requests. Notifies the client of changes that the server does not announce.
 */
export function toolKnowledge(deps: ToolKnowledgeDeps): Layer {
  return (next) => {
    const knowledge = new ToolObserver(deps, next);
    return function toolKnowledge(call) {
      const { message } = call;
      if (message.kind !== 'request') return next(call);
      switch (message.method) {
        case 'initialize':
          return knowledge.initialize(call);
        case 'tools/list':
          return knowledge.list(call, message);
        case 'subscriptions/listen':
          return knowledge.listen(call, message);
        case 'tools/call':
          return next(knowledge.calling(call, message));
        default:
          return next(knowledge.tapChanges(call));
      }
    };
  };
}

class ToolObserver {
  readonly #deps: ToolKnowledgeDeps;
  readonly #next: Handler;
  /** Profiles whose server declares list_changed; other clients do not expect it. */
  readonly #promised = new Set<string>();
  readonly #notifiedAt = new Map<string, number>();
  /** Clients of stdio whose `initialize` has passed, with an `emit` that observes changes. */
  readonly #initialized = new WeakSet<Client>();

  constructor(deps: ToolKnowledgeDeps, next: Handler) {
    this.#deps = deps;
    this.#next = next;
  }

  /**
   * The call with an `emit` that observes list changes of the server, not those of the proxy. In a
   * session they all pass the `emit` of `initialize`, and thousands of calls may wait.
   */
  tapChanges(call: Call): Call {
    const { client, message } = call;
    if (this.#initialized.has(client) && statedVersion(message) === undefined) return call;
    return tapEmit(call, (message, { profile }) => {
      if (message.kind === 'notification' && isToolsChanged(message.method)) {
        this.#deps.toolsOf(profile).invalidate({ clientKnows: true });
      }
    });
  }

  /** The same for a tools/call, with what its tool says about a second delivery. */
  calling(call: Call, request: Request): Call {
    const { name } = paramsOf(request);
    const { knownTo, toolsOf } = this.#deps;
    const known =
      typeof name === 'string' ? (knownTo ?? toolsOf)(call.profile).annotationsOf(name) : undefined;
    const idempotent = known?.readOnly === true || known?.idempotent === true;
    return idempotent ? { ...this.tapChanges(call), idempotent } : this.tapChanges(call);
  }

  async initialize(call: Call): Promise<Reply> {
    const { profile, httpContext } = call;
    // A new session of one HTTP client must not invalidate the tools for all.
    if (httpContext) return this.#next(this.tapChanges(call));
    this.#deps.toolsOf(profile).invalidate({ clientKnows: true });
    this.#initialized.delete(call.client);
    const tapped = this.tapChanges(call);
    this.#initialized.add(call.client);
    const reply = await this.#next(tapped);
    const result = reply.kind === 'answer' ? reply.message.json.result : undefined;
    if (isObject(result) && declaresChangesOf('tools', result)) this.#promised.add(profile);
    else this.#promised.delete(profile);
    return reply;
  }

  async list(call: Call, request: Request): Promise<Reply> {
    const { toolsOf, events, clock } = this.#deps;
    const { profile } = call;
    const tools = toolsOf(profile);
    const { version } = tools;
    const askedAt = clock.monotonic();
    const reply = await this.#next(this.tapChanges(call));
    // A change notification may have overtaken the list, which is outdated then.
    const answer = responseOf(reply);
    if (!answer || isOutdated(version, tools.version)) return reply;
    const change = tools.learn(answer.json, paramsOf(request).cursor, listCacheKey(call), askedAt);
    if (!change) return reply;
    events.emit({ type: 'tools.changed', profile, announced: change.announced });
    if (!change.announced) this.#notifyClient(call, request);
    return reply;
  }

  async listen(call: Call, request: Request): Promise<Reply> {
    const { changeStreams } = this.#deps;
    const { client, profile } = call;
    const tapped = this.tapChanges(call);
    let ended = (): void => undefined;
    const emit: Emit = (below, origin) => {
      if (acknowledgesTools(below)) {
        ended();
        ended = changeStreams.add(
          { client: client.id, profile, stateless: true },
          { request, emit: call.emit },
        );
      }
      return tapped.emit(below, origin);
    };
    try {
      return await this.#next({ ...call, emit });
    } finally {
      ended();
    }
  }

  #notifyClient({ client, profile, httpContext, emit }: Call, request: Request): void {
    const { changeStreams, clock } = this.#deps;
    // HTTP clients keep their streams themselves.
    if (httpContext) return;
    const now = clock.monotonic();
    const key = JSON.stringify([client.id, profile]);
    if (now - (this.#notifiedAt.get(key) ?? Number.NEGATIVE_INFINITY) < MIN_NOTIFY_INTERVAL_MS) return;
    this.#notifiedAt.set(key, now);
    const origin = new PermanentOrigin(profile);
    if (statedVersion(request) !== undefined)
      changeStreams.emitChange({ client: client.id, profile, stateless: true }, origin);
    else if (this.#promised.has(profile)) void emit(listChanged('tools'), origin).catch(() => undefined);
  }
}

function responseOf(reply: Reply): Response | undefined {
  if (reply.kind === 'answer') return reply.message;
  return reply.kind === 'passed' ? reply.answer : undefined;
}

/** True for the acknowledgement that a subscription announces tool changes. */
function acknowledgesTools(message: Message): boolean {
  if (message.kind !== 'notification' || message.method !== 'notifications/subscriptions/acknowledged') {
    return false;
  }
  const { notifications } = paramsOf(message);
  return isObject(notifications) && notifications.toolsListChanged === true;
}
