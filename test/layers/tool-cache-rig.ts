import { type Id, type JsonObject, paramsOf } from '../../src/core/jsonrpc/message.ts';
import type { Call, Handler, Reply } from '../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { PerProfile } from '../../src/core/pipeline/per-profile.ts';
import { ToolCatalog } from '../../src/core/tools/catalog.ts';
import { ChangeStreams } from '../../src/core/tools/change-streams.ts';
import { toolCache } from '../../src/layers/tool-cache/tool-cache.ts';
import { toolKnowledge } from '../../src/layers/tool-knowledge.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { HeldHandler, type Running } from '../support/held-handler.ts';
import { answerOf, type MadeCall, makeCall, requestOf, settle } from '../support/make-call.ts';

export const OWN_STREAM = { client: 'client-1', profile: '', stateless: false };
export const CLAIM = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };

/** The server's list, for the call that it answers. */
export function listOf(names: readonly string[], more: JsonObject = {}, call?: Call): Reply {
  const id = call?.message.kind === 'request' ? call.message.id : 0;
  return answerOf({ id, result: { tools: names.map((name) => ({ name })), ...more } });
}

/** The cache above what is known of tools, over a server that answers when the test says so. */
export function cached(ttlMs?: number) {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const known = new PerProfile(() => new ToolCatalog());
  const toolsOf = (profile: string): ToolCatalog => known.of(profile);
  const feeds = new ChangeStreams();
  const identity = { inDoubt: false };
  const isIdentityInDoubt = () => identity.inDoubt;
  const deps = { ttlMs, toolsOf, isIdentityInDoubt, changeStreams: feeds, clock, events };
  const server = new HeldHandler();
  const below: Handler = toolKnowledge(deps)(server.handle);
  const handler = toolCache(deps)(below);

  /** Sends tools/list; what comes of it as a value: names, or the error. */
  const ask = (
    id: Id = 0,
    params: JsonObject | undefined = undefined,
    made: MadeCall = makeCall(requestOf('tools/list', params, id)),
  ): Promise<unknown> => namesOrError(handler(made.call));
  /** The same with an answer at once, if the server is asked. */
  const answered = async (
    names: readonly string[],
    more: JsonObject = {},
    params?: JsonObject,
  ): Promise<unknown> => {
    const names_ = ask(0, params);
    await settle();
    newest(server)?.finish(listOf(names, more));
    return names_;
  };
  const asked = (): number => server.begun.length;
  const cursors = (): unknown[] => server.begun.map(({ message }) => paramsOf(message).cursor);
  return { identity, clock, seen, toolsOf, feeds, server, handler, below, ask, answered, asked, cursors };
}

export const newest = (server: HeldHandler): Running | undefined => server.running.at(-1);

export async function namesOrError(reply: Promise<Reply>): Promise<unknown> {
  try {
    const settled = await reply;
    if (settled.kind !== 'answer') return settled.kind;
    const { result, error } = settled.message.json as {
      result?: { tools?: { name: string }[] };
      error?: unknown;
    };
    return result?.tools ? result.tools.map(({ name }) => name) : (result ?? error);
  } catch (error) {
    return error;
  }
}
