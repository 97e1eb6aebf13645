import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, type Rpc, sendJson } from '../support/mcp-answers.ts';
import { errorOf, type Handler } from '../support/mcp-behaviours.ts';
import { startInitialized } from '../support/relayed.ts';

type Refuse = (response: ServerResponse, id: unknown) => void;

const text =
  (status: number, body: string, headers: Record<string, string> = {}): Refuse =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'text/plain', ...headers }).end(body);

const json =
  (status: number, message: string, code = -32000): Refuse =>
  (response, id) =>
    sendJson(response, status, errorOf(id ?? null, code, message));

const sse =
  (status: number, data: (id: unknown) => object): Refuse =>
  (response, id) => {
    const events = new EventWriter(response, status);
    events.send(data(id) as Rpc);
    events.end();
  };

/** How deployed servers answer a request whose session they do not know. */
const FORMS: Readonly<Record<string, Refuse>> = {
  // modelcontextprotocol/rust-sdk#689
  '401 as text': text(401, 'Unauthorized: Session not found'),
  // punkpeye/mcp-proxy#108
  '401 with a challenge': (response, id) => {
    response.setHeader('www-authenticate', 'Bearer error="invalid_token"');
    json(401, 'Unauthorized: No valid session ID provided')(response, id);
  },
  'a 403': json(403, 'Forbidden: unknown session'),
  'a 409': json(409, 'Session has been terminated'),
  'a 410': text(410, 'Session expired'),
  'a 422': json(422, 'No active session'),
  'a 500': json(500, 'Session not found'),
  // diegosouzapw/OmniRoute#5957
  '400 Unknown Mcp-Session-Id header': json(400, 'Not Found: Unknown Mcp-Session-Id header'),
  '400 as a bare object': (response) => sendJson(response, 400, { error: 'session_not_found' }),
  // anthropics/claude-code#55970
  '400 as an event stream': sse(400, () => errorOf(null, -32000, 'Bad Request: Server not initialized')),
  '200 with a JSON-RPC error': json(200, 'Session not found', -32001),
  // aklivity/zilla#2525
  '200 with an error for nobody': (response) =>
    sendJson(response, 200, errorOf(null, -32600, 'Invalid session id')),
  // actionhero/keryx#503
  '200 with a bare string in an event stream': sse(200, () => ({ error: 'Session not found' })),
  '200 with a bare string': (response) => sendJson(response, 200, { error: 'Session not found' }),
  '200 with an error in an event stream': sse(200, (id) => errorOf(id, -32001, 'session does not exist')),
  '200 as text': text(200, 'Session not found'),
};

/** Refuses the first call of each text in the form that it names, and runs all others. */
function forgetful(forms: Readonly<Record<string, Refuse>> = FORMS) {
  const refused = new Set<string>();
  const runs: string[] = [];
  const call: Handler = (_request, response, context) => {
    const { text: form = '' } = context.params.arguments as { text?: string };
    const refuse = forms[form];
    if (refuse && !refused.has(form)) {
      refused.add(form);
      // The session is gone, with all its state.
      if (context.session) context.server.sessions.delete(context.session.id);
      refuse(response, context.id);
      return undefined;
    }
    runs.push(form);
    return context.fallback();
  };
  return { runs, on: { 'tools/call': call } };
}

const echo = (form: string) => ({ name: 'echo', arguments: { text: form } });

