import { expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { openSession, startListener } from '../support/listening.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';

const HOUR_MS = 3_600_000;

/** Rejects every tools/call because of its signing time, and returns `date` as its own time. */
const refusing = (date: string): Promise<ScriptedServer> =>
  ScriptedServer.start(
    new SessionServer({
      on: {
        'tools/call': (_request, response) => {
          response.writeHead(403, {
            'content-type': 'application/json',
            'x-amzn-errortype': 'InvalidSignatureException',
            date,
          });
          response.end('{"message":"Signature expired: it is now earlier than the time of the server"}');
        },
      },
    }).behaviour,
  );

/** How far the signature's time is from this machine's, in hours. */
function hoursAhead(request: { headers: Record<string, unknown> } | undefined): number {
  const date = String(request?.headers['x-amz-date']);
  const iso = date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  return Math.round((Date.parse(iso) - Date.now()) / HOUR_MS);
}

const params = { name: 'any', arguments: {} };

it.each([
  ['Thu, 14 Aug 2036 12:00:00 GMT'],
  ['Tue, 01 Jan 275760 00:00:00 GMT'],
  ['Thu, 01 Jan 1970 00:00:00 GMT'],
  ['2036'],
])('a server whose Date is %s does not change the time of any signature', async (date) => {
  const server = await refusing(date);
  const bin = BinDriver.start({ args: [server.url, ...signingArgs, '--retries', '0'], env: signingEnv });
  await bin.initialize({}, 0);
  for (const id of ['', -1, 2]) expect(await bin.request('tools/call', params, id)).toHaveProperty('error');
  const { ask } = await startListener(server.url, { args: ['--retries', '0'] });
  const headers = await openSession(ask);
  await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'tools/call', params } });
  expect(server.of('tools/call').length).toBeGreaterThanOrEqual(4);
  for (const request of server.requests) expect(Math.abs(hoursAhead(request))).toBe(0);
});

it('a server Date some hours away changes the time of one signature, and is dropped if that signature fails', async () => {
  const server = await refusing(new Date(Date.now() + 3 * HOUR_MS).toUTCString());
  const bin = BinDriver.start({ args: [server.url, ...signingArgs, '--retries', '0'], env: signingEnv });
  await bin.initialize({}, 0);
  await bin.request('tools/call', params, 1);
  server.behaviour = new SessionServer().behaviour;
  await bin.request('ping', {}, 2);
  expect(server.of('tools/call').map(hoursAhead)).toContain(3);
  expect(Math.abs(hoursAhead(server.requests.at(-1)))).toBe(0);
});
