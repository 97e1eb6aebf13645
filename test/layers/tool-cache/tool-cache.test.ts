import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import {
  cancellationOf,
  type Message,
  type Request,
  type Response,
} from '../../../src/core/jsonrpc/message.ts';
import type { HeldHandler } from '../../support/held-handler.ts';
import {
  answerOf,
  CANCELLED,
  makeCall,
  messageOf,
  RESULT,
  requestOf,
  settle,
} from '../../support/make-call.ts';
import { CLAIM, cached, listOf, namesOrError, newest, OWN_STREAM } from '../tool-cache-rig.ts';

const DOWN = new ProxyError('connection-lost', 'the server is down', { sent: 'maybe' });

describe('the time that an answer is kept', () => {
  it.each([0, 10_000])('a cached list is kept for the configured time: %i ms', async (ttlMs) => {
    const { answered, asked, clock } = cached(ttlMs);
    expect(await answered(['a'])).toEqual(['a']);
    await clock.advance(ttlMs - 1);
    expect(await answered(['b'])).toEqual([ttlMs > 0 ? 'a' : 'b']);
    await clock.advance(1);
    expect(await answered(['b'])).toEqual(['b']);
    expect(asked()).toBe(ttlMs > 0 ? 2 : 3);
  });

  it.each<[unknown, number]>([
    [5_000, 5_000],
    [0.5, 0.5],
    [0, 0],
    [-5, 0],
    ['5000', 0],
    [Number.MAX_SAFE_INTEGER, 24 * 3_600_000],
  ])(
    "a cached list without a configured time is kept for the server's time: %j is %i ms",
    async (said, ttlMs) => {
      const { answered, clock } = cached();
      await answered(['a'], { ttlMs: said });
      expect(await answered(['b'], { ttlMs: 0 })).toEqual([ttlMs > 0 ? 'a' : 'b']);
      await clock.advance(ttlMs);
      expect(await answered(['c'], { ttlMs: 0 })).toEqual(['c']);
    },
  );

  it('a cached list is kept for five minutes while the server announces changes, and else not at all', async () => {
    const { answered, feeds, clock } = cached();
    await answered(['a']);
    expect(await answered(['b'])).toEqual(['b']);
    feeds.add(OWN_STREAM);
    // A list from before the stream may have changed before it too.
    expect(await answered(['c'])).toEqual(['c']);
    await clock.advance(299_999);
    expect(await answered(['d'])).toEqual(['c']);
    await clock.advance(1);
    expect(await answered(['d'])).toEqual(['d']);
  });

  it('a cached list ends with the announcing stream, and a new stream does not restore it', async () => {
    const { answered, feeds } = cached();
    const close = feeds.add(OWN_STREAM);
    await answered(['a']);
    expect(await answered(['b'])).toEqual(['a']);
    close();
    feeds.add(OWN_STREAM);
    expect(await answered(['b'])).toEqual(['b']);
  });

  it('a cached list of a stateless request depends on the listen stream, not on that of a session', async () => {
    const { answered, feeds } = cached();
    feeds.add(OWN_STREAM);
    await answered(['a'], {}, { _meta: CLAIM });
    expect(await answered(['b'], {}, { _meta: CLAIM })).toEqual(['b']);
    feeds.add({ ...OWN_STREAM, stateless: true });
    await answered(['c'], {}, { _meta: CLAIM });
    expect(await answered(['d'], {}, { _meta: CLAIM })).toEqual(['c']);
  });

  it("a cached list obeys the configured time rather than the server's", async () => {
    const { answered } = cached(1_000);
    await answered(['a'], { ttlMs: 0 });
    expect(await answered(['b'])).toEqual(['a']);
  });
});

