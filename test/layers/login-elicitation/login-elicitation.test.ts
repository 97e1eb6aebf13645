import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { type Call, compose, type Handler } from '../../../src/core/pipeline/call.ts';
import { LoginElicitation } from '../../../src/layers/login-elicitation/login-elicitation.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeCall, requestOf } from '../../support/make-call.ts';

const required = new ProxyError('login-required', 'Log in.', { sent: 'refused', details: { command: 'x' } });
const RESULT = { kind: 'accepted' } as const;
const URLS = { elicitation: { url: {} } };
const PAGE = 'https://login.example.com/';

/** The layers over a server that needs a login until `state.failure` is undefined. */
function setUp({ begin = async () => ({ id: '0', url: PAGE }) } = {}) {
  const clock = new FakeClock();
  const state = {
    failure: required as unknown,
    pending: undefined as Promise<unknown> | undefined,
    begun: [] as string[],
  };
  const received: Call[] = [];
  const elicitation = new LoginElicitation({
    begin: (profile) => {
      state.begun.push(profile);
      return begin();
    },
    pending: () => state.pending,
    clock,
  });
  const server: Handler = async (call) => {
    received.push(call);
    if (call.message.kind === 'request' && call.message.method === 'initialize') {
      return { kind: 'accepted', http: { status: 200, headers: { 'mcp-session-id': 's-1' } } };
    }
    if (state.failure) throw state.failure;
    return RESULT;
  };
  const handler = compose([elicitation.observe, elicitation.offer], server);
  const send = (method: string, params: object, more: Partial<Call> = {}) =>
    handler({ ...makeCall(requestOf(method, params, '')).call, ...more });
  return { send, state, received, clock };
}

describe('the elicitation of a login in the session era', () => {
  it.each([
    ['a client that opens URLs', URLS, 'tools/call', 'url-elicitation'],
    ['a client with forms only', { elicitation: { form: {} } }, 'tools/call', 'login-required'],
    ['a client without elicitation', {}, 'tools/call', 'login-required'],
    ['a request that elicits nothing', URLS, 'tools/list', 'login-required'],
  ])(
    'a call that needs a login, from %s, fails in the form that it expects',
    async (_case, capabilities, method, reason) => {
      const { send } = setUp();
      await send('initialize', { capabilities });
      await expect(send(method, {})).rejects.toMatchObject({ reason });
    },
  );

  it.each<[string, Partial<Call>, Partial<Call>, string]>([
    ['of its session', {}, {}, 'url-elicitation'],
    ['of another session', {}, { httpContext: { headers: { 'mcp-session-id': 's-2' } } }, 'login-required'],
    ['without a session', {}, { httpContext: { headers: {} } }, 'login-required'],
    ['from another machine', {}, { client: { id: 'client-1', address: '203.0.113.5' } }, 'login-required'],
    ['over a unix socket', {}, { client: { id: 'client-1', address: '' } }, 'url-elicitation'],
  ])('at the listener, a call %s that needs a login is %s', async (_case, first, second, reason) => {
    const { send } = setUp();
    const client = { id: 'client-1', address: '127.0.0.1' };
    await send('initialize', { capabilities: URLS }, { client, httpContext: { headers: {} }, ...first });
    const httpContext = { headers: { 'mcp-session-id': 's-1' } };
    await expect(send('tools/call', {}, { client, httpContext, ...second })).rejects.toMatchObject({
      reason,
    });
  });

  it('one of several clients in a process opens URLs, and the others get the command', async () => {
    const { send } = setUp();
    await send('initialize', { capabilities: URLS }, { client: { id: 'a' } });
    await send('initialize', { capabilities: {} }, { client: { id: 'b' } });
    await expect(send('tools/call', {}, { client: { id: 'a' } })).rejects.toMatchObject({
      reason: 'url-elicitation',
    });
    await expect(send('tools/call', {}, { client: { id: 'b' } })).rejects.toBe(required);
  });

  it('the login of the profile of the call is offered', async () => {
    const { send, state } = setUp();
    await send('initialize', { capabilities: URLS });
    await expect(send('tools/call', {}, { profile: 'prod' })).rejects.toThrow();
    expect(state.begun).toEqual(['prod']);
  });

  it('a login that cannot begin leaves the error with the command, and other errors pass unchanged', async () => {
    const { send, state } = setUp({ begin: () => Promise.reject(new Error('no port')) });
    await send('initialize', { capabilities: URLS });
    await expect(send('tools/call', {})).rejects.toBe(required);
    const other = new ProxyError('timeout', 'late', { sent: 'maybe' });
    state.failure = other;
    await expect(send('tools/call', {})).rejects.toBe(other);
  });
});

