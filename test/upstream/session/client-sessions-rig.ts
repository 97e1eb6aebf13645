import type { Id, Message, Request } from '../../../src/core/jsonrpc/message.ts';
import type { Emit, Layer, Reply } from '../../../src/core/pipeline/call.ts';
import type { PoolLimits } from '../../../src/pool/maintenance.ts';
import { SessionQuota } from '../../../src/pool/session-quota.ts';
import { ClientSessions } from '../../../src/upstream/session/client-sessions.ts';
import { LIMITS } from '../../pool/pool-rig.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeCall, messageOf, requestOf } from '../../support/make-call.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../../support/mcp-behaviours.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { never } from '../http/connection-rig.ts';
import { transportTo } from '../transport/transport-rig.ts';

export interface ClientSessionsOptions extends SessionServerOptions {
  readonly maxSessions?: number;
  readonly places?: SessionQuota;
  readonly opening?: readonly Layer[];
  /** The sessions with the profile of initialize, if these belong to another profile. */
  readonly lead?: ClientSessions;
}

/** The limits of a client and profile by default. */
const SINGLE: PoolLimits = {
  ...LIMITS,
  max: 1,
  callsPerItem: Number.POSITIVE_INFINITY,
  waitMs: 0,
  keepsOpen: false,
};

export const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : reply.kind);

/** The sessions of a client with a session server whose sessions are called s-0, s-1, ..., on a fake clock. */
export async function clientSessionsWith(options: ClientSessionsOptions = {}) {
  const { maxSessions = 1, places = new SessionQuota(), opening = [], lead, ...served } = options;
  let named = 0;
  const mcp = new SessionServer({ sessionId: () => `s-${named++}`, ...served });
  const server = await ScriptedServer.start(mcp.behaviour, { keepAliveTimeoutMs: 0 });
  const clock = new FakeClock({ now: Date.now() });
  const { transport, events, seen } = transportTo(server, { clock, max: 8 });
  const shown: Message[] = [];
  const emit: Emit = async (message) => void shown.push(message);
  const replaced = { times: 0 };
  const clientSessions = new ClientSessions(
    {
      session: { transport, clock, events, readTimeoutMs: 0 },
      onReplaced: () => void replaced.times++,
      openingLayers: opening,
      limits: maxSessions > 1 ? { ...LIMITS, max: maxSessions } : SINGLE,
      quota: places,
      primary: lead,
    },
    emit,
  );
  /** One request, as the bottom of the stack sends it, with the means to give it up. */
  const ask = (method: string, params: unknown, id: Id, callEmit: Emit = emit) => {
    const { call, cancel } = makeCall(requestOf(method, params, id), { emit: callEmit });
    const reply = clientSessions.sendCall(call, (session) => session.request(call));
    reply.catch(() => undefined);
    return { reply, cancel };
  };
  const initialize = async (id: Id = 'init'): Promise<Reply> => {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'c', version: '1' },
    };
    const request = requestOf('initialize', params, id);
    return clientSessions.initialize(makeCall(request, { emit }).call, request as Request);
  };
  const say = (json: Record<string, unknown>) => {
    const { call } = makeCall(messageOf(json), { emit });
    return clientSessions.sendCall(call, (session) => session.notify(call.message.text, never));
  };
  const begin = async (): Promise<void> => {
    await initialize();
    const { call } = makeCall(messageOf({ method: 'notifications/initialized' }), { emit });
    await clientSessions.sendCall(call, (session) => session.initialized(call.message.text, never));
  };
  return {
    clientSessions,
    replaced,
    mcp,
    server,
    clock,
    places,
    seen,
    shown,
    initialize,
    begin,
    ask,
    say,
    echo: (id: Id = 0, callEmit?: Emit) =>
      ask('tools/call', { name: 'echo', arguments: { text: 'x' } }, id, callEmit),
    changes: () => shown.filter(({ kind }) => kind === 'notification').map(({ json }) => json.method),
    sessionsThat: (method: string) => server.of(method).map(({ headers }) => headers['mcp-session-id']),
  };
}

/** Serves the first so many requests of a kind as ever, and then as the test says. */
export function afterwards(first: number, then: Handler): Handler {
  let served = 0;
  return (request, response, context) =>
    served++ < first ? context.fallback() : then(request, response, context);
}
