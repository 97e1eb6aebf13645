import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { jwtOf } from '../support/jwt.ts';
import { openSession, startListening } from '../support/listening.ts';
import { startRelayed } from '../support/relayed.ts';
import { tokenGate } from '../support/token-server.ts';

const ISSUER = 'https://id.example';
const tokenOf = (serial: number): string =>
  jwtOf({ iss: ISSUER, sub: 'me', exp: 4_000_000_000, serial, pad: 'x'.repeat(40) });
const [ONE, TWO, THREE] = [tokenOf(1), tokenOf(2), tokenOf(3)] as const;

/** No AWS credentials exist: a request that needed them would fail. */
const WITHOUT_AWS = { verify: false, credentials: false } as const;

describe('--auth bearer', () => {
  it('--auth bearer sends the token of a file, and follows it at once in the same session', async () => {
    const gate = tokenGate([ONE]);
    const { bin, server, mcp } = await startRelayed({
      ...WITHOUT_AWS,
      before: gate.before,
      files: { token: `${ONE}\n` },
      args: ['--auth', 'bearer', '--bearer-token-file', 'token', '--log-level', 'trace'],
      cwdIsHome: true,
    });
    expect(await bin.initialize({}, 0)).toMatchObject({ id: 0, result: {} });
    expect(await bin.request('tools/list', {}, '')).toMatchObject({ id: '', result: {} });
    // As Kubernetes replaces a projected token: by a rename.
    gate.accepted.clear();
    gate.accepted.add(TWO);
    writeFileSync(join(bin.home, 'new'), TWO);
    renameSync(join(bin.home, 'new'), join(bin.home, 'token'));
    expect(await bin.request('tools/list', {}, -1)).toMatchObject({ id: -1, result: {} });
    expect(server.of('tools/list').map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${ONE}`,
      `Bearer ${TWO}`,
    ]);
    expect(mcp.sessions.size).toBe(1);
    expect(server.requests.some(({ headers }) => 'x-amz-date' in headers)).toBe(false);
    // A token that the file loses: the last one stays in use, and the log names the reason.
    writeFileSync(join(bin.home, 'token'), `${'x'.repeat(100_000)}`);
    expect(await bin.request('tools/list', {}, 5)).toMatchObject({ id: 5, result: {} });
    await bin.stderrMatching(/it is longer than 32768 bytes.*credentials\.refresh-failed/);
    for (const token of [ONE, TWO]) expect(bin.stderr).not.toContain(token.slice(-60, -20));
  });

  it('--auth bearer runs a command again after a 401, and the call succeeds in one request more', async () => {
    const gate = tokenGate([ONE]);
    const { bin, server } = await startRelayed({
      ...WITHOUT_AWS,
      before: gate.before,
      files: { 'token.txt': ONE },
      args: ['--auth', 'bearer', '--bearer-command', JSON.stringify(['/bin/cat', 'token.txt'])],
      cwdIsHome: true,
    });
    await bin.initialize({}, 'handshake');
    await server.until((all) => all.some(({ method }) => method === 'GET'));
    gate.accepted.clear();
    gate.accepted.add(TWO);
    writeFileSync(join(bin.home, 'token.txt'), TWO);
    expect(await bin.request('ping', {}, 0)).toMatchObject({ id: 0, result: {} });
    expect(server.of('ping').map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${ONE}`,
      `Bearer ${TWO}`,
    ]);

    // Revoked, and the command has nothing else: one clear error, which the next call can overcome.
    gate.accepted.clear();
    expect((await bin.request('ping', {}, 1)).error).toMatchObject({
      data: { reason: 'auth-rejected', mayHaveRun: false, httpStatus: 401 },
      message: expect.stringContaining(
        'refused the bearer token from the command of --bearer-command (HTTP 401)',
      ),
    });
    expect(server.of('ping')).toHaveLength(3);
    writeFileSync(join(bin.home, 'token.txt'), THREE);
    gate.accepted.add(THREE);
    expect(await bin.request('ping', {}, 2)).toMatchObject({ result: {} });
  });

  it('--auth bearer opens a new session where the token belongs to another subject', async () => {
    const other = jwtOf({ iss: ISSUER, sub: 'other' });
    const gate = tokenGate([ONE, other]);
    const { bin, mcp } = await startRelayed({
      ...WITHOUT_AWS,
      before: gate.before,
      files: { token: ONE },
      args: ['--auth', 'bearer', '--bearer-token-file', 'token'],
      cwdIsHome: true,
    });
    await bin.initialize({}, 'handshake');
    const [first] = mcp.sessions.keys();
    writeFileSync(join(bin.home, 'token'), other);
    expect(await bin.request('tools/list', {}, 0)).toMatchObject({ result: {} });
    expect([...mcp.sessions.keys()]).not.toEqual([first]);
  });

  it('--auth bearer without a token answers each request with an error that names the source', async () => {
    const { bin, server } = await startRelayed({
      ...WITHOUT_AWS,
      args: ['--auth', 'bearer', '--bearer-command', 'echo "not logged in" >&2; exit 3'],
    });
    const { error } = await bin.initialize({}, '');
    expect(error).toMatchObject({
      data: { reason: 'no-credentials', mayHaveRun: false },
      message:
        'There is no bearer token in the command of --bearer-command: it exited with code 3: not logged in. The request was not sent. Run the command in a terminal to see what it prints; the next call runs it again.',
    });
    expect(server.requests).toHaveLength(0);
  });

  it('--auth bearer at the listener sends the token of a variable, and explains a 401 to the client', async () => {
    const gate = tokenGate([ONE]);
    const { ask, server } = await startListening({
      verify: false,
      before: gate.before,
      args: ['--auth', 'bearer', '--bearer-token-env', 'GATEWAY_TOKEN'],
      env: { GATEWAY_TOKEN: ONE, AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    });
    const headers = await openSession(ask, 0);
    const list = { jsonrpc: '2.0', id: '', method: 'tools/list' };
    expect((await ask({ headers, body: list })).json).toMatchObject({ id: '', result: {} });
    expect(server.of('tools/list')[0]?.headers.authorization).toBe(`Bearer ${ONE}`);
    gate.accepted.clear();
    const refused = await ask({ headers, body: { ...list, id: -1 } });
    expect(refused.json).toMatchObject({
      id: -1,
      error: {
        data: { reason: 'auth-rejected' },
        message: expect.stringContaining(
          'refused the bearer token from the environment variable GATEWAY_TOKEN',
        ),
      },
    });
    expect(refused.headers['www-authenticate']).toBeUndefined();
  });

  it('doctor describes the token of --auth bearer without showing it', async () => {
    const gate = tokenGate([ONE]);
    const { server } = await startRelayed({ ...WITHOUT_AWS, before: gate.before });
    const doctor = BinDriver.start({
      args: ['doctor', server.url, '--auth', 'bearer', '--bearer-token-env', 'T'],
      env: { T: ONE },
      anyStdout: true,
    });
    expect((await doctor.exit()).code).toBe(0);
    const report = doctor.lines.join('\n');
    expect(report).toContain(
      `JWT of me issued by ${ISSUER}, from the environment variable T, expires 2096-10-02`,
    );
    expect(report).not.toContain(ONE.slice(-60, -20));
  });
});
