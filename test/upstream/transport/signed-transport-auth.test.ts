import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { type Behaviour, ScriptedServer } from '../../support/scripted-server.ts';
import { TEST_KEY } from '../../support/signing.ts';
import { ScriptedKeys, transportTo, verifyWith } from './transport-rig.ts';

const START = Date.UTC(2026, 0, 2, 3, 4, 5);
const NEWER = { accessKeyId: 'AKIDNEWER', secretAccessKey: 'newer-secret', sessionToken: 'NEWER' } as const;
const ok: Behaviour = (request, response) => void response.end(`ran ${request.text}`);

const verdictsOf = (server: ScriptedServer) =>
  server.requests.map(({ verification }) =>
    verification?.ok ? verification.accessKeyId : verification?.code,
  );
const ofType = (seen: readonly { type: string }[], type: string) =>
  seen.filter((event) => event.type === type);

describe('credentials that the server calls expired', () => {
  const expired = { ...TEST_KEY, expiresAt: new Date(START) };

  it('expired credentials are renewed once, and the call is sent again', async () => {
    const verify = verifyWith(() => START, { AKIDEXAMPLE: expired, AKIDNEWER: NEWER });
    const server = await ScriptedServer.start(ok, { verify });
    const { post, keys, seen } = transportTo(server, { clock: new FakeClock({ now: START }) });
    keys.newer = NEWER;
    expect(await post('call')).toMatchObject({ status: 200, text: 'ran call' });
    expect(verdictsOf(server)).toEqual(['ExpiredTokenException', 'AKIDNEWER']);
    expect(keys.renewals).toEqual([TEST_KEY]);
    expect(ofType(seen, 'auth.rejected')).toEqual([
      expect.objectContaining({ profile: 'dev', verdict: 'expired', again: true }),
    ]);
  });

  it('expired credentials without newer ones return the refusal', async () => {
    const server = await ScriptedServer.start(ok, {
      verify: verifyWith(() => START, { AKIDEXAMPLE: expired }),
    });
    const { post, keys, seen } = transportTo(server, { clock: new FakeClock({ now: START }) });
    expect(await post('call')).toMatchObject({ status: 403, text: expect.stringContaining('expired') });
    expect([server.requests.length, keys.renewals.length]).toEqual([1, 1]);
    expect(ofType(seen, 'auth.rejected')).toEqual([expect.objectContaining({ again: false })]);
  });

  it('expired credentials are not renewed twice for one request', async () => {
    const server = await ScriptedServer.start(ok, {
      verify: verifyWith(() => START, { AKIDEXAMPLE: TEST_KEY }),
    });
    const { post, keys } = transportTo(server, { clock: new FakeClock({ now: START }) });
    keys.keys = { ...TEST_KEY, sessionToken: 'UNKNOWN' };
    keys.newer = NEWER;
    expect(await post('call')).toMatchObject({ status: 403 });
    expect([server.requests.length, keys.renewals.length]).toEqual([2, 1]);
  });

  it('expired credentials are recognized with status 400, and any other 400 is returned', async () => {
    const server = await ScriptedServer.start((request, response) => {
      response.writeHead(request.text === 'bad' ? 400 : 200, { 'content-type': 'application/json' });
      if (request.text === 'bad') response.end('{"message":"Bad Request: AccessDenied is no known field"}');
      else response.end();
    });
    const { post, keys, seen } = transportTo(server);
    keys.newer = NEWER;
    expect(await post('bad')).toMatchObject({ status: 400 });
    expect([server.requests.length, keys.renewals, ofType(seen, 'auth.rejected')]).toEqual([1, [], []]);
    server.behaviour = (_request, response) => {
      if (server.requests.length > 2) return void response.end('fine');
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(
        '{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}',
      );
    };
    expect(await post('call')).toMatchObject({ status: 200, text: 'fine' });
    expect(keys.renewals).toHaveLength(1);
  });
});