describe('the elicitation of a login in 2026-07-28', () => {
  const _meta = (capabilities: object) => ({
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  });
  const params = { name: 'deploy', arguments: { n: 1 }, _meta: _meta(URLS) };
  type Result = Record<string, unknown> & { readonly requestState: string };
  const resultOf = (reply: Awaited<ReturnType<Handler>>): Result =>
    (reply.kind === 'answer' ? reply.message.json.result : undefined) as Result;
  const KEY = 'mcp-sigv4-proxy/login';
  const answered = (result: Result, action: string) => ({
    ...params,
    requestState: result.requestState,
    inputResponses: { [KEY]: { action } },
  });

  it('a call that needs a login is answered with its page, and its repetition reaches the server unchanged', async () => {
    const { send, state, received } = setUp();
    const given = { ...params, requestState: 'of the server', inputResponses: { q: { action: 'accept' } } };
    const result = resultOf(await send('tools/call', given));
    expect(result).toMatchObject({
      resultType: 'input_required',
      inputRequests: { [KEY]: { method: 'elicitation/create', params: { mode: 'url', url: PAGE } } },
    });
    state.failure = undefined;
    expect(await send('tools/call', answered(result, 'accept'))).toBe(RESULT);
    expect(received.at(-1)?.message.json).toMatchObject({ params: given });
    expect(JSON.parse(received.at(-1)?.message.text ?? '')).toEqual(received.at(-1)?.message.json);
  });

  it('a call without a round of its own is repeated without one', async () => {
    const { send, state, received } = setUp();
    const result = resultOf(await send('tools/call', params));
    state.failure = undefined;
    await send('tools/call', answered(result, 'accept'));
    expect(received.at(-1)?.message.json.params).toEqual(params);
  });

  it('a user who agreed is waited for; one who takes longer is asked again, with a state of the same size', async () => {
    const { send, state, clock } = setUp();
    const first = resultOf(await send('tools/call', params));
    let done: () => void = () => undefined;
    state.pending = new Promise<void>((resolve) => {
      done = resolve;
    });
    const late = send('tools/call', answered(first, 'accept'));
    await clock.advance(45_000);
    const second = resultOf(await late);
    expect(second).toEqual(first);
    const repeated = send('tools/call', answered(second, 'accept'));
    state.failure = undefined;
    done();
    expect(await repeated).toBe(RESULT);
  });

  it('a user who declines gets the error with the command', async () => {
    const { send } = setUp();
    const result = resultOf(await send('tools/call', params));
    await expect(send('tools/call', answered(result, 'decline'))).rejects.toBe(required);
  });

  it.each([
    ['declares no URLs', { ...params, _meta: _meta({ elicitation: { form: {} } }) }],
    ['declares nothing', { ...params, _meta: _meta({}) }],
  ])('a client that %s gets the error with the command', async (_case, given) => {
    const { send } = setUp();
    await expect(send('tools/call', given)).rejects.toBe(required);
  });

  it.each(['of the server', `${KEY} `, `${KEY} [1]`, `${KEY} {"requestState":"no json"}`])(
    'the requestState %j puts no text into a request that is no JSON',
    async (requestState) => {
      const { send, state, received } = setUp();
      state.failure = undefined;
      await send('tools/call', { ...params, requestState });
      const [call] = received;
      expect(JSON.parse(call?.message.text ?? '')).toEqual(call?.message.json);
      expect(call?.message.json).toMatchObject({ params });
    },
  );
});