describe('a session loss in the forms of deployed servers', () => {
  it('a session loss in any form is recovered on stdio: each call is answered and runs once', async () => {
    const { runs, on } = forgetful();
    const { server, bin } = await startInitialized({ on });
    for (const form of Object.keys(FORMS)) {
      expect(await bin.request('tools/call', echo(form), form), form).toMatchObject({
        result: { content: [{ text: expect.stringContaining(form) }] },
      });
    }
    expect(runs).toEqual(Object.keys(FORMS));
    expect(server.of('initialize')).toHaveLength(1 + Object.keys(FORMS).length);
    expect(bin.stderr).toBe('');
  });

  it('a session loss in any form is a 404 at the listener, and the call did not run', async () => {
    const { runs, on } = forgetful();
    const { ask } = await startListening({ session: { on } });
    for (const form of Object.keys(FORMS)) {
      const headers = await openSession(ask);
      const body = { jsonrpc: '2.0', id: '', method: 'tools/call', params: echo(form) };
      const lost = await ask({ headers, body });
      expect([form, lost.status, lost.json.result]).toEqual([form, 404, undefined]);
      expect((lost.json.error as Rpc).message, form).toMatch(/session|initialized/i);
      const again = await ask({ headers: await openSession(ask), body });
      expect([form, again.status, again.json]).toMatchObject([form, 200, { id: '', result: {} }]);
    }
    expect(runs).toEqual(Object.keys(FORMS));
  });
});

describe('a session loss at the listener', () => {
  it.each(['DELETE', 'GET', 'notifications/roots/list_changed'])(
    'a session loss at the listener is a 404 for %s',
    async (what) => {
      const refuse: Handler = (_request, response) =>
        text(401, 'Unauthorized: Session not found')(response, 0);
      const { ask } = await startListening({ session: { on: { [what]: refuse } } });
      const headers = await openSession(ask);
      const accept = { ...headers, accept: 'text/event-stream' };
      const got = await (/^[A-Z]+$/.test(what)
        ? ask({ method: what, headers: accept })
        : ask({ headers, body: { jsonrpc: '2.0', method: what } }));
      expect([got.status, got.json]).toMatchObject([404, { error: { data: { reason: 'session-lost' } } }]);
    },
  );

  it('a session loss at the listener is a 404 for a list that a layer reads, whatever status the server sent', async () => {
    const { ask } = await startListening({
      args: ['--read-only'],
      session: { on: { 'tools/list': (_request, response) => json(200, 'Session not found')(response, 0) } },
    });
    const headers = await openSession(ask);
    const got = await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'tools/list' } });
    expect([got.status, got.json]).toMatchObject([
      404,
      { id: 0, error: { data: { reason: 'session-lost' } } },
    ]);
  });
});

describe('an error that is not a session loss', () => {
  /** None of these can be sent again: the call may have run. */
  const OTHERS: Readonly<Record<string, Refuse>> = {
    'a session of a tool': json(200, 'Browser session not found'),
    'another id': json(200, 'Session b-7 not found'),
    'an expired token': json(400, 'Your AWS session token has expired.'),
    'a permission': json(403, 'You do not have permission to use this session'),
    'a method': json(404, 'Method not found', -32601),
  };

  it('an error that is not a session loss reaches the client unchanged, and no session is opened', async () => {
    const { on } = forgetful(OTHERS);
    const { server, bin } = await startInitialized({ on });
    for (const form of Object.keys(OTHERS)) {
      const answer = await bin.request('tools/call', echo(form), form);
      expect(answer.error, form).toMatchObject({ code: expect.any(Number) });
      expect(answer.error, form).not.toHaveProperty('data.reason');
      // The rig has dropped the session; the next call recovers from that.
      await bin.initialize({}, `after ${form}`);
    }
    expect(server.of('tools/call')).toHaveLength(Object.keys(OTHERS).length);
    expect(server.of('initialize')).toHaveLength(1 + Object.keys(OTHERS).length);
  });

  it('an error after progress is the response of a call that ran, whatever it states', async () => {
    const { server, bin } = await startInitialized({
      on: {
        'tools/call': (_request, _response, context) => {
          const events = context.events();
          events.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1 } });
          events.send(errorOf(context.id, -32603, 'Session not found'));
          events.end();
        },
      },
    });
    const params = { ...echo('x'), _meta: { progressToken: 1 } };
    expect((await bin.request('tools/call', params, '')).error).toEqual({
      code: -32603,
      message: 'Session not found',
    });
    expect(server.of('tools/call')).toHaveLength(1);
  });
});