describe('an answer that is kept', () => {
  it('a cached list is returned to each caller under its own id, as it was spelled', async () => {
    const { answered, handler } = cached(1_000);
    await answered(['a']);
    for (const id of ['""', '-1', '"\\u0030"', '7.0']) {
      const request = messageOf({ id: JSON.parse(id), method: 'tools/list' }) as Request;
      const text = `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`;
      const reply = await handler(makeCall({ ...request, text } as Message).call);
      expect(reply.kind === 'answer' && reply.message.text).toBe(
        `{"id":${id},"jsonrpc":"2.0","result":{"tools":[{"name":"a"}]}}`,
      );
    }
  });

  it.each<[string, Record<string, unknown>]>([
    ['another page', { cursor: '' }],
    ['another revision', { _meta: CLAIM }],
    ['another region', { _meta: { AWS_REGION: 'eu-west-1' } }],
    ['another filter of the server', { category: 'x' }],
  ])('a cached list is not used for %s', async (_what, params) => {
    const { answered } = cached(1_000);
    await answered(['a']);
    expect(await answered(['b'], {}, params)).toEqual(['b']);
    expect(await answered(['c'])).toEqual(['a']);
    expect(await answered(['c'], {}, params)).toEqual(['b']);
  });

  it('a cached list is used whatever progress token or trace the request has', async () => {
    const { answered } = cached(1_000);
    await answered(['a'], {}, { _meta: { progressToken: 0, traceparent: '00-1' } });
    expect(await answered(['b'], {}, { _meta: { progressToken: '', baggage: 'x' } })).toEqual(['a']);
    expect(await answered(['b'])).toEqual(['a']);
  });

  it('a cached list is never used for another client or another profile', async () => {
    const { answered, handler, server } = cached(1_000);
    await answered(['a']);
    for (const other of [{ client: { id: 'client-2' } }, { profile: 'dev' }]) {
      const reply = namesOrError(handler({ ...makeCall(requestOf('tools/list')).call, ...other }));
      await settle();
      newest(server)?.finish(listOf(['theirs']));
      expect(await reply).toEqual(['theirs']);
    }
    expect(await answered(['b'])).toEqual(['a']);
  });

  it('a cached list is not used if the identity may have changed, even if the server fails', async () => {
    const { answered, identity, toolsOf, ask, server } = cached(60_000);
    await answered(['a']);
    identity.inDoubt = true;
    expect(await answered(['b'])).toEqual(['b']);
    identity.inDoubt = false;
    expect(await answered(['c'])).toEqual(['b']);
    toolsOf('').invalidate({ identityChanged: true });
    const reply = ask();
    await settle();
    newest(server)?.fail(DOWN);
    expect(await reply).toBe(DOWN);
    identity.inDoubt = true;
    expect(await answered(['theirs'])).toEqual(['theirs']);
  });

  it('a running list request of another identity is not joined', async () => {
    const { ask, identity, server, asked } = cached(60_000);
    const theirs = ask(0);
    await settle();
    identity.inDoubt = true;
    const [one, other] = [ask(''), ask(-1)];
    await settle();
    identity.inDoubt = false;
    for (const [at, running] of [...server.running].entries()) running.finish(listOf([`of-${at}`]));
    expect(await Promise.all([theirs, one, other])).toEqual([['of-0'], ['of-1'], ['of-2']]);
    expect(asked()).toBe(3);
  });

  it("a cached list is used neither for a client's response nor for a server request", async () => {
    const { answered, ask, server, asked } = cached(1_000);
    await answered(['a'], {}, { _meta: CLAIM });
    expect(await answered(['b'], {}, { _meta: CLAIM, inputResponses: {} })).toEqual(['b']);
    expect(await answered(['b'], {}, { _meta: CLAIM, requestState: 's' })).toEqual(['b']);
    const both = [ask(0, { cursor: 'q', _meta: CLAIM }), ask(1, { cursor: 'q', _meta: CLAIM })];
    await settle();
    expect(asked()).toBe(4);
    newest(server)?.finish(answerOf({ result: { resultType: 'input_required', requestState: 'x' } }));
    await settle();
    // Each request has its own profile.
    expect(asked()).toBe(5);
    newest(server)?.finish(answerOf({ result: { resultType: 'input_required', requestState: 'y' } }));
    expect(await Promise.all(both)).toMatchObject([{ requestState: 'x' }, { requestState: 'y' }]);
  });

  it('a cached page belongs to the list that its first page began', async () => {
    const { answered, cursors, clock } = cached(1_000);
    await answered(['a'], { nextCursor: 'p2' });
    await clock.advance(500);
    await answered(['b'], {}, { cursor: 'p2' });
    await clock.advance(500);
    await answered(['a'], { nextCursor: 'p2' });
    expect(await answered(['c'], {}, { cursor: 'p2' })).toEqual(['c']);
    expect(await answered(['d'], {}, { cursor: 'p2' })).toEqual(['c']);
    expect(await answered(['d'])).toEqual(['a']);
    expect(cursors()).toEqual([undefined, 'p2', undefined, 'p2']);
  });

  it('a cached list ends if the list changed, the session is new, or another request saw another list', async () => {
    const { answered, toolsOf, server, below } = cached(10_000);
    await answered(['a']);
    toolsOf('').invalidate({ clientKnows: true });
    expect(await answered(['b'])).toEqual(['b']);
    toolsOf('').invalidate();
    expect(await answered(['c'])).toEqual(['c']);
    // A forced refresh, as after a header mismatch.
    const past = namesOrError(below(makeCall(requestOf('tools/list')).call));
    await settle();
    newest(server)?.finish(listOf(['c', 'd']));
    await past;
    expect(await answered(['c', 'd'])).toEqual(['c', 'd']);
    expect(await answered(['e'])).toEqual(['c', 'd']);
  });

  it('a cached list is not used for a forced refresh, whose answer is cached', async () => {
    const { answered, handler, server, asked } = cached(10_000);
    await answered(['a']);
    const fresh = namesOrError(handler({ ...makeCall(requestOf('tools/list')).call, fresh: true }));
    await settle();
    newest(server)?.finish(listOf(['b']));
    expect(await fresh).toEqual(['b']);
    expect(await answered(['c'])).toEqual(['b']);
    expect(asked()).toBe(2);
  });
});

