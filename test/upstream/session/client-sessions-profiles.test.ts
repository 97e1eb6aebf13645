import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { SessionQuota } from '../../../src/pool/session-quota.ts';
import { sendJson } from '../../support/mcp-answers.ts';
import type { Handler } from '../../support/mcp-behaviours.ts';
import { makeGate } from '../../support/relayed.ts';
import { comesTrue } from '../http/connection-rig.ts';
import { type ClientSessionsOptions, clientSessionsWith, textOf } from './client-sessions-rig.ts';

const ok: Handler = (_request, _response, context) => context.result({});
const silence: Handler = () => undefined;

/** The sessions of one client with its own profile and with another; each profile has its own server. */
async function twoProfiles(options: ClientSessionsOptions = {}, common: ClientSessionsOptions = {}) {
  const own = await clientSessionsWith(common);
  const other = await clientSessionsWith({ ...common, ...options, lead: own.clientSessions });
  return { own, other };
}

describe('a call that waits for a session', () => {
  it('a waiting call continues on the new sessions when the client initializes again', async () => {
    const { opened, open } = makeGate();
    let first = true;
    const own = await clientSessionsWith({
      maxSessions: 2,
      on: {
        'tools/call': async (_request, _response, context) => {
          if (first) await opened;
          context.result({});
        },
      },
    });
    await own.begin();
    const running = [0, ''].map((id) => own.echo(id));
    await own.server.until(() => own.server.of('tools/call').length === 2);
    const waits = own.echo(-1);
    first = false;
    await own.initialize('again');
    expect(textOf(await waits.reply)).toContain('"result"');
    open();
    await Promise.all(running.map(({ reply }) => reply.catch(() => undefined)));
  });
});

