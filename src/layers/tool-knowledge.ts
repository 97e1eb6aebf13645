import {
  claimOf,
  isObject,
  type Message,
  paramsOf,
  type Request,
  type Response,
} from '../core/jsonrpc/message.ts';
import {
  type Call,
  type Emit,
  type Handler,
  LastingOrigin,
  type Layer,
  type Reply,
} from '../core/pipeline/call.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import type { ToolCatalog } from '../core/tools/catalog.ts';
import type { ChangeStreams } from '../core/tools/change-streams.ts';
import { declaresChangesOf, isToolsChanged, listChanged } from '../core/tools/list-changes.ts';
import { listCacheKey } from '../core/tools/list-edit.ts';

export interface ToolKnowledgeDeps {
  readonly toolsOf: (profile: string) => ToolCatalog;
  /** What is known of tools without a request, also from another profile. */
  readonly knownTo?: (profile: string) => Pick<ToolCatalog, 'annotationsOf'>;
  readonly feeds: ChangeStreams;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Between two times that the client is told of a change which only the proxy has seen. A client
 * that hears of one asks for the list: of a server whose list is never twice the same, it would ask
 * for ever.
 */
const TELL_SPACING_MS = 60_000;

/**
 * Reads what passes anyway: every tools/list answer teaches what a tool says of itself, and word
 * that the list has changed, or a session that begins, ends what was known. No request of its own.
 * What the server does not say of a change, it says in its place.
 */
export function toolKnowledge(deps: ToolKnowledgeDeps): Layer {
  return (next) => {
    const knowledge = new Knowledge(deps, next);
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
          return next(knowledge.hearing(call));
      }
    };
  };
}

class Knowledge {
  readonly #deps: ToolKnowledgeDeps;
  readonly #next: Handler;
  /**
   * Profiles whose server has said that it tells of changes. A client that was not promised such
   * word does not expect it.
   */
  readonly #promised = new Set<string>();
  readonly #toldAt = new Map<string, number>();

  constructor(deps: ToolKnowledgeDeps, next: Handler) {
    this.#deps = deps;
    this.#next = next;
  }

  /**
   * The call, with ears for what comes down. What the proxy says itself goes past them, by the call
   * as it arrived.
   */
  hearing(call: Call): Call {
    const emit: Emit = (below, origin) => {
      if (below.kind === 'notification' && isToolsChanged(below.method)) {
        this.#deps.toolsOf(origin.profile).forget({ told: true });
      }
      return call.emit(below, origin);
    };
    return { ...call, emit };
  }

  /** The same for a tools/call, with what its tool says about a second delivery. */
  calling(call: Call, request: Request): Call {
    const { name } = paramsOf(request);
    const { knownTo, toolsOf } = this.#deps;
    const known =
      typeof name === 'string' ? (knownTo ?? toolsOf)(call.profile).annotationsOf(name) : undefined;
    const repeatable = known?.readOnly === true || known?.idempotent === true;
    return repeatable ? { ...this.hearing(call), repeatable } : this.hearing(call);
  }

  async initialize(call: Call): Promise<Reply> {
    const { profile, passage } = call;
    // One of many HTTP clients begins a session of its own: what the others go by must not end with
    // it, or it would never last.
    if (passage) return this.#next(this.hearing(call));
    this.#deps.toolsOf(profile).forget({ told: true });
    const reply = await this.#next(this.hearing(call));
    const result = reply.kind === 'answer' ? reply.message.json.result : undefined;
    if (isObject(result) && declaresChangesOf('tools', result)) this.#promised.add(profile);
    else this.#promised.delete(profile);
    return reply;
  }

  async list(call: Call, request: Request): Promise<Reply> {
    const { toolsOf, events, clock } = this.#deps;
    const { profile } = call;
    const tools = toolsOf(profile);
    const { generation } = tools;
    const askedAt = clock.monotonic();
    const reply = await this.#next(this.hearing(call));
    // Word that the list has changed may have overtaken the list: then it is one of yesterday.
    const answer = answerIn(reply);
    if (!answer || generation !== tools.generation) return reply;
    const change = tools.learn(answer.json, paramsOf(request).cursor, listCacheKey(call), askedAt);
    if (!change) return reply;
    events.emit({ type: 'tools.changed', profile, announced: change.told });
    if (!change.told) this.#tell(call, request);
    return reply;
  }

  async listen(call: Call, request: Request): Promise<Reply> {
    const { feeds } = this.#deps;
    const { client, profile } = call;
    const heard = this.hearing(call);
    let ended = (): void => undefined;
    const emit: Emit = (below, origin) => {
      if (acknowledgesTools(below)) {
        ended();
        ended = feeds.opened({ client: client.id, profile, stateless: true }, { request, emit: call.emit });
      }
      return heard.emit(below, origin);
    };
    try {
      return await this.#next({ ...call, emit });
    } finally {
      ended();
    }
  }

  #tell({ client, profile, passage, emit }: Call, request: Request): void {
    const { feeds, clock } = this.#deps;
    // A client of the HTTP listener keeps its streams itself.
    if (passage) return;
    const now = clock.monotonic();
    const key = JSON.stringify([client.id, profile]);
    if (now - (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < TELL_SPACING_MS) return;
    this.#toldAt.set(key, now);
    const origin = new LastingOrigin(profile);
    if (claimOf(request) !== undefined) feeds.tell({ client: client.id, profile, stateless: true }, origin);
    else if (this.#promised.has(profile)) void emit(listChanged('tools'), origin).catch(() => undefined);
  }
}

function answerIn(reply: Reply): Response | undefined {
  if (reply.kind === 'answer') return reply.message;
  return reply.kind === 'passed' ? reply.answer : undefined;
}

/**
 * True for word that a listen stream will tell of changed tools: servers honour what they can of
 * what was asked.
 */
function acknowledgesTools(message: Message): boolean {
  if (message.kind !== 'notification' || message.method !== 'notifications/subscriptions/acknowledged') {
    return false;
  }
  const { notifications } = paramsOf(message);
  return isObject(notifications) && notifications.toolsListChanged === true;
}