describe('callers that come together', () => {
  it('concurrent list callers share one request, and each has its own id', async () => {
    const { handler, server, asked } = cached();
    const ids = [0, '', -1, '0'];
    const replies = ids.map((id) => handler(makeCall(requestOf('tools/list', undefined, id)).call));
    await settle();
    expect(asked()).toBe(1);
    newest(server)?.finish(listOf(['a']));
    const answers = await Promise.all(replies);
    expect(answers.map((reply) => reply.kind === 'answer' && reply.message.id)).toEqual(ids);
    expect(new Set(answers.map((reply) => reply.kind === 'answer' && reply.message.json.result)).size).toBe(
      1,
    );
  });

  it('concurrent list callers share a failure, which later callers do not receive', async () => {
    const { ask, server, asked } = cached();
    const replies = ['x', 'y', 'z'].map((id) => ask(id));
    await settle();
    newest(server)?.fail(DOWN);
    expect(await Promise.all(replies)).toEqual([DOWN, DOWN, DOWN]);
    expect(asked()).toBe(1);
    const later = ask('later');
    await settle();
    newest(server)?.finish(listOf(['a']));
    expect(await later).toEqual(['a']);
  });

  it("concurrent list callers share the server's error, each under its own id", async () => {
    const { handler, server } = cached();
    const replies = [0, ''].map((id) => handler(makeCall(requestOf('tools/list', undefined, id)).call));
    await settle();
    newest(server)?.finish(answerOf({ error: { code: -32_004, message: 'Too many requests' } }));
    const texts = (await Promise.all(replies)).map((reply) => reply.kind === 'answer' && reply.message.json);
    expect(texts).toMatchObject([
      { id: 0, error: { code: -32_004 } },
      { id: '', error: { code: -32_004 } },
    ]);
  });

  it('concurrent list callers survive one that aborts, and the server is notified after the last', async () => {
    const { ask, handler, server } = cached();
    const first = makeCall(requestOf('tools/list', undefined, 0));
    const second = makeCall(requestOf('tools/list', undefined, '0'));
    const left = ask(0, undefined, first);
    const stays = ask('0', undefined, second);
    const cancelled = (made: typeof first) =>
      handler(makeCall(cancellationOf(made.call.message as Request, 'enough')).call);
    expect(await cancelled(first)).toEqual({ kind: 'accepted' });
    first.cancel();
    expect(await left).toBe(CANCELLED);
    expect(server.begun).toHaveLength(1);
    expect(server.running).toHaveLength(1);
    void cancelled(second);
    second.cancel();
    expect(await stays).toBe(CANCELLED);
    await settle();
    expect(server.begun.at(-1)?.message).toMatchObject({ method: 'notifications/cancelled' });
    // An aborted request does not count as a failure of the server.
    const next = ask(1);
    await settle();
    newest(server)?.finish(listOf(['a']));
    expect(await next).toEqual(['a']);
  });

  it('concurrent list callers do not share a request from before a change', async () => {
    const { ask, server, toolsOf } = cached(10_000);
    const before = ask(0);
    await settle();
    const [old] = server.running;
    toolsOf('').invalidate({ clientKnows: true });
    const after = ask(1);
    await settle();
    newest(server)?.finish(listOf(['new']));
    expect(await after).toEqual(['new']);
    old?.finish(listOf(['old']));
    expect(await before).toEqual(['old']);
    expect(await ask(2)).toEqual(['new']);
  });

  it('concurrent list callers in one batch are posted together', async () => {
    const { handler, asked } = cached(10_000);
    const batch = {};
    for (const id of [0, 1]) {
      void handler({ ...makeCall(requestOf('tools/list', undefined, id)).call, batch }).catch(
        () => undefined,
      );
    }
    await settle();
    expect(asked()).toBe(2);
  });
});