describe('a 404 with ResourceNotFoundException', () => {
  const gone: Handler = (_request, response) => {
    response.setHeader('x-amzn-errortype', 'ResourceNotFoundException:');
    sendJson(response, 404, { message: "No endpoint or agent found with qualifier 'OLD'" });
  };

  it('a 404 with ResourceNotFoundException reaches a stdio client with the text of AWS and opens no session', async () => {
    const { server, bin } = await startInitialized({ on: { 'tools/call': gone } });
    const { error } = await bin.request('tools/call', echo('x'), -1);
    expect(error).toMatchObject({ data: { reason: 'http-status', mayHaveRun: false, httpStatus: 404 } });
    expect(error).toHaveProperty(
      'message',
      expect.stringContaining("No endpoint or agent found with qualifier 'OLD'"),
    );
    expect(server.of('initialize')).toHaveLength(1);
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('a 404 with ResourceNotFoundException passes through the listener unchanged', async () => {
    const { ask } = await startListening({ session: { on: { 'tools/call': gone } } });
    const headers = await openSession(ask);
    const body = { jsonrpc: '2.0', id: 0, method: 'tools/call', params: echo('x') };
    const got = await ask({ headers, body });
    expect([got.status, got.json]).toEqual([
      404,
      { message: "No endpoint or agent found with qualifier 'OLD'" },
    ]);
  });
});

describe('a lost session that cannot be replaced', () => {
  it("the error of a session that cannot be replaced has the server's texts for the loss and for the refusal", async () => {
    let initialized = 0;
    const { bin } = await startInitialized({
      on: {
        initialize: (_request, response, context) => {
          if (initialized++ === 0) return context.fallback();
          sendJson(response, 400, errorOf(context.id, -32603, 'The runtime is being deleted'));
          return undefined;
        },
        'tools/call': (_request, response) => text(401, 'Unauthorized: Session not found')(response, 0),
      },
    });
    const { error } = await bin.request('tools/call', echo('x'), '');
    expect(error).toMatchObject({ data: { reason: 'session-lost', mayHaveRun: false } });
    expect(error).toHaveProperty('message', expect.stringContaining('The runtime is being deleted'));
    expect(error).toHaveProperty('message', expect.stringContaining('Unauthorized: Session not found'));
  });
});

describe('a call whose replacement session is lost too', () => {
  const refuse = json(404, 'Session not found', -32001);

  it('a call whose replacement session is lost too is sent again until a session lasts, and runs once', async () => {
    let losses = 0;
    const runs: unknown[] = [];
    const { server, bin } = await startInitialized({
      on: {
        'tools/call': (_request, response, context) => {
          if (++losses <= 4) return refuse(response, context.id);
          runs.push(context.id);
          return context.fallback();
        },
      },
    });
    expect(await bin.request('tools/call', echo('x'), '')).toMatchObject({ id: '', result: {} });
    expect(runs).toEqual(['']);
    expect(server.of('tools/call')).toHaveLength(5);
    expect(server.of('initialize')).toHaveLength(5);
  });

  it('a call ends within its time limit, with advice, if every replacement session is lost', async () => {
    let opened = 0;
    const { bin, server } = await startInitialized({
      args: ['--tool-timeout', '1'],
      on: {
        // Held, so that the limit ends a wait and never a POST that may have run.
        initialize: (_request, _response, context) => (++opened <= 4 ? context.fallback() : undefined),
        'tools/call': (_request, response, context) => refuse(response, context.id),
      },
    });
    const { error } = await bin.request('tools/call', echo('x'), 0);
    expect(error).toMatchObject({ data: { mayHaveRun: false } });
    expect(error).toHaveProperty('message', expect.stringMatching(/several instances|did not run/));
    expect(server.of('tools/call').length).toBeGreaterThan(2);
  });
});
