import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { startBalancer } from '../support/balancer.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { open, send } from '../support/http-client.ts';
import { listenerUrl, startListener, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingVerify } from '../support/signing.ts';

const call = (id: unknown) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'any', arguments: {} },
});
const health = (url: string, path: string) => send(new URL(path, url).href, { method: 'GET' });
const CALLERS = 8;

describe('a rollout of two listeners behind a load balancer', () => {
  it.each([
    ['that checks health', true],
    ['that only notices refused connections', false],
  ])('a rollout behind a load balancer %s fails no call and runs none twice', async (_what, checksHealth) => {
    const ran = new Map<unknown, number>();
    const server = await ScriptedServer.start(
      (request, response) => {
        const { id } = request.rpc;
        ran.set(id, (ran.get(id) ?? 0) + 1);
        setTimeout(() => sendJson(response, 200, { jsonrpc: '2.0', id, result: {} }), 5);
      },
      { verify: signingVerify },
    );
    const args = ['--drain-delay', '0.5', '--max-connections', '16'];
    const first = await startListener(server.url, { args });
    const second = await startListener(server.url, { args });
    const balancer = await startBalancer({ checksHealth, targets: [first.url, second.url] });
    const wrong: unknown[] = [];
    let sent = 0;
    let stopped = false;
    const callers = Array.from({ length: CALLERS }, async () => {
      while (!stopped) {
        const id = sent++;
        const { status, json, text } = await send(balancer.url, { body: call(id) });
        if (status !== 200 || json.id !== id || ran.get(id) !== 1)
          wrong.push([id, status, text, ran.get(id)]);
      }
    });
    for (const old of [first, second]) {
      const before = sent;
      await expect.poll(() => sent).toBeGreaterThan(before + 50);
      old.bin.kill('SIGTERM');
      expect(await old.bin.exit()).toEqual({ code: 0, signal: null });
      if (old === second) break;
      const { port } = new URL(first.url);
      await startListener(server.url, { args, listen: `127.0.0.1:${port}` });
      if (checksHealth) await expect.poll(() => balancer.isDown(0)).toBe(false);
    }
    const before = sent;
    await expect.poll(() => sent).toBeGreaterThan(before + 50);
    stopped = true;
    await Promise.all(callers);
    expect(wrong).toEqual([]);
    expect(ran.size).toBe(sent);
  });
});

describe('--drain-delay', () => {
  it('--drain-delay serves requests after SIGTERM while /readyz returns 503, then drains and closes connections', async () => {
    const gate = makeGate();
    const { url, ask, bin, server } = await startListening({
      args: ['--drain-delay', '2.5'],
      behaviour: async (request, response) => {
        if (request.rpc.id === 'slow') await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
    });
    const { response: stream } = await open(url, { method: 'GET', headers: { accept: 'text/event-stream' } });
    stream.resume();
    const slow = ask({ body: call('slow') });
    await server.until((requests) => requests.some(({ rpc }) => rpc.id === 'slow'));
    expect((await health(url, '/readyz')).text).toBe('ok\n');
    bin.kill('SIGTERM');
    await bin.stderrMatching(/listener\.leaving/);
    const ready = await health(url, '/readyz');
    expect([ready.status, ready.text]).toEqual([503, 'leaving\n']);
    expect((await health(url, '/healthz')).status).toBe(200);
    for (const id of [0, '', -1]) {
      const { status, json } = await ask({ body: call(id) });
      expect([status, json.id]).toEqual([200, id]);
    }
    await expect
      .poll(() =>
        send(url, { body: call(1) }).then(
          ({ status }) => status,
          ({ code }) => code,
        ),
      )
      .toBe('ECONNREFUSED');
    gate.open();
    const last = await slow;
    expect([last.status, last.headers.connection]).toEqual([200, 'close']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('a second signal skips --drain-delay', async () => {
    const { bin } = await startListening({ args: ['--drain-delay', '3600'] });
    bin.kill('SIGTERM');
    await bin.stderrMatching(/listener\.leaving/);
    bin.kill('SIGTERM');
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
  });
});

describe('/readyz', () => {
  const NOWHERE = { AWS_EC2_METADATA_DISABLED: 'true' };

  async function startWithout(args: readonly string[], endpoint = 'http://127.0.0.1:9/mcp', env = {}) {
    const bin = BinDriver.start({
      args: [endpoint, ...signingArgs, '--listen', '127.0.0.1:0', '--log-level', 'info', ...args],
      env: { ...NOWHERE, ...env },
    });
    return { bin, url: await listenerUrl(bin) };
  }

  it('/readyz returns 503 with a reason without credentials, the log has the cause, and /healthz returns 200', async () => {
    const { bin, url } = await startWithout(['--profile', 'nobody']);
    const ready = await health(url, '/readyz');
    expect(ready.status).toBe(503);
    expect(ready.text).toMatch(/^no-credentials: /);
    // Health checks need no token.
    expect(ready.text).not.toContain('nobody');
    await bin.stderrMatching(/listener\.not-ready.*nobody|nobody.*listener\.not-ready/);
    expect((await health(url, '/healthz')).status).toBe(200);
    expect((await send(new URL('/readyz', url).href, { method: 'HEAD' })).status).toBe(503);
  });

  it.each([['--skip-auth'], ['--auth', 'none']])(
    '/readyz needs no credentials with %s %s',
    async (...args) => {
      const { url } = await startWithout(args);
      expect((await health(url, '/readyz')).text).toBe('ok\n');
    },
  );

  it('/readyz does not depend on the endpoint unless --ready-check endpoint is set', async () => {
    const taken = createServer();
    const port = await listenOnLoopback(taken);
    await new Promise((resolve) => taken.close(resolve));
    const endpoint = `http://127.0.0.1:${port}/mcp`;
    const plain = await startWithout(['--auth', 'none'], endpoint);
    expect((await health(plain.url, '/readyz')).status).toBe(200);
    const checked = await startWithout(['--auth', 'none', '--ready-check', 'endpoint'], endpoint);
    const ready = await health(checked.url, '/readyz');
    expect([ready.status, ready.text.split(':')[0]]).toEqual([503, 'connect-failed']);
    await checked.bin.stderrMatching(/listener\.not-ready.*ECONNREFUSED|ECONNREFUSED.*listener\.not-ready/);
  });

  it('/readyz with --ready-check endpoint returns 200 for a reachable endpoint and sends it no request', async () => {
    const { url, server } = await startListening({ args: ['--ready-check', 'endpoint'] });
    expect((await health(url, '/readyz')).text).toBe('ok\n');
    expect(server.requests).toEqual([]);
  });

  it('/readyz returns 503 after the server rejects the clock, and an absurd Date breaks no later call', async () => {
    let refuses = true;
    const { url, ask, server } = await startListening({
      behaviour: (request, response) => {
        response.setHeader('date', 'Sat, 13 Sep 275760 00:00:01 GMT');
        if (!refuses) return sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
        sendJson(response, 403, { message: 'Signature expired: 20260102T030405Z is now earlier than now' });
      },
    });
    const refused = await ask({ body: call(0) });
    expect(refused.json).toMatchObject({ error: { data: { reason: 'auth-rejected' } } });
    const ready = await health(url, '/readyz');
    expect([ready.status, ready.text.split(':')[0]]).toEqual([503, 'clock']);
    refuses = false;
    for (const id of ['', -1]) expect((await ask({ body: call(id) })).json).toHaveProperty('result');
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });
});
