import { describe, expect, it } from 'vitest';
import { SessionQuota } from '../../../src/pool/session-quota.ts';
import type { Handler } from '../../support/mcp-behaviours.ts';
import { makeGate } from '../../support/relayed.ts';
import { comesTrue } from '../http/connection-rig.ts';
import { afterwards, clientSessionsWith } from './client-sessions-rig.ts';

const refuse: Handler = (_request, _response, context) => context.error(-32603, 'not today');

describe.each([1, 3])('the session quota, with at most %s sessions per client and profile', (maxSessions) => {
  it('the session quota refuses a first session over it before anything is sent, with the numbers', async () => {
    const places = new SessionQuota(2);
    const [one, two, three] = [
      await clientSessionsWith({ places, maxSessions }),
      await clientSessionsWith({ places, maxSessions }),
      await clientSessionsWith({ places, maxSessions }),
    ];
    await one.initialize(0);
    await two.initialize('');
    await expect(three.initialize(-1)).rejects.toMatchObject({
      reason: 'no-session',
      code: -31015,
      sent: 'no',
      retryAfterMs: 1_000,
      details: { sessions: 2, maxTotalSessions: 2 },
      message: expect.stringContaining('2 of --max-total-sessions 2 are open, over all profiles and clients'),
    });
    expect(three.server.requests).toHaveLength(0);
  });

  it("the session quota has room again when a client's sessions have ended", async () => {
    const places = new SessionQuota(1);
    const one = await clientSessionsWith({ places, maxSessions });
    const two = await clientSessionsWith({ places, maxSessions });
    await one.begin();
    await one.clientSessions.close();
    expect(places.used).toBe(0);
    await two.initialize();
    expect(places.used).toBe(1);
  });

  it('the session quota does not count a session that the server refused to open', async () => {
    const places = new SessionQuota(1);
    const one = await clientSessionsWith({ places, maxSessions, on: { initialize: refuse } });
    await one.initialize();
    expect(places.used).toBe(0);
    await one.server.close();
    await expect(one.initialize()).rejects.toMatchObject({ reason: 'connect-failed' });
    expect(places.used).toBe(0);
    await one.clientSessions.close();
    expect(places.used).toBe(0);
  });

  it('the session quota does not block a client that initializes again, or replaces a lost session', async () => {
    const places = new SessionQuota(1);
    const { mcp, begin, initialize, echo, clientSessions } = await clientSessionsWith({
      places,
      maxSessions,
    });
    await begin();
    await initialize('again');
    await comesTrue(() => mcp.deleted.length === 1 && places.used === 1, 'the former session was left');
    mcp.forgetSessions();
    await echo(0).reply;
    expect(places.used).toBe(1);
    await clientSessions.close();
    expect(places.used).toBe(0);
  });

  it('the session quota holds at SIGHUP: without room, the old session ends before the new one opens', async () => {
    const places = new SessionQuota(1);
    const gate = makeGate();
    let most = 0;
    const rig = await clientSessionsWith({
      places,
      maxSessions,
      on: {
        initialize: async (_request, _response, context) => {
          await context.fallback();
          most = Math.max(most, rig.mcp.sessions.size);
        },
        'tools/call': async (_request, _response, context) => {
          await gate.opened;
          return context.fallback();
        },
      },
    });
    const { server, begin, echo, clientSessions, mcp, sessionsThat } = rig;
    await begin();
    const running = echo('');
    await server.until(() => server.of('tools/call').length === 1);
    clientSessions.drain();
    const later = echo(0);
    await server.until(() => server.of('tools/call').length === (maxSessions === 1 ? 2 : 1));
    gate.open();
    await Promise.all([running.reply, later.reply]);
    await server.until(() => mcp.sessions.has('s-1'));
    await echo(-1).reply;
    expect(sessionsThat('tools/call').at(-1)).toBe('s-1');
    expect([most, mcp.deleted]).toEqual([1, ['s-0']]);
    expect(places.used).toBe(1);
    await clientSessions.close();
    expect(places.used).toBe(0);
  });

  it('the session quota is released by the old session after its last call at SIGHUP', async () => {
    const places = new SessionQuota(2);
    const { begin, clientSessions, mcp } = await clientSessionsWith({ places, maxSessions });
    await begin();
    clientSessions.drain();
    await comesTrue(() => mcp.deleted.length === 1 && places.used === 1, 'the old session was left');
    await clientSessions.close();
    expect(places.used).toBe(0);
  });

  it('the session quota counts a failed reopening no more than the existing session', async () => {
    const places = new SessionQuota(1);
    const { initialize, echo } = await clientSessionsWith({
      places,
      maxSessions,
      on: { initialize: afterwards(1, refuse) },
    });
    await initialize();
    await initialize('again');
    expect(places.used).toBe(1);
    await echo(0).reply;
  });
});