describe('a wrong clock', () => {
  const HOUR = 3_600_000;
  const serverAt = (now: () => number) =>
    ScriptedServer.start(ok, { verify: verifyWith(now), keepAliveTimeoutMs: 0 });
  /** Calls every signature late, whatever it says the time is. */
  const complaining = (now: number) =>
    ScriptedServer.start((_request, response) => {
      response.setHeader('date', new Date(now).toUTCString());
      response.writeHead(403, { 'content-type': 'application/json' });
      response.end('{"message":"Signature expired: 20260102T030405Z is now earlier than 20260102T040405Z"}');
    });

  it.each([HOUR, -HOUR])(
    "a clock that is off by %i ms is corrected from the server's Date, once for all calls",
    async (off) => {
      const server = await serverAt(() => START);
      const clock = new FakeClock({ now: START + off });
      const { post, seen } = transportTo(server, { clock });
      expect(await post('first')).toMatchObject({ status: 200, text: 'ran first' });
      expect(await post('second')).toMatchObject({ status: 200, text: 'ran second' });
      expect(verdictsOf(server)).toEqual(['RequestTimeTooSkewed', 'AKIDEXAMPLE', 'AKIDEXAMPLE']);
      expect(ofType(seen, 'clock.corrected')).toHaveLength(1);
    },
  );

  it('a wrong clock is corrected for every call of a burst', async () => {
    const server = await serverAt(() => START);
    const { post } = transportTo(server, { clock: new FakeClock({ now: START + HOUR }), max: 4 });
    const calls = await Promise.all(['a', 'b', 'c', 'd'].map((body) => post(body)));
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(server.requests).toHaveLength(8);
  });

  it('a wrong clock is corrected once, and a server that contradicts itself causes an error', async () => {
    const server = await complaining(START);
    const { post, seen } = transportTo(server, { clock: new FakeClock({ now: START + HOUR }) });
    expect(await post('call')).toMatchObject({ status: 403 });
    expect(server.requests).toHaveLength(2);
    expect(ofType(seen, 'auth.rejected')).toEqual([
      expect.objectContaining({ verdict: 'clock', again: true }),
      expect.objectContaining({ verdict: 'clock', again: false }),
    ]);
  });

  it.each([
    ['ten years ahead', 'Thu, 14 Aug 2036 12:00:00 GMT'],
    ['beyond the valid range', 'Sat, 13 Sep 275760 00:00:01 GMT'],
    ['far in the past', 'Thu, 01 Jan 1970 00:00:00 GMT'],
    ['no date', 'tomorrow'],
    ['in no time zone', 'Fri, 02 Jan 2026 06:04:05'],
  ])(
    'a wrong clock is not corrected by a Date %s, and the next calls are signed as before',
    async (_what, date) => {
      let refuses = true;
      const server = await ScriptedServer.start(
        (request, response) => {
          response.setHeader('date', date);
          if (!refuses) return ok(request, response);
          response.writeHead(403, { 'content-type': 'application/json' });
          response.end(
            '{"message":"Signature expired: 20260102T030405Z is now earlier than 20360102T040405Z"}',
          );
        },
        { verify: { ...verifyWith(() => START), now: undefined } as never },
      );
      const { post, seen, transport } = transportTo(server, { clock: new FakeClock({ now: Date.now() }) });
      expect(await post('call')).toMatchObject({ status: 403 });
      expect(transport.timeRefused).toBe(true);
      refuses = false;
      expect(await post('again')).toMatchObject({ status: 200, text: 'ran again' });
      expect([server.requests.length, ofType(seen, 'clock.corrected')]).toEqual([2, []]);
      expect(transport.timeRefused).toBe(false);
    },
  );

  it('a clock correction ends with the first signature that fails by it', async () => {
    let at = START;
    const server = await serverAt(() => at);
    const { post, seen } = transportTo(server, { clock: new FakeClock({ now: START + HOUR }) });
    expect(await post('first')).toMatchObject({ status: 200 });
    // The server's own clock was wrong, and is right again.
    at = START + HOUR;
    expect(await post('second')).toMatchObject({ status: 200 });
    server.behaviour = ok;
    expect(ofType(seen, 'clock.corrected')).toEqual([
      expect.objectContaining({ offsetMs: -HOUR }),
      expect.objectContaining({ offsetMs: 0 }),
    ]);
  });

  it("a clock that agrees with the server's Date is not corrected", async () => {
    const server = await complaining(START);
    const { post, seen } = transportTo(server, { clock: new FakeClock({ now: START + 59_000 }) });
    expect(await post('call')).toMatchObject({ status: 403 });
    expect([server.requests.length, ofType(seen, 'clock.corrected')]).toEqual([1, []]);
  });

  it('a clock is not corrected if the server sends no Date', async () => {
    const server = await ScriptedServer.start((_request, response) => {
      response.sendDate = false;
      response.writeHead(403, { 'content-type': 'application/json' });
      response.end('{"message":"Signature expired: 20260102T030405Z is now earlier than 20260102T040405Z"}');
    });
    const { post } = transportTo(server, { clock: new FakeClock({ now: START }) });
    expect(await post('call')).toMatchObject({ status: 403, skewMs: undefined });
    expect(server.requests).toHaveLength(1);
  });
});