describe.each([1, 3])('another profile than that of initialize, with at most %s sessions', (maxSessions) => {
  const common = { maxSessions };

  it('a session of another profile is opened with its first call, once for concurrent calls', async () => {
    const { own, other } = await twoProfiles({}, common);
    await own.begin();
    expect(other.server.requests).toHaveLength(0);
    const calls = [0, '', -1, 'a'].map((id) => other.echo(id));
    for (const { reply } of calls) expect(textOf(await reply)).toContain('"result"');
    const [theirs] = other.server.of('initialize');
    expect(theirs?.rpc.params).toEqual(own.server.of('initialize')[0]?.rpc.params);
    expect(theirs?.rpc.id).toBe('mcp-sigv4-proxy:1');
    expect(other.server.of('notifications/initialized').length).toBe(other.server.of('initialize').length);
    await other.clientSessions.close();
    expect(other.mcp.sessions.size).toBe(0);
  });

  it('a call of another profile is sent without a session if the client has opened none', async () => {
    const { other } = await twoProfiles({ sessionId: false, on: { 'tools/call': ok } }, common);
    expect(textOf(await other.echo(0).reply)).toContain('"result"');
    expect(other.server.of('initialize')).toHaveLength(0);
  });

  it('a session of another profile receives log level and changed roots, but no subscriptions', async () => {
    const on = { 'logging/setLevel': ok, 'resources/subscribe': ok };
    const { own, other } = await twoProfiles({}, { ...common, on });
    await own.begin();
    await own.ask('logging/setLevel', { level: 'debug' }, 0).reply;
    await own.ask('resources/subscribe', { uri: 'a://1' }, 1).reply;
    await other.echo(2).reply;
    await own.ask('logging/setLevel', { level: 'error' }, 3).reply;
    await own.say({ method: 'notifications/roots/list_changed' });
    await other.server.until(() => other.server.of('notifications/roots/list_changed').length > 0);
    await other.server.until(() => other.server.of('logging/setLevel').length > 1);
    const levels = other.server.of('logging/setLevel').map(({ rpc }) => rpc.params?.level);
    expect(new Set(levels)).toEqual(new Set(['debug', 'error']));
    expect(other.server.of('resources/subscribe')).toHaveLength(0);
  });

  it('a session of another profile is replaced after the client initialized again', async () => {
    const { own, other } = await twoProfiles({}, common);
    await own.begin();
    await other.echo(0).reply;
    await own.initialize('again');
    expect(other.server.of('initialize')).toHaveLength(1);
    await other.echo(1).reply;
    expect(other.server.of('initialize')).toHaveLength(2);
    await comesTrue(() => other.mcp.deleted.includes('s-0'), 'the former session was left');
    expect(other.places.used).toBe(1);
  });

  it('a session of another profile is opened again if the client initializes meanwhile', async () => {
    const gate = makeGate();
    const initialize: Handler = async (_request, _response, context) => {
      await gate.opened;
      await context.fallback();
    };
    const { own, other } = await twoProfiles({ on: { initialize } }, common);
    await own.begin();
    const { reply } = other.echo(0);
    await other.server.until(() => other.server.of('initialize').length === 1);
    await own.initialize('again');
    gate.open();
    expect(textOf(await reply)).toContain('"result"');
    expect(other.server.of('initialize')).toHaveLength(2);
    expect(other.sessionsThat('tools/call')).toEqual(['s-1']);
  });

  it('a session of another profile is opened for the other calls when one of them leaves', async () => {
    const gate = makeGate();
    const initialize: Handler = async (_request, _response, context) => {
      await gate.opened;
      await context.fallback();
    };
    const { own, other } = await twoProfiles({ on: { initialize } }, common);
    await own.begin();
    const leaving = other.echo(0);
    const staying = other.echo('');
    await other.server.until(() => other.server.of('initialize').length === 1);
    const late = new ProxyError('timeout', 'Too late.', {
      sent: 'maybe',
      ifUnsent: 'Too late, and not sent.',
    });
    leaving.cancel(late);
    await expect(leaving.reply).rejects.toMatchObject({ sent: 'no', message: 'Too late, and not sent.' });
    gate.open();
    expect(textOf(await staying.reply)).toContain('"result"');
    expect(other.server.of('tools/call').map(({ rpc }) => rpc.id)).toEqual(['']);
  });

  it('a session of another profile counts in --max-total-sessions, and releases its quota', async () => {
    const places = new SessionQuota(1);
    const { own, other } = await twoProfiles({}, { ...common, places });
    await own.begin();
    await expect(other.echo(0).reply).rejects.toMatchObject({
      reason: 'no-session',
      sent: 'no',
      details: { sessions: 1, maxTotalSessions: 1 },
    });
    expect(other.server.requests).toHaveLength(0);
    await own.clientSessions.close();
    expect(places.used).toBe(0);
  });

  it('a session of another profile counts in --max-total-sessions also after a second initialize', async () => {
    const places = new SessionQuota(1);
    const { own, other } = await twoProfiles({}, { ...common, places });
    await own.begin();
    await own.initialize('again');
    await comesTrue(() => own.mcp.deleted.length === 1 && places.used === 1, 'the former session was closed');
    await expect(other.echo(0).reply).rejects.toMatchObject({ reason: 'no-session', sent: 'no' });
    expect(other.server.requests).toHaveLength(0);
  });

  it('a session of another profile that failed to open or was closed releases its quota', async () => {
    const places = new SessionQuota(2);
    const initialize: Handler = (_request, response, context) =>
      other.server.of('initialize').length === 1 ? sendJson(response, 500, {}) : context.fallback();
    const { own, other } = await twoProfiles({ on: { initialize } }, { ...common, places });
    await own.begin();
    await expect(other.echo(0).reply).rejects.toMatchObject({ reason: 'no-session' });
    expect(places.used).toBe(1);
    await other.echo(1).reply;
    expect(places.used).toBe(2);
    await other.clientSessions.close();
    expect(places.used).toBe(1);
  });

  it('a session of another profile that is being opened is aborted when the proxy ends', async () => {
    const gate = makeGate();
    const on: ClientSessionsOptions['on'] = {
      'notifications/initialized': async (_request, _response, context) => {
        await gate.opened;
        await context.fallback();
      },
    };
    const places = new SessionQuota(2);
    const { own, other } = await twoProfiles({ on }, { ...common, places });
    await own.begin();
    const { reply } = other.echo(0);
    await other.server.until(() => other.server.of('notifications/initialized').length === 1);
    const closed = other.clientSessions.close();
    await expect(reply).rejects.toMatchObject({ sent: 'no' });
    gate.open();
    await closed;
    expect(other.mcp.sessions.size).toBe(0);
    expect(places.used).toBe(1);
  });
});

