import { expect, it } from 'vitest';
import { profileLines } from '../support/accounts.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { send } from '../support/http-client.ts';
import { type Listening, openSession, startListening } from '../support/listening.ts';
import { makeGate } from '../support/relayed.ts';
import { makeTempHome } from '../support/temp-home.ts';

const TOKENS = { ci: 'a-static-token-of-ci-jobs', bob: 'a-static-token-of-bob-the-builder' };

it('the status, its text and the gauges show each user of --identity-map that is served', async () => {
  const { write } = await makeTempHome();
  const tokens = Object.entries(TOKENS).map(([name, secret]) => `${name}=${secret}`);
  const rules = Object.keys(TOKENS).map((name) => ({
    name: `rule-${name}`,
    match: { token: name },
    profile: name,
  }));
  const gate = makeGate();
  const listening = await startListening({
    args: [
      ...['--identity-map', await write('map.json', JSON.stringify({ identities: rules }))],
      ...['--listen-token-file', await write('tokens', tokens.join('\n')), '--status', '127.0.0.1:0'],
    ],
    env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
    files: {
      '.aws/config': Object.keys(TOKENS)
        .map((name) => profileLines(name))
        .join('\n'),
    },
    verify: false,
    session: {
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await gate.opened;
          return fallback();
        },
      },
    },
  });
  const { bin, server } = listening;
  await bin.stderrMatching(/"status\.opened"/);
  const status =
    /"url":"([^"]+)"/.exec(
      bin.stderr.split('\n').find((line) => line.includes('"status.opened"')) ?? '',
    )?.[1] ?? '';
  const as =
    (secret: string): Listening['ask'] =>
    (question) =>
      listening.ask({ ...question, headers: { authorization: `Bearer ${secret}`, ...question.headers } });
  const get = async (path: string) => (await send(new URL(path, status).href, { method: 'GET' })).text;
  expect(JSON.parse(await get('/status.json'))).toMatchObject({ users: [], userCount: 0 });

  await openSession(as(TOKENS.ci));
  const headers = await openSession(as(TOKENS.bob));
  const params = { name: 'echo', arguments: {} };
  const calling = as(TOKENS.bob)({ headers, body: { jsonrpc: '2.0', id: '', method: 'tools/call', params } });
  await server.until(() => server.of('tools/call').length === 1);
  const { users, userCount, profiles } = JSON.parse(await get('/status.json'));
  expect(userCount).toBe(2);
  expect(users).toMatchObject([
    { name: 'bob', rule: 'rule-bob', requests: 1, breaker: 'closed' },
    { name: 'ci', rule: 'rule-ci', requests: 0, breaker: 'closed' },
  ]);
  const connections = users.map((user: { connections: number }) => user.connections);
  expect(Math.min(...connections)).toBeGreaterThan(0);
  expect(profiles).toHaveLength(1);
  expect(await get('/metrics')).toMatch(
    /^mcp_sigv4_proxy_connections\{profile="default",lane="request",state="used"\} 1$/m,
  );
  gate.open();
  await calling;

  const text = BinDriver.start({ args: ['status', status], anyStdout: true });
  expect((await text.exit()).code, text.stderr).toBe(0);
  expect(text.lines.join('\n')).toMatch(/users of the identity map: 2\n.*\n {2}bob +rule-bob/);
});