describe('every attempt', () => {
  it('an attempt is signed with the time at which it is sent', async () => {
    const clock = new FakeClock({ now: START });
    const keys = new ScriptedKeys();
    const server = await ScriptedServer.start((_request, response) => {
      if (server.requests.length > 1) return void response.end('ran');
      clock.jump(90_000);
      response.writeHead(403, {
        'content-type': 'application/json',
        'x-amzn-errortype': 'ExpiredTokenException',
      });
      response.end('{}');
    });
    keys.newer = TEST_KEY;
    await transportTo(server, { clock, keys }).post('call');
    expect(server.requests.map(({ headers }) => headers['x-amz-date'])).toEqual([
      '20260102T030405Z',
      '20260102T030535Z',
    ]);
  });

  it('an attempt has the headers of proxy and request, and signs none of them', async () => {
    const server = await ScriptedServer.start(ok, { verify: verifyWith(() => START) });
    await transportTo(server, { clock: new FakeClock({ now: START }) }).post('{}');
    const [request] = server.requests;
    expect(request?.headers).toMatchObject({
      'user-agent': 'test',
      accept: 'application/json',
      'content-type': 'application/json',
    });
    expect(request?.verification).toMatchObject({
      ok: true,
      signedHeaders: ['content-type', 'host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'],
    });
  });

  it('an attempt is unsigned with --auth none', async () => {
    const server = await ScriptedServer.start(ok);
    const { post } = transportTo(server, { signed: false });
    expect(await post('{}')).toMatchObject({ status: 200, signed: false });
    expect(Object.keys(server.requests[0]?.headers ?? {})).not.toContain('authorization');
    expect(
      Object.keys(server.requests[0]?.headers ?? {}).filter((name) => name.startsWith('x-amz-')),
    ).toEqual([]);
  });
});

describe('without credentials', () => {
  const none = new ProxyError('no-credentials', 'none to be had', { sent: 'no', details: { kind: 'none' } });
  const failed = new ProxyError('no-credentials', 'SSO failed', { sent: 'no', details: { kind: 'failed' } });

  it.each([
    ['with --skip-auth and no credentials, the request is unsigned', none, true, 200],
    ['without credentials, the request fails', none, false, none],
    ['with --skip-auth and a failed provider, the request fails', failed, true, failed],
  ])('credentials: %s', async (_what, failure, optional, outcome) => {
    const server = await ScriptedServer.start(ok);
    const { post, keys, lanes } = transportTo(server, { optional });
    keys.failure = failure;
    if (outcome === 200) expect(await post('{}')).toMatchObject({ status: 200, signed: false });
    else await expect(post('{}')).rejects.toBe(outcome);
    expect(server.requests).toHaveLength(outcome === 200 ? 1 : 0);
    expect(lanes.request.active).toBe(0);
  });
});
