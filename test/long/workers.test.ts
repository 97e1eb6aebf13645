import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import * as https from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startCounting } from '../debian/sharing.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { open, send } from '../support/http-client.ts';
import { listenerUrl, startListener } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';
import { connectToBoth, logged, startWorkers, untilLogged } from '../support/workers.ts';

const call = (id: unknown = 0) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'slow' } });

const startBin = (args: readonly string[]): BinDriver =>
  BinDriver.start({
    args: ['http://127.0.0.1:9/mcp', ...signingArgs, '--workers', '2', ...args],
    env: signingEnv,
  });

describe('the start of --workers', () => {
  it('--workers with an address in use prints one error and ends with exit code 1', async () => {
    const other = createServer();
    const port = await listenOnLoopback(other);
    afterThisTest(() => void other.close());
    const bin = startBin(['--listen', `127.0.0.1:${port}`]);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toMatch(
      /^mcp-sigv4-proxy: cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*\. Name another address with --listen\.\n$/,
    );
  });

  it('--workers with wrong settings prints them once and ends with exit code 2', async () => {
    const bin = startBin(['--listen', '127.0.0.1:0', '--max-streams', '1', '--timeout', 'x']);
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toBe(
      [
        'mcp-sigv4-proxy: 2 problems with the settings:',
        '  --timeout must be a number of seconds >= 0, not "x"',
        '  --workers 2 is more than --max-streams 1, and each worker needs at least 1 of it: raise --max-streams or set fewer workers',
        'Run mcp-sigv4-proxy --help-all for all options.\n',
      ].join('\n'),
    );
  });

  it('--workers creates one unix socket with mode 0600 in place of a stale one, and removes it at the end', async () => {
    const { home, cleanup } = await makeTempHome();
    afterThisTest(cleanup);
    const path = join(home, 'mcp.sock');
    const stale = startBin(['--listen', `unix:${path}`, '--log-level', 'info']);
    await untilLogged(stale, 'listener.opened', 2);
    stale.kill('SIGKILL');
    await stale.exit();
    expect(statSync(path).isSocket()).toBe(true);
    const bin = startBin(['--listen', `unix:${path}`, '--log-level', 'info']);
    await untilLogged(bin, 'listener.opened', 2);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    bin.kill();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('--workers gives up with one error when a worker cannot be replaced', async () => {
    const { write, cleanup } = await makeTempHome();
    afterThisTest(cleanup);
    const file = await write('tokens', 'ci=a-token-of-enough-characters');
    const { bin, pids } = await startWorkers({ args: ['--listen-token-file', file] });
    writeFileSync(file, 'x');
    process.kill(pids[0] ?? 0, 'SIGKILL');
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr.match(/^mcp-sigv4-proxy: worker.*$/gm)).toEqual([
      'mcp-sigv4-proxy: worker 0 cannot be started: it ended 5 times in a row before it listened, and ended with exit code 2 the last time',
    ]);
  });
});

describe('the signals of --workers', () => {
  it('SIGTERM lets calls of both workers finish and ends with exit code 0', async () => {
    const gate = makeGate();
    const { url, bin, server } = await startWorkers({
      behaviour: async ({ rpc }, response) => {
        if (rpc.method === 'tools/call') await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
    });
    const connections = await connectToBoth(url);
    const flying = connections.map((ask, id) => ask({ body: call(id) }));
    await server.until((requests) => requests.length === 4);
    bin.kill('SIGTERM');
    await untilLogged(bin, 'proxy.draining', 2);
    gate.open();
    expect((await Promise.all(flying)).map(({ status, json }) => [status, json.id])).toEqual([
      [200, 0],
      [200, 1],
    ]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    await expect(send(url, { method: 'GET' })).rejects.toThrow('ECONNREFUSED');
  });

  it('SIGTERM with --drain-delay answers /readyz of both workers with 503 and still serves calls', async () => {
    const { url, bin } = await startWorkers({
      args: ['--drain-delay', '1', '--drain-timeout', '1'],
      behaviour: ({ rpc }, response) => sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} }),
    });
    const ready = () => send(new URL('/readyz', url).href, { method: 'GET' });
    expect([(await ready()).status, (await ready()).status]).toEqual([200, 200]);
    bin.kill('SIGTERM');
    await untilLogged(bin, 'listener.leaving', 2);
    expect([(await ready()).status, (await ready()).status]).toEqual([503, 503]);
    expect((await send(url, { body: call('') })).json).toMatchObject({ id: '', result: {} });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('a second SIGTERM ends busy workers and the primary process at once with exit code 1', async () => {
    const { url, bin, server, pids } = await startWorkers({ behaviour: () => undefined });
    const flying = [0, 1].map((id) => send(url, { body: call(id) }));
    for (const each of flying) each.catch(() => undefined);
    await server.until((requests) => requests.length === 2);
    bin.kill('SIGTERM');
    await untilLogged(bin, 'proxy.draining', 2);
    bin.kill('SIGTERM');
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    for (const each of flying) await expect(each).rejects.toThrow();
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  it('SIGTERM to the whole process group, as systemd sends it, drains once and ends with 0', async () => {
    const { bin, pids } = await startWorkers();
    for (const pid of pids) process.kill(pid, 'SIGTERM');
    bin.kill('SIGTERM');
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('SIGHUP reaches both workers and changes nothing for calls', async () => {
    const { url, bin } = await startWorkers();
    bin.kill('SIGHUP');
    await untilLogged(bin, 'session.not-ours', 2);
    await connectToBoth(url);
    expect(logged(bin, 'worker.started')).toHaveLength(2);
  });

  it('workers end when the primary process was killed, after the calls in flight', async () => {
    const gate = makeGate();
    const { url, bin, server } = await startWorkers({
      behaviour: async ({ rpc }, response) => {
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
    });
    const flying = send(url, { body: call(-1) });
    await server.until((requests) => requests.length === 1);
    bin.kill('SIGKILL');
    await untilLogged(bin, 'proxy.draining', 1);
    gate.open();
    expect((await flying).json).toMatchObject({ id: -1, result: {} });
    // Waits for the end of stderr, which the workers have open as well.
    await bin.exit();
  });
});

describe('a worker that dies', () => {
  it('a worker killed under load is replaced, and each call is answered once, cut, or not sent', async () => {
    const runs = new Map<unknown, number>();
    const { url, bin, pids } = await startWorkers({
      behaviour: ({ rpc }, response) => {
        runs.set(rpc.id, (runs.get(rpc.id) ?? 0) + 1);
        sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
    });
    const answered: unknown[] = [];
    const cut: unknown[] = [];
    let next = 0;
    let killed = false;
    const client = async (): Promise<void> => {
      // Until the kill, and then for some calls that a new worker serves as well.
      for (let after = 0; after < 40; after += killed ? 1 : 0) {
        const id = next++;
        const answer = await send(url, { body: call(id) }).catch(() => undefined);
        if (answer === undefined) cut.push(id);
        else if (answer.status === 200 && answer.json.id === id) answered.push(id);
        if (next > 200 && !killed) {
          killed = true;
          process.kill(pids[0] ?? 0, 'SIGKILL');
        }
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    expect(answered.length + cut.length).toBe(next);
    // A cut client sees a broken connection; it had one request on each of its connections.
    expect(cut.length).toBeLessThanOrEqual(4);
    expect(answered.filter((id) => runs.get(id) !== 1)).toEqual([]);
    expect([...runs.values()].filter((count) => count > 1)).toEqual([]);
    await untilLogged(bin, 'listener.opened', 3);
    const started = logged(bin, 'worker.started');
    expect(started.map(({ worker }) => worker)).toEqual([0, 1, 0]);
    await connectToBoth(url);
  });

  it('a worker that gets SIGTERM itself drains and is replaced', async () => {
    const { bin, pids, url } = await startWorkers();
    process.kill(pids[1] ?? 0, 'SIGTERM');
    await untilLogged(bin, 'listener.opened', 3);
    expect(logged(bin, 'worker.died')).toEqual([]);
    expect(logged(bin, 'worker.ended')).toMatchObject([{ worker: 1, workerPid: pids[1] }]);
    await connectToBoth(url);
  });
});

describe('a worker that hangs', () => {
  const HUNG = { timeout: 90_000 };

  it('a stopped worker is killed and replaced, its calls in flight end, and no other call does', async () => {
    const gate = makeGate();
    const { url, bin, server, pids } = await startWorkers({
      behaviour: async ({ rpc }, response) => {
        if (rpc.id === 'flying') await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
    });
    const connections = await connectToBoth(url);
    const flying = connections.map((ask) => ask({ body: call('flying') }));
    const outcomes = Promise.allSettled(flying);
    await server.until((requests) => requests.length === 4);
    process.kill(pids[0] ?? 0, 'SIGSTOP');
    // The system gives one of these connections to the stopped worker, which cannot accept it.
    const ids = [0, '', -1, 3];
    const answers = ids.map((id) => send(url, { body: call(id) }));
    await expect.poll(() => logged(bin, 'worker.hung'), HUNG).toHaveLength(1);
    expect(logged(bin, 'worker.hung')).toMatchObject([
      { worker: 0, workerPid: pids[0], message: 'Worker 0 has not answered for 15 s, and is killed.' },
    ]);
    expect((await Promise.all(answers)).map(({ status, json }) => [status, json.id])).toEqual(
      ids.map((id) => [200, id]),
    );
    // Its connections are closed only by its end.
    await untilLogged(bin, 'worker.died', 1);
    gate.open();
    expect((await outcomes).map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await untilLogged(bin, 'listener.opened', 3);
    expect(logged(bin, 'worker.started').map(({ worker }) => worker)).toEqual([0, 1, 0]);
    await connectToBoth(url);
    expect(server.requests.filter(({ rpc }) => rpc.id === 'flying')).toHaveLength(2);
  }, 120_000);

  it('a pause of all processes that is longer than the time limit kills no worker', async () => {
    const { url, bin, pids } = await startWorkers();
    const all = [bin.child.pid ?? 0, ...pids];
    // The workers are stopped first and continued last: the primary process sees the longest silence.
    for (const pid of all.toReversed()) process.kill(pid, 'SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 17_000));
    for (const pid of all) process.kill(pid, 'SIGCONT');
    await connectToBoth(url);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect([...logged(bin, 'worker.hung'), ...logged(bin, 'worker.died')]).toEqual([]);
  }, 120_000);
});

describe('the limits of --workers', () => {
  it('two workers with --rate-limit 10 pass 10 requests per second together', async () => {
    const [rate, burst] = [10, 5];
    const server = await startCounting();
    const limit = ['--rate-limit', String(rate), '--rate-burst', String(burst)];
    const args = ['--workers', '2', ...limit, '--max-connections', '16'];
    const { url, bin } = await startListener(server.url, { args });
    await untilLogged(bin, 'listener.opened', 2);
    const start = performance.now();
    const answers = await Promise.all(Array.from({ length: 35 }, (_, id) => send(url, { body: call(id) })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(server.arrivals.length).toBe(35);
    // A request may arrive later than it was allowed to leave, and never earlier.
    const early = server.arrivals.filter((at, n) => at < start + ((n + 1 - burst) / rate) * 1_000 - 5);
    expect(early).toEqual([]);
    expect(logged(bin, 'limits.local')).toEqual([]);
  });

  it('two workers with --rate-limit give the whole limit to one connection, and nothing more to others', async () => {
    const server = await startCounting();
    const args = ['--workers', '2', '--rate-limit', '0.001', '--rate-burst', '6'];
    const { url, bin } = await startListener(server.url, { args });
    await untilLogged(bin, 'listener.opened', 2);
    const [one, other] = await connectToBoth(url);
    for (const id of [0, '', -1, 3, 4, 5]) expect((await one({ body: call(id) })).status).toBe(200);
    for (const ask of [one, other]) {
      expect((await ask({ body: call(6) })).json).toMatchObject({
        error: { data: { reason: 'rate-limited', mayHaveRun: false } },
      });
    }
  });

  it('two workers with --max-concurrent 2 run 2 calls together and refuse further ones at once', async () => {
    const gate = makeGate();
    const { url, server } = await startWorkers({
      args: ['--max-concurrent', '2'],
      behaviour: async ({ rpc }, response) => {
        if (rpc.method === 'tools/call') await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
      },
    });
    const [one, other] = await connectToBoth(url);
    const flying = [one({ body: call(0) }), send(url, { body: call(1) })];
    await server.until((requests) => requests.length === 4);
    for (const ask of [other, other]) {
      expect((await ask({ body: call(2) })).json).toMatchObject({ id: 2, error: { code: -32001 } });
    }
    gate.open();
    await Promise.all(flying);
    expect((await other({ body: call('') })).json).toMatchObject({ id: '', result: {} });
  });

  it('two workers with --max-streams 2 open 2 streams together, and refuse the third of one worker', async () => {
    const { url } = await startWorkers({
      args: ['--max-streams', '2'],
      behaviour: (request, response) => {
        if (request.method === 'GET') new EventWriter(response).raw(': open\n\n');
        else sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
    });
    const stream = () => open(url, { method: 'GET', headers: { accept: 'text/event-stream' } });
    const statuses = [];
    for (let at = 0; at < 4; at++) statuses.push((await stream()).response.statusCode);
    expect(statuses).toEqual([200, 200, 503, 503]);
  });
});

it('the access log of two workers has one whole line for each call, also after a rotation', async () => {
  const { home, cleanup } = await makeTempHome();
  afterThisTest(cleanup);
  const file = join(home, 'access.log');
  const { url, bin } = await startWorkers({
    args: ['--access-log', file, '--access-log-arguments'],
    behaviour: ({ rpc }, response) => sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} }),
  });
  const big = 'x'.repeat(20_000);
  const load = async (from: number): Promise<void> => {
    const connections = (await Promise.all([connectToBoth(url), connectToBoth(url)])).flat();
    await Promise.all(
      connections.map(async (ask, at) => {
        for (let n = 0; n < 25; n++) {
          const id = from + at * 25 + n;
          const params = { name: 'slow', arguments: { text: n % 5 === 0 ? big : 'short' } };
          await ask({ body: { ...call(id), params } });
        }
      }),
    );
  };
  const idsIn = (path: string): number[] =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { method: string; id: string })
      .filter(({ method }) => method === 'tools/call')
      .map(({ id }) => Number(id))
      .sort((first, second) => first - second);
  await load(0);
  renameSync(file, `${file}.1`);
  bin.kill('SIGHUP');
  await untilLogged(bin, 'log.reopened', 2);
  await load(100);
  bin.kill();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  const numbers = (from: number): number[] => Array.from({ length: 100 }, (_, at) => from + at);
  expect(idsIn(`${file}.1`)).toEqual(numbers(0));
  expect(idsIn(file)).toEqual(numbers(100));
});

it('two workers serve TLS with the certificate of the files', async () => {
  const authority = await makeTlsAuthority();
  const { write, cleanup } = await makeTempHome();
  afterThisTest(cleanup);
  const files = ['--listen-tls-cert', await write('cert.pem', authority.cert)];
  files.push('--listen-tls-key', await write('key.pem', authority.key));
  const { url, pids } = await startWorkers({ args: files });
  expect(url).toMatch(/^https:/);
  const ready = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { agent: false, ca: authority.ca, servername: 'localhost' };
      https
        .get(new URL('/readyz', url), options, (response) => resolve(response.resume().statusCode ?? 0))
        .on('error', reject);
    });
  expect(pids).toHaveLength(2);
  expect([await ready(), await ready()]).toEqual([200, 200]);
});

it('a listener on a port of the system keeps its port when all workers have died', async () => {
  const { url, bin, pids } = await startWorkers();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await untilLogged(bin, 'listener.opened', 4);
  expect(await listenerUrl(bin)).toBe(url);
  expect(new Set(bin.stderr.match(/"url":"[^"]+"/g)).size).toBe(1);
  await connectToBoth(url);
});
