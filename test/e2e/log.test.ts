import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Relayed, startInitialized, startRelayed } from '../support/relayed.ts';
import { TEST_KEY } from '../support/signing.ts';

const SESSION = 'session-5f1c9d7e-whole-and-secret';
const HEADER_SECRET = 'header-secret-0123456789';
const ARGUMENT = 'the-argument-of-a-tool';

/** A session with successes and failures, on a server that repeats what it received, as AWS does. */
async function eventfulRun(args: readonly string[]): Promise<Relayed> {
  const relayed = await startInitialized({
    args: [...args, '--header', `X-Api-Key: \${API_KEY}`],
    env: { API_KEY: HEADER_SECRET },
    sessionId: () => SESSION,
    on: {
      'tools/call': (request, response, { fallback }) => {
        if (request.rpc.id === 'good') return fallback();
        const { authorization, 'x-amz-security-token': token } = request.headers;
        const canonical = `POST\n/mcp\n\nx-amz-security-token:${token}\n`;
        const message = `The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'${canonical}'\n${authorization}`;
        response.writeHead(403, {
          'x-amzn-errortype': 'InvalidSignatureException',
          'set-cookie': 'a=cookie-secret',
        });
        response.end(JSON.stringify({ message }));
      },
      'resources/list': (_request, response) => void response.destroy(),
    },
  });
  const { server, mcp, bin } = relayed;
  await bin.request('tools/call', { name: 'echo', arguments: { text: ARGUMENT } }, 'good');
  await bin.request('tools/call', { name: 'echo', arguments: { text: ARGUMENT } }, 'refused');
  await bin.request('resources/list', {}, 'broken');
  bin.send('not JSON');
  bin.send({ jsonrpc: '2.0', id: 'nobody asked', result: {} });
  mcp.broadcast({ jsonrpc: '2.0', id: 0, method: 'roots/list' });
  await bin.next(({ method }) => method === 'roots/list');
  bin.send({ jsonrpc: '2.0', id: 0, result: { roots: [] } });
  await server.until((requests) => requests.some(({ rpc }) => 'result' in rpc));
  bin.closeStdin();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  return relayed;
}

function secretsOf({ server }: Relayed): string[] {
  const signatures = server.requests.map(
    ({ headers }) => /Signature=([0-9a-f]+)/.exec(headers.authorization ?? '')?.[1] ?? 'none',
  );
  return [
    TEST_KEY.secretAccessKey,
    TEST_KEY.sessionToken,
    SESSION,
    HEADER_SECRET,
    'cookie-secret',
    ...signatures,
  ];
}

const held = (text: string, secrets: readonly string[]): string[] =>
  secrets.filter((secret) => text.includes(secret));

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const linesOf = (text: string): Line[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

describe('the log', () => {
  it('the log at trace has all events on stderr as JSON lines without secrets, and stdout stays clean', async () => {
    const relayed = await eventfulRun(['--log-level', 'trace']);
    const { bin } = relayed;
    const secrets = secretsOf(relayed);
    expect(held(bin.stderr, secrets)).toEqual([]);
    expect(held(bin.lines.join('\n'), secrets)).toEqual([]);
    const seen = new Set(linesOf(bin.stderr).map(({ msg }) => msg));
    for (const event of [
      'message.received',
      'message.sent',
      'http.request',
      'http.response',
      'connection.opened',
      'session.opened',
      'stream.opened',
      'credentials.resolved',
      'auth.rejected',
      'call.failed',
      'client.line-invalid',
      'client.response-unexpected',
      'client.gone',
      'session.closed',
    ]) {
      expect([...seen]).toContain(event);
    }
    expect(bin.stderr).toContain(ARGUMENT);
  });

  it('the log at trace redacts a key in a message, and the message keeps it', async () => {
    const { bin } = await startInitialized({ args: ['--log-level', 'trace'] });
    const { secretAccessKey, sessionToken } = TEST_KEY;
    const keys = `aws_session_token=${sessionToken} ${JSON.stringify({ secretAccessKey })}`;
    const answer = await bin.request('tools/call', { name: 'echo', arguments: { keys } }, 0);
    expect(held(JSON.stringify(answer), [secretAccessKey, sessionToken])).toHaveLength(2);
    bin.closeStdin();
    await bin.exit();
    expect(bin.stderr).toContain('aws_session_token');
    expect(held(bin.stderr, [secretAccessKey, sessionToken])).toEqual([]);
  });

  it('the log below trace has no tool arguments', async () => {
    const relayed = await eventfulRun(['--log-level', 'debug']);
    expect(relayed.bin.stderr).not.toContain(ARGUMENT);
    expect(held(relayed.bin.stderr, secretsOf(relayed))).toEqual([]);
    expect(linesOf(relayed.bin.stderr).length).toBeGreaterThan(10);
  });

  it('--log-file appends to a file that only its owner can read', async () => {
    // A home of another process: it exists as long as the test.
    const place = join((await startRelayed()).bin.home, 'proxy.log');
    const first = await eventfulRun(['--log-level', 'trace', '--log-file', place]);
    expect(statSync(place).mode & 0o777).toBe(0o600);
    expect(first.bin.stderr).toBe('');
    const before = readFileSync(place, 'utf8');
    expect(held(before, secretsOf(first))).toEqual([]);
    await eventfulRun(['--log-level', 'info', '--log-file', place]);
    const after = readFileSync(place, 'utf8');
    expect(after.startsWith(before)).toBe(true);
    // The last event is in the file, too.
    expect(linesOf(after).at(-1)?.msg).toBe('session.closed');
    expect(new Set(linesOf(after).map(({ pid }) => pid)).size).toBe(2);
  });

  it('the log is empty by default, even if calls returned errors', async () => {
    expect((await eventfulRun([])).bin.stderr).toBe('');
  });

  it('the log is empty at silent and readable with pretty', async () => {
    expect((await eventfulRun(['--log-level', 'silent'])).bin.stderr).toBe('');
    const pretty = await eventfulRun(['--log-level', 'trace', '--log-format', 'pretty']);
    expect(held(pretty.bin.stderr, secretsOf(pretty))).toEqual([]);
    expect(pretty.bin.stderr).toMatch(/WARN.*call\.failed/);
  });

  it('a stderr that nobody reads neither blocks the run nor prevents its end', async () => {
    const { bin, server } = await startInitialized({ args: ['--log-level', 'trace'] });
    bin.child.stderr.pause();
    const text = 'x'.repeat(200_000);
    for (let id = 0; id < 30; id++) {
      await bin.request('tools/call', { name: 'echo', arguments: { text } }, id);
    }
    bin.closeStdin();
    const exited = new Promise((resolve) => bin.child.once('exit', resolve));
    expect(await bin.guard(exited, 'the process to exit')).toBe(0);
    expect(server.of('DELETE')).toHaveLength(1);
    bin.child.stderr.resume();
  });

  it('a closed stderr does not end the run', async () => {
    const { bin } = await startInitialized({ args: ['--log-level', 'trace'] });
    bin.child.stderr.destroy();
    for (const id of [0, '', -1]) expect(await bin.request('ping', {}, id)).toMatchObject({ result: {} });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });
});
