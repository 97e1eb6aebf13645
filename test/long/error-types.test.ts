import { describe, expect, it } from 'vitest';
import { claiming, startDual } from '../support/claims.ts';
import { startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import type { Handler } from '../support/mcp-behaviours.ts';
import { startInitialized, startRelayed } from '../support/relayed.ts';
import type { Behaviour } from '../support/scripted-server.ts';

/** The learned rate would add seconds of waits; test/long/adaptive-rate.test.ts is about it. */
const QUICK = ['--retry-mode', 'standard', '--retry-base-delay', '0.01', '--retry-max-delay', '0.01'];
const ECHO = { name: 'echo', arguments: { text: 'x' } };

type Answer = Parameters<Behaviour>[1];
const failed = (response: Answer, status: number, type: string, where: 'header' | 'body'): void => {
  if (where === 'header') response.setHeader('x-amzn-errortype', `${type}:http://internal.amazon.com/coral/`);
  sendJson(response, status, {
    ...(where === 'body' ? { __type: `com.amazon#${type}` } : {}),
    message: 'words',
  });
};

/** Each states that the request did not run, whatever the status. */
const UNREAD: readonly (readonly [type: string, status: number, where: 'header' | 'body'])[] = [
  ['ThrottlingException', 400, 'header'],
  ['ThrottlingException', 403, 'body'],
  ['ThrottledException', 503, 'header'],
  ['TooManyRequestsException', 404, 'header'],
  ['RequestLimitExceeded', 500, 'body'],
  ['SlowDown', 200, 'header'],
  ['ThrottlingException', 200, 'body'],
  ['RetryableConflictException', 409, 'header'],
  ['RetryableConflictException', 500, 'body'],
];

describe.each(UNREAD)('AWS error type %s with status %i in the %s', (type, status, where) => {
  const once = (): ((response: Answer) => boolean) => {
    let left = 1;
    return (response) => {
      if (left-- <= 0) return false;
      failed(response, status, type, where);
      return true;
    };
  };

  it('a session call whose AWS error type states that it did not run is sent again and runs once', async () => {
    const fails = once();
    const { bin, server, mcp } = await startInitialized({
      args: QUICK,
      on: {
        'tools/call': (_request, response, context) => (fails(response) ? undefined : context.fallback()),
      },
    });
    expect(await bin.request('tools/call', ECHO, '')).toHaveProperty('result');
    expect(server.of('tools/call')).toHaveLength(2);
    // The error is about the request, not about the session.
    expect(server.of('initialize')).toHaveLength(1);
    expect(mcp.sessions.size).toBe(1);
  });

  it('a call of revision 2026-07-28 whose AWS error type states that it did not run is sent again', async () => {
    const fails = once();
    const { server, bin } = await startDual(
      (request, response) => {
        if (!fails(response)) sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
      { args: QUICK },
    );
    bin.send(claiming('tools/call', ECHO, 0));
    expect(await bin.answer(0)).toHaveProperty('result');
    expect(server.requests).toHaveLength(2);
  });

  it.each([undefined, 'a-session'])(
    'a listener call whose AWS error type states that it did not run is sent again (session %s)',
    async (session) => {
      const fails = once();
      const { ask, server } = await startListening({
        behaviour: (request, response) => {
          if (!fails(response)) sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
        },
        args: QUICK,
      });
      const answer = await ask({
        headers: session === undefined ? {} : { 'mcp-session-id': session },
        body: { jsonrpc: '2.0', id: -1, method: 'tools/call', params: ECHO },
      });
      expect([answer.status, answer.json]).toEqual([200, { jsonrpc: '2.0', id: -1, result: {} }]);
      expect(server.requests).toHaveLength(2);
    },
  );

  it('the standalone stream is reopened after an AWS error type that states that the GET did not run', async () => {
    let opened = 0;
    const { bin, server } = await startRelayed({
      args: QUICK,
      on: {
        GET: (_request, response, context) =>
          ++opened === 1 ? failed(response, status, type, where) : context.fallback(),
      },
    });
    await bin.initialize({}, 0);
    bin.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    await server.until((requests) => requests.filter(({ method }) => method === 'GET').length === 2);
    expect(server.of('initialize')).toHaveLength(1);
  });

  it('a session is opened after an AWS error type that states that initialize did not run', async () => {
    const fails = once();
    const { bin, server } = await startRelayed({
      args: QUICK,
      on: {
        initialize: (_request, response, context) => (fails(response) ? undefined : context.fallback()),
      },
    });
    expect(await bin.initialize({}, 0)).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(2);
  });
});

const COLD = 'Runtime initialization time exceeded. Please make sure that initialization completes in 30s.';
const cold = (response: Answer): void => sendJson(response, 424, { message: COLD });

describe('a runtime that did not start in time (424)', () => {
  const coldTimes =
    (times: number): Handler =>
    (_request, response, context) =>
      times-- > 0 ? cold(response) : context.fallback();

  it('HTTP 424 is retried for the opening of a session and for a read-only request', async () => {
    const { bin, server } = await startRelayed({
      args: QUICK,
      on: { initialize: coldTimes(1), 'tools/list': coldTimes(2) },
    });
    expect(await bin.initialize({}, 0)).toHaveProperty('result');
    expect(await bin.request('tools/list', {}, '')).toHaveProperty('result');
    expect([server.of('initialize').length, server.of('tools/list').length]).toEqual([2, 3]);
  });

  it('HTTP 424 is not retried for a call that may have run, and the error names the cold start', async () => {
    const { bin, server } = await startInitialized({ args: QUICK, on: { 'tools/call': coldTimes(9) } });
    expect(await bin.request('tools/call', ECHO, -1)).toMatchObject({
      error: {
        code: -31003,
        message: expect.stringMatching(/initialization time exceeded.*cold start/s),
        data: { httpStatus: 424, mayHaveRun: true },
      },
    });
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('HTTP 424 is named and retried through the listener too', async () => {
    const { ask, server } = await startListening({
      behaviour: (_request, response) => cold(response),
      args: [...QUICK, '--retries', '1'],
    });
    const answer = await ask({ body: { jsonrpc: '2.0', id: 0, method: 'prompts/list' } });
    expect(answer.status).toBe(424);
    expect(answer.json).toMatchObject({ id: 0, error: { message: expect.stringContaining('cold start') } });
    expect(server.requests).toHaveLength(2);
  });
});

describe('an exhausted service quota (402)', () => {
  const QUOTA = 'You have exceeded the quota for active session workloads per account (maxVms)';
  const spent = (response: Answer): void => {
    response.setHeader('x-amzn-errortype', 'ServiceQuotaExceededException');
    sendJson(response, 402, { message: QUOTA });
  };

  it('HTTP 402 returns an error that names the service quota, and nothing is retried', async () => {
    const { bin, server } = await startInitialized({
      on: { 'tools/call': (_request, response) => spent(response) },
    });
    const { error } = await bin.request('tools/call', ECHO, '');
    expect(error).toMatchObject({
      code: -31003,
      data: { httpStatus: 402, mayHaveRun: false, errorType: 'ServiceQuotaExceededException' },
    });
    expect(error).toHaveProperty('message', expect.stringContaining(QUOTA));
    expect(error).toHaveProperty('message', expect.stringContaining('Service Quotas'));
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('HTTP 402 at the listener returns an error that names the service quota', async () => {
    const { ask, server } = await startListening({ behaviour: (_request, response) => spent(response) });
    const answer = await ask({ body: { jsonrpc: '2.0', id: -1, method: 'tools/call', params: ECHO } });
    expect(answer.status).toBe(402);
    expect(answer.json).toMatchObject({ id: -1, error: { message: expect.stringContaining(QUOTA) } });
    expect(server.requests).toHaveLength(1);
  });
});
