import { expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { errorOf, SessionServer } from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

/** A limit of an account: so many requests of all clients together in each window. */
const ALLOWED = 2;
const STRETCH_MS = 100;
const PROXIES = 9;

it('nine proxies that start at once at a limit of two requests at a time all get their tools', async () => {
  const mcp = new SessionServer();
  let since = 0;
  let used = 0;
  let turnedAway = 0;
  let here = 0;
  const allHere = makeGate();
  const server = await ScriptedServer.start(
    async (request, response) => {
      const { method } = request.rpc;
      if (method !== 'initialize' && method !== 'tools/list') return mcp.behaviour(request, response);
      // However slowly a machine starts nine processes, their first requests come at once.
      if (++here === PROXIES) allHere.open();
      await allHere.opened;
      const now = performance.now();
      if (now - since >= STRETCH_MS) [since, used] = [now, 0];
      if (used++ < ALLOWED) return mcp.behaviour(request, response);
      turnedAway++;
      sendJson(response, 429, errorOf(request.rpc.id ?? null, -32004, 'Too many requests'));
    },
    { verify: signingVerify },
  );
  const proxies = Array.from({ length: PROXIES }, () =>
    BinDriver.start({ args: [server.url, ...signingArgs], env: signingEnv }),
  );
  const lists = await Promise.all(
    proxies.map(async (proxy) => {
      expect(await proxy.initialize({}, 'init')).toHaveProperty('result');
      return proxy.request('tools/list', {}, 0);
    }),
  );
  for (const list of lists) expect(list).toHaveProperty('result.tools.0.name');
  expect(turnedAway).toBeGreaterThan(0);
  for (const { stderr } of proxies) expect(stderr).toBe('');
}, 60_000);