describe('the stale list', () => {
  it('a stale list is returned on a failure, and a server that failed at once is tried again at once', async () => {
    const { answered, ask, server } = cached();
    await answered(['a']);
    const failing = ask('x');
    await settle();
    newest(server)?.fail(DOWN);
    expect(await failing).toEqual(['a']);
    expect(await answered(['b'])).toEqual(['b']);
  });

  it('a stale list is returned with a warning, and a server that failed slowly is not tried by each caller', async () => {
    const { answered, ask, server, seen, asked, clock } = cached();
    await answered(['a']);
    const both = [ask('x'), ask('y')];
    await settle();
    await clock.advance(1_000);
    newest(server)?.fail(DOWN);
    expect(await Promise.all(both)).toEqual([['a'], ['a']]);
    expect(await ask('z')).toEqual(['a']);
    expect(asked()).toBe(2);
    expect(seen.filter(({ type }) => type === 'tools.refresh-failed')).toEqual([
      { type: 'tools.refresh-failed', profile: '', message: 'the server is down' },
    ]);
    await clock.advance(9_999);
    expect(await ask('z')).toEqual(['a']);
    expect(asked()).toBe(2);
    await clock.advance(1);
    expect(await answered(['b'])).toEqual(['b']);
  });

  it('a failure that a person repairs is not remembered: after a login the next request counts', async () => {
    const { ask, server, asked } = cached();
    for (const reason of ['no-credentials', 'auth-rejected'] as const) {
      const loggedOut = new ProxyError(reason, 'log in', { sent: 'no' });
      const error = new ProxyError('session-lost', 'no session', { sent: 'no', cause: loggedOut });
      for (const thrown of [loggedOut, error]) {
        const reply = ask();
        await settle();
        newest(server)?.fail(thrown);
        expect(await reply).toBe(thrown);
      }
    }
    expect(asked()).toBe(4);
  });

  it('a stale list is returned also if it is known to have changed, because it is better than none', async () => {
    const { answered, ask, server, toolsOf } = cached(10_000);
    await answered(['a']);
    toolsOf('').invalidate({ clientKnows: true });
    const stale = ask();
    await settle();
    newest(server)?.finish(answerOf({ error: { code: -32_004, message: 'Too many requests' } }));
    expect(await stale).toEqual(['a']);
    toolsOf('').invalidate({ clientKnows: true });
    expect(await answered(['b'])).toEqual(['b']);
  });

  it.each([-32_601, -32_602, -32_020, -32_022])(
    "a stale list does not hide the server's error about the request itself: %i",
    async (code) => {
      const { answered, ask, server } = cached();
      await answered(['a']);
      const reply = ask();
      await settle();
      newest(server)?.finish(answerOf({ error: { code, message: 'no' } }));
      expect(await reply).toMatchObject({ code });
    },
  );

  it('a stale list is not returned for a forced refresh, nor at the end', async () => {
    const { answered, ask, handler, server, clock } = cached();
    await answered(['a']);
    const fresh = namesOrError(handler({ ...makeCall(requestOf('tools/list')).call, fresh: true }));
    await settle();
    newest(server)?.fail(DOWN);
    expect(await fresh).toBe(DOWN);
    await clock.advance(10_000);
    const ending = new ProxyError('shutting-down', 'the end', { sent: 'no' });
    const last = ask();
    await settle();
    newest(server)?.fail(ending);
    expect(await last).toBe(ending);
  });

  it('a stale page is returned for itself only', async () => {
    const { answered, ask, server } = cached();
    await answered(['a'], { nextCursor: 'p2' });
    const page = ask(0, { cursor: 'p2' });
    await settle();
    newest(server)?.fail(DOWN);
    expect(await page).toBe(DOWN);
  });
});

