import type { ServerResponse } from 'node:http';
import type { Id, Message } from '../../../src/core/jsonrpc/message.ts';
import type { Reply } from '../../../src/core/pipeline/call.ts';
import { ToolCatalog } from '../../../src/core/tools/catalog.ts';
import { ChangeStreams } from '../../../src/core/tools/change-streams.ts';
import { fillTools } from '../../../src/core/tools/list-fetch.ts';
import { toolKnowledge } from '../../../src/layers/tool-knowledge.ts';
import { SessionQuota } from '../../../src/pool/session-quota.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { LIMITS } from '../../pool/pool-rig.ts';
import { claiming } from '../../support/claims.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeCall, messageOf } from '../../support/make-call.ts';
import { type RecordedRequest, ScriptedServer } from '../../support/scripted-server.ts';
import { type ScriptedKeys, transportTo } from '../transport/transport-rig.ts';

export type Script = (request: RecordedRequest, response: ServerResponse) => void;

export interface StatelessRigOptions {
  readonly readTimeoutMs?: number;
  readonly max?: number;
  readonly keys?: ScriptedKeys;
  /** A client that does not read waits in it. */
  readonly taken?: () => Promise<void>;
}

/** The bottom handler in front of a scripted server, with what it knows of its tools. */
export async function startStateless(
  script: Script,
  { readTimeoutMs = 0, max = 2, taken, ...more }: StatelessRigOptions = {},
) {
  const server = await ScriptedServer.start(script, { keepAliveTimeoutMs: 0 });
  const clock = new FakeClock({ now: Date.now() });
  const rig = transportTo(server, { clock, max, ...more });
  const tools = new ToolCatalog();
  const learning = toolKnowledge({
    toolsOf: () => tools,
    changeStreams: new ChangeStreams(),
    clock,
    events: rig.events,
  });
  const upstream: Upstream = new Upstream({
    defaultProfile: '',
    transportOf: () => rig.transport,
    openingLayersOf: () => [],
    clock,
    events: rig.events,
    readTimeoutMs,
    limits: LIMITS,
    quota: new SessionQuota(undefined),
    toolsOf: () => tools,
    refreshTools: (call) => fillTools(tools, learning(upstream.handle), call, clock),
  });
  const emitted: Message[] = [];
  /** Sends a message down, as the innermost layer would. */
  const send = (json: Readonly<Record<string, unknown>>) => {
    const made = makeCall(messageOf(json), {
      emit: async (message) => {
        emitted.push(message);
        await taken?.();
      },
    });
    const reply = learning(upstream.handle)(made.call);
    reply.catch(() => undefined);
    return { reply, cancel: made.cancel, call: made.call };
  };
  const ask = (method: string, params?: Readonly<Record<string, unknown>>, id: Id = 0) =>
    send(claiming(method, params, id));
  return { ...rig, server, clock, tools, upstream, emitted, send, ask };
}

export const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : reply.kind);

/** Answers any request with an empty result, under its id. */
export const answerEmpty: Script = ({ rpc }, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":{}}`);
};
