import { describe, expect, it } from 'vitest';
import { EventWriter, type Rpc } from '../support/mcp-answers.ts';
import { makeGate, type RelayedOptions, startInitialized } from '../support/relayed.ts';
import type { RecordedRequest } from '../support/scripted-server.ts';

const asks = ({ method }: Rpc): boolean => method === 'elicitation/create';
const cancels = ({ method }: Rpc): boolean => method === 'notifications/cancelled';
const elicitation = (id: unknown, message: string): Rpc => ({
  jsonrpc: '2.0',
  id,
  method: 'elicitation/create',
  params: { message },
});

const answered = ({ rpc }: RecordedRequest): boolean => 'result' in rpc || 'error' in rpc;

/** `asking` sends a request with the test's id, then answers when the gate opens; others echo. */
async function startAsking(...ids: readonly (number | string)[]) {
  return startAskingWith({}, ...ids);
}

async function startAskingWith(options: RelayedOptions, ...ids: readonly (number | string)[]) {
  const gates = ids.map(() => makeGate());
  const streams: EventWriter[] = [];
  const relayed = await startInitialized({
    ...options,
    on: {
      'tools/call': async (request, response, context) => {
        if (request.rpc.params?.name !== 'asking' || !context.session) {
          if (context.session) return context.fallback();
          response.writeHead(404).end();
          return;
        }
        const at = streams.length;
        const events = new EventWriter(response);
        streams.push(events);
        events.send(elicitation(ids[at], `question ${at}`));
        await gates[at]?.opened;
        events.send({ jsonrpc: '2.0', id: request.rpc.id, result: { content: [] } });
        events.end();
      },
    },
  });
  const { bin, mcp, server } = relayed;
  /** The server drops the session, and a call reveals the loss. */
  const lose = async (): Promise<void> => {
    mcp.forgetSessions();
    expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, 'finder')).toHaveProperty(
      'result',
    );
  };
  const answers = () => server.requests.filter(answered);
  return { ...relayed, gates, streams, lose, answers };
}

describe('server requests of a lost session', () => {
  it.each([0, '', -1])(
    'server requests of a lost session are cancelled at the client under id %j, once; the call goes on',
    async (id) => {
      const { bin, lose, gates } = await startAsking(id);
      const call = bin.request('tools/call', { name: 'asking' }, 'call');
      expect(await bin.next(asks)).toEqual(elicitation(id, 'question 0'));
      await lose();
      expect(await bin.next(cancels)).toEqual({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: id, reason: 'the session that asked is gone' },
      });
      gates[0]?.open();
      expect(await call).toEqual({ jsonrpc: '2.0', id: 'call', result: { content: [] } });
      expect(bin.messages.filter(cancels)).toHaveLength(1);
    },
  );

  it('server requests of a lost session that came on the standalone stream are cancelled at the client', async () => {
    const { bin, mcp, lose } = await startAsking();
    mcp.broadcast(elicitation(0, 'standing alone'));
    await bin.next(asks);
    await lose();
    expect((await bin.next(cancels)).params).toMatchObject({ requestId: 0 });
  });

  it('a response to a server request reveals the session loss: the next call uses a new session, without repeats', async () => {
    // Without a standalone stream, nothing else reveals the loss.
    const { bin, mcp, server, gates } = await startAskingWith({ getStream: false }, -1);
    const call = bin.request('tools/call', { name: 'asking' }, 'call');
    await bin.next(asks);
    mcp.forgetSessions();
    bin.send({ jsonrpc: '2.0', id: -1, result: { action: 'decline' } });
    await server.until(() => [...mcp.sessions.values()].some(({ initialized }) => initialized));
    gates[0]?.open();
    expect(await call).toHaveProperty('result');
    expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, 0)).toHaveProperty('result');
    expect(server.requests.filter(answered)).toHaveLength(1);
    expect(server.of('initialize')).toHaveLength(2);
    // The later call was never sent on the lost session.
    expect(server.of('tools/call')).toHaveLength(2);
  });

  it("server requests of a lost session get no late response, and the new session gets none of another's", async () => {
    const { bin, server, mcp, lose, gates, answers } = await startAsking(0, 0);
    const first = bin.request('tools/call', { name: 'asking' }, 'first');
    await bin.next(asks);
    await lose();
    const second = bin.request('tools/call', { name: 'asking' }, 'second');
    const asked = await bin.next(asks);
    expect(asked.params).toEqual({ message: 'question 1' });
    expect(asked.id).not.toBe(0);
    bin.send({ jsonrpc: '2.0', id: 0, result: { action: 'too late' } });
    bin.send({ jsonrpc: '2.0', id: asked.id, result: { action: 'accept' } });
    await server.until(() => answers().length > 0);
    for (const gate of gates) gate.open();
    await Promise.all([first, second, bin.request('ping', {}, 'after')]);
    expect(answers().map(({ rpc }) => rpc)).toEqual([
      { jsonrpc: '2.0', id: 0, result: { action: 'accept' } },
    ]);
    expect(answers()[0]?.headers['mcp-session-id']).toBe([...mcp.sessions.keys()][0]);
  });

  it('server requests that arrive after the session loss are not emitted to the client', async () => {
    const { bin, lose, gates, streams } = await startAsking(0);
    const call = bin.request('tools/call', { name: 'asking' }, 'call');
    await bin.next(asks);
    await lose();
    streams[0]?.send(elicitation(1, 'too late to ask'));
    streams[0]?.send({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'still received' } });
    await bin.next(({ method }) => method === 'notifications/message');
    expect(bin.messages.filter(asks)).toHaveLength(1);
    gates[0]?.open();
    expect(await call).toHaveProperty('result');
  });
});