describe('a call of an HTTP client', () => {
  const passage = (session?: string) => ({
    headers: session === undefined ? {} : { 'mcp-session-id': session },
  });

  it('a list request of an HTTP client is never answered from the cache, nor joined with others', async () => {
    const { handler, feeds, asked } = cached();
    feeds.add(OWN_STREAM);
    for (const id of [0, 1]) {
      const { call } = makeCall(requestOf('tools/list', undefined, id));
      void handler({ ...call, httpContext: passage('s') }).catch(() => undefined);
    }
    await settle();
    expect(asked()).toBe(2);
  });

  it('a list request of an HTTP client uses the cache of its session if a time is configured', async () => {
    const { handler, server } = cached(10_000);
    const list = async (session: string | undefined, names: readonly string[]) => {
      const reply = namesOrError(
        handler({ ...makeCall(requestOf('tools/list')).call, httpContext: passage(session) }),
      );
      await settle();
      newest(server)?.finish(listOf(names));
      return reply;
    };
    expect(await list('one', ['a'])).toEqual(['a']);
    expect(await list('two', ['b'])).toEqual(['b']);
    expect(await list(undefined, ['c'])).toEqual(['c']);
    expect(await list('one', ['d'])).toEqual(['a']);
    expect(await list('two', ['d'])).toEqual(['b']);
  });

  it.each<[string, (server: HeldHandler) => void]>([
    [
      'as an answer',
      (server) =>
        newest(server)?.finish(answerOf({ error: { code: -32001, message: 'gone' } }, { status: 404 })),
    ],
    [
      'as a bare status',
      (server) => newest(server)?.fail(new ProxyError('session-lost', 'gone', { sent: 'refused' })),
    ],
  ])(
    'a list request of an HTTP client reports that its session is lost, %s, and returns no stale list',
    async (_how, gone) => {
      const { handler, server, clock } = cached(1_000);
      const list = () =>
        handler({ ...makeCall(requestOf('tools/list')).call, httpContext: passage('one') }).then(
          (reply) => (reply.kind === 'answer' ? (reply.http?.status ?? 200) : reply.kind),
          (error: unknown) => (error instanceof ProxyError ? error.reason : error),
        );
      const first = list();
      await settle();
      newest(server)?.finish(listOf(['a']));
      expect(await first).toBe(200);
      await clock.advance(1_000);
      const [asks, joins] = [list(), list()];
      await settle();
      gone(server);
      expect([404, 'session-lost']).toContain(await asks);
      expect(await joins).toBe(await asks);
    },
  );
});

it('the tool cache stays within its bounds, whatever cursors a server invents', async () => {
  const { answered, asked } = cached(10_000);
  for (let at = 0; at <= 1_000; at++) await answered(['a'], {}, { cursor: `c${at}` });
  expect(asked()).toBe(1_001);
  expect(await answered(['new'], {}, { cursor: 'c1000' })).toEqual(['a']);
  expect(await answered(['new'], {}, { cursor: 'c0' })).toEqual(['new']);
});

it('the tool cache keeps the lists of the last hundred clients', async () => {
  const { answered } = cached(10_000);
  for (let at = 0; at <= 100; at++) await answered([`t${at}`], {}, { list: at });
  expect(await answered(['new'], {}, { list: 100 })).toEqual(['t100']);
  expect(await answered(['new'], {}, { list: 0 })).toEqual(['new']);
});

it('the tool cache passes everything else', async () => {
  const { handler, server, asked } = cached(10_000);
  const messages = [
    ...[requestOf('tools/call', { name: 'x' }), requestOf('prompts/list'), requestOf('resources/list')],
    ...[messageOf({ method: 'tools/list' }), messageOf({ method: 'notifications/initialized' })],
    messageOf({ method: 'notifications/cancelled', params: { requestId: 0 } }),
    messageOf({ id: 0, result: { tools: [] } }) as Response,
  ];
  for (const message of [...messages, ...messages]) void handler(makeCall(message).call);
  await settle();
  expect(asked()).toBe(messages.length * 2);
  for (const running of [...server.running]) running.finish(RESULT);
});