describe('a session of another profile that cannot be opened', () => {
  it.each<[string, ClientSessionsOptions, Record<string, unknown>, string]>([
    [
      'because the server fails',
      { on: { initialize: (_request, response) => sendJson(response, 500, {}) } },
      { reason: 'no-session' },
      '500',
    ],
    [
      'because the server refuses',
      { on: { initialize: (_request, _response, context) => context.error(-32603, 'not today') } },
      { reason: 'no-session' },
      'the server refused initialize: not today',
    ],
    [
      'because the server speaks another revision to it',
      { protocolVersion: '2025-06-18' },
      { reason: 'no-session' },
      'the server now speaks revision 2025-06-18, not 2025-11-25',
    ],
    [
      'because its breaker is open',
      {
        opening: [
          () => async () => {
            throw new ProxyError('circuit-open', 'It is open.', { sent: 'no', retryAfterMs: 7 });
          },
        ],
      },
      { reason: 'circuit-open', retryAfterMs: 7 },
      'It is open.',
    ],
    [
      'because it has no credentials',
      {
        opening: [
          () => async () => {
            throw new ProxyError('no-credentials', "Run 'aws sso login' and try again", {
              sent: 'no',
              details: { kind: 'failed' },
            });
          },
        ],
      },
      { reason: 'no-credentials', details: { kind: 'failed', profile: 'dev' } },
      "Run 'aws sso login' and try again. This call was not sent",
    ],
  ])(
    'a session of another profile that cannot be opened %s is one error with profile and reason',
    async (_why, options, error, words) => {
      const { own, other } = await twoProfiles(options);
      await own.begin();
      const failed = await other.echo(0).reply.catch((failure: unknown) => failure);
      expect(failed).toBeInstanceOf(ProxyError);
      expect(failed).toMatchObject({ sent: 'no', details: { profile: 'dev' }, ...error });
      expect(failed).toHaveProperty(
        'message',
        expect.stringContaining("No session could be opened for the AWS profile 'dev': "),
      );
      expect(failed).toHaveProperty('message', expect.stringContaining(words));
      expect(textOf(await own.echo(1).reply)).toContain('"result"');
    },
  );

  it('a lost session of another profile that cannot be replaced is an error with the profile', async () => {
    let down = false;
    const initialize: Handler = (_request, response, context) =>
      down ? sendJson(response, 500, {}) : context.fallback();
    const { own, other } = await twoProfiles({ on: { initialize } });
    await own.begin();
    await other.echo(0).reply;
    down = true;
    other.mcp.forgetSessions();
    await expect(other.echo(1).reply).rejects.toMatchObject({
      reason: 'session-lost',
      sent: 'no',
      message: expect.stringContaining("The MCP session of the AWS profile 'dev' is gone"),
    });
    down = false;
    expect(textOf(await other.echo(2).reply)).toContain('"result"');
  });

  it('a session of another profile whose opening is silent fails after 30 s, and the next call tries again', async () => {
    const { own, other } = await twoProfiles({
      on: {
        initialize: (request, response, context) =>
          other.server.of('initialize').length === 1
            ? silence(request, response, context)
            : context.fallback(),
      },
    });
    await own.begin();
    const { reply } = other.echo(0);
    await other.server.until(() => other.server.of('initialize').length === 1);
    await other.clock.advance(30_000);
    await expect(reply).rejects.toMatchObject({
      reason: 'no-session',
      message: expect.stringContaining('no answer to initialize within 30 s'),
    });
    expect(textOf(await other.echo(1).reply)).toContain('"result"');
  });
});
