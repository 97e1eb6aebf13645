import { describe, expect, it } from 'vitest';
import { sendJson } from '../support/mcp-answers.ts';
import { errorOf } from '../support/mcp-behaviours.ts';
import { startRelayed } from '../support/relayed.ts';
import type { Behaviour } from '../support/scripted-server.ts';

/** The quota of the AWS MCP Server: requests per second and account. */
const QUOTA = 3;

/** A server with a limit of requests per second; counts rejected requests and calls run. */
function limited(perSecond = QUOTA) {
  const runs = new Map<unknown, number>();
  const rejected: unknown[] = [];
  let since = 0;
  let used = 0;
  const before =
    (next: Behaviour): Behaviour =>
    (request, response) => {
      const now = performance.now();
      if (now - since >= 1_000) [since, used] = [now, 0];
      if (request.method !== 'POST') return next(request, response);
      if (++used > perSecond) {
        rejected.push(request.rpc.id ?? request.rpc.method);
        sendJson(response, 429, errorOf(request.rpc.id ?? null, -32004, 'Too many requests'));
        return undefined;
      }
      const { id, method } = request.rpc;
      if (method === 'tools/call') runs.set(id, (runs.get(id) ?? 0) + 1);
      return next(request, response);
    };
  return { runs, rejected, before };
}

const PARALLEL = 16;
const IDS = [0, '', -1, ...Array.from({ length: PARALLEL - 3 }, (_, at) => `call-${at}`)];

describe('--retry-mode adaptive at a server that accepts three requests per second', () => {
  it('sixteen parallel calls at a limit of three per second are answered, run once, and rarely throttled twice', async () => {
    const server = limited();
    const { bin } = await startRelayed({ args: ['--max-connections', '16'], before: server.before });
    await bin.initialize({}, 'handshake');
    const answers = await Promise.all(
      IDS.map((id) => bin.request('tools/call', { name: 'echo', arguments: { text: 'x' } }, id)),
    );
    for (const answer of answers) expect(answer).toHaveProperty('result');
    expect(new Set(server.runs.keys())).toEqual(new Set(IDS));
    expect(new Set(server.runs.values())).toEqual(new Set([1]));
    // At most those of the first burst, plus half as many while the proxy learns the rate.
    expect(server.rejected.length).toBeLessThanOrEqual(1.5 * PARALLEL);
  }, 60_000);
});

describe('--retry-mode', () => {
  const always =
    (_next: Behaviour): Behaviour =>
    (request, response) => {
      if (request.rpc.method !== 'tools/call') return _next(request, response);
      return void response.writeHead(429).end();
    };
  const QUICK = ['--retry-base-delay', '0.01', '--retry-max-delay', '0.01'];

  it('--retry-mode standard retries a throttled call --retries times', async () => {
    const { bin, server } = await startRelayed({
      args: [...QUICK, '--retry-mode', 'standard', '--retries', '1'],
      before: always,
    });
    await bin.initialize({}, 'handshake');
    expect(await bin.request('tools/call', { name: 'echo' }, 0)).toMatchObject({
      error: { code: -31003, data: { mayHaveRun: false, httpStatus: 429, attempts: 2 } },
    });
    expect(server.of('tools/call')).toHaveLength(2);
  });

  it('--retry-mode adaptive gives up before the time limit of the call ends and states the reason', async () => {
    const { bin, server } = await startRelayed({
      args: [...QUICK, '--retries', '1', '--tool-timeout', '6'],
      before: always,
    });
    await bin.initialize({}, 'handshake');
    expect(await bin.request('tools/call', { name: 'echo' }, 0)).toMatchObject({
      error: { code: -31003, data: { mayHaveRun: false, httpStatus: 429 } },
    });
    expect(server.of('tools/call').length).toBeGreaterThan(2);
  });

  it('--retry-mode adaptive with --retries 0 retries nothing', async () => {
    const { bin, server } = await startRelayed({ args: ['--retries', '0'], before: always });
    await bin.initialize({}, 'handshake');
    expect(await bin.request('tools/call', { name: 'echo' }, -1)).toHaveProperty('error.code', -31003);
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('--retry-mode rejects other values', async () => {
    const { bin } = await startRelayed({ args: ['--retry-mode', 'legacy'] });
    expect(await bin.exit()).toMatchObject({ code: 2 });
    expect(bin.stderr).toContain('--retry-mode must be one of adaptive, standard');
  });
});

it('a throttled notification is retried before the request that follows it is sent', async () => {
  let left = 2;
  const { bin, server } = await startRelayed({
    before: (next) => (request, response) => {
      const turnAway = request.rpc.method === 'notifications/initialized' && left-- > 0;
      if (turnAway) return void response.writeHead(429).end();
      return next(request, response);
    },
  });
  await bin.initialize({}, 0);
  expect(await bin.request('tools/list', {}, '')).toHaveProperty('result');
  const order = server.requests.filter(({ method }) => method === 'POST').map(({ rpc }) => rpc.method);
  expect(order).toEqual([
    'initialize',
    'notifications/initialized',
    'notifications/initialized',
    'notifications/initialized',
    'tools/list',
  ]);
});
