import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { errorOf, type Handler } from '../support/mcp-behaviours.ts';
import { startRelayed } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';

describe('an argument that is not an endpoint', () => {
  it.each([
    [
      ['deploy'],
      /"deploy" is not a command, and an endpoint is a URL or an ARN\. The commands are doctor, tools, call/,
    ],
    [['list'], /"list" is not a command, and an endpoint is a URL or an ARN/],
    [['list', 'https://example.com/mcp'], /"list" is not a command/],
    [['doctor', 'dev'], /doctor takes no "dev": an endpoint is a URL or an ARN/],
    [
      ['--profile', 'dev', 'doctor'],
      /--profile takes "doctor" as one of its values\. Put the command first: mcp-sigv4-proxy doctor --profile \.\.\. \(a value of this name: --profile=doctor\)/,
    ],
    [['--allow-tool', 'a', 'tools'], /--allow-tool takes "tools" as one of its values/],
  ])('an argument %j that is no endpoint is refused with a suggestion', async (args, says) => {
    const bin = BinDriver.start({ args });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toMatch(says);
    expect(bin.stderr).not.toMatch(/must be an? (absolute )?URL|missing/i);
  });

  it('a profile with the name of a command can be used', async () => {
    const bin = BinDriver.start({
      args: ['--profile=dev', '--profile=tools', '--auth', 'none'],
      files: { '.aws/config': '[profile dev]\nregion = eu-west-1\n[profile tools]\nregion = eu-west-1\n' },
    });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });
});

const refusing =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };

const METADATA = 'Bearer resource_metadata="https://example.com/.well-known/oauth-protected-resource"';
const IAM = 'User: arn:aws:iam::123456789012:user/a is not authorized to perform: execute-api:Invoke';

describe('the error of a rejected request names its cause', () => {
  it.each<[what: string, handler: Handler, says: RegExp, never: RegExp]>([
    [
      'an explicit deny',
      refusing(
        403,
        { Message: `${IAM} with an explicit deny in an identity-based policy` },
        { 'x-amzn-errortype': 'AccessDeniedException' },
      ),
      /valid, but a policy denies this explicitly/,
      /no IAM policy allows/,
    ],
    [
      'a missing permission',
      refusing(403, {
        Message: `${IAM} because no identity-based policy allows the execute-api:Invoke action`,
      }),
      /valid, but no IAM policy allows this/,
      /explicitly/,
    ],
    [
      'a bare Forbidden',
      refusing(403, { message: 'Forbidden' }),
      /The answer gives no reason\. It may be/,
      /no IAM policy/,
    ],
    [
      'a bare Forbidden of text',
      refusing(403, 'Forbidden', { 'content-type': 'text/plain' }),
      /The answer gives no reason/,
      /no IAM policy/,
    ],
    [
      'a 401 with resource_metadata (RFC 9728)',
      refusing(401, { error: 'invalid_token' }, { 'www-authenticate': METADATA }),
      /requires an OAuth access token, not an AWS signature \(HTTP 401\)/,
      /IAM policy|found no valid signature/,
    ],
    [
      'a 401 with resource_metadata and a JSON-RPC error',
      refusing(
        401,
        { jsonrpc: '2.0', id: 0, error: { code: -32001, message: 'Missing Bearer token' } },
        { 'www-authenticate': METADATA },
      ),
      /requires an OAuth access token, not an AWS signature \(HTTP 401\).* The server said: Missing Bearer token/,
      /IAM policy|found no valid signature/,
    ],
    [
      'a 401 with a bearer challenge and no body',
      refusing(401, '', { 'www-authenticate': 'Bearer realm="mcp"' }),
      /requires an OAuth access token/,
      /IAM policy/,
    ],
    [
      'an HTTP+SSE server that allows GET',
      refusing(405, 'Method Not Allowed', { allow: 'GET, HEAD', 'content-type': 'text/plain' }),
      /looks like a server of the HTTP\+SSE transport of 2024-11-05/,
      /check its path/i,
    ],
  ])(
    'the error of a rejected request names the cause for the answer: %s',
    async (_what, handler, says, never) => {
      const { bin } = await startRelayed({ on: { initialize: handler } });
      const { error } = await bin.initialize({}, 0);
      const { message } = error as { message: string };
      expect(message).toMatch(says);
      expect(message).not.toMatch(never);
    },
  );

  it('a URL that ends with /sse, with or without a slash, is reported as an HTTP+SSE server', async () => {
    const server = await ScriptedServer.start((_request, response) => {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<pre>Cannot POST /sse</pre>');
    });
    for (const path of ['sse', 'sse/', 'sse?a=b']) {
      const bin = BinDriver.start({
        args: [new URL(path, server.url).href, ...signingArgs],
        env: signingEnv,
      });
      const { error } = await bin.initialize({}, '');
      expect((error as { message: string }).message).toMatch(
        /HTTP\+SSE transport of 2024-11-05.*\/mcp at its end/,
      );
    }
  });

  it('the error explains attempts beyond --retries', async () => {
    const { bin } = await startRelayed({
      args: ['--retries', '1', '--initialize-timeout', '3', '--retry-max-delay', '0.1'],
      on: {
        initialize: (_request, response, { id }) => sendJson(response, 503, errorOf(id, -32000, 'busy')),
      },
      before: (next) => (request, response) =>
        request.rpc.method === 'initialize'
          ? void response.writeHead(503).end('busy')
          : next(request, response),
    });
    const { error } = await bin.initialize({}, 0);
    const { message } = error as { message: string };
    expect(message).toMatch(
      /It was tried \d+ times \(the requests of a start are repeated for 20 s, beyond --retries\)|An earlier attempt failed: .*beyond --retries/,
    );
  });
});

it('a Lambda function URL that answers 403 names both permissions that it needs since October 2025', async () => {
  const host = 'abcdefghij.lambda-url.eu-west-1.on.aws';
  const tls = await makeTlsAuthority([host]);
  const Message =
    'Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html';
  const server = await ScriptedServer.start((_request, response) => sendJson(response, 403, { Message }), {
    tls,
  });
  const { port } = new URL(server.url);
  const proxy = await ConnectProxy.start({ hosts: { [host]: `127.0.0.1:${port}` } });
  const bin = BinDriver.start({
    args: [`https://${host}/`, '--proxy', proxy.url, '--ca-bundle', tls.caFile()],
    env: signingEnv,
  });
  const { error } = await bin.initialize({}, 0);
  expect(error).toMatchObject({
    message: expect.stringMatching(
      /HTTP 403.*lambda:InvokeFunctionUrl and lambda:InvokeFunction, in the policies of the caller or of the function/,
    ),
    data: { reason: 'auth-rejected', verdict: 'denied' },
  });
  expect((error as { message: string }).message).not.toContain('no IAM policy allows');
});

describe('a server that does not use the expected protocol', () => {
  async function tcp(first: string | undefined): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      if (first === undefined)
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n'));
      else socket.write(first);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterThisTest(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const address = server.address();
    return `https://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/mcp`;
  }

  it.each([
    ['plain HTTP', undefined],
    ['SSH', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ])('an https URL that leads to %s is reported without OpenSSL messages', async (_what, first) => {
    const url = await tcp(first);
    const bin = BinDriver.start({ args: [url, ...signingArgs, '--retries', '0'], env: signingEnv });
    const { error } = await bin.initialize({}, 0);
    const { message } = error as { message: string };
    expect(message).toMatch(
      /^Cannot connect to 127\.0\.0\.1:\d+: the other side does not speak TLS\. It may be a port for plain HTTP: check the scheme and the port/,
    );
    const doctor = BinDriver.start({
      args: ['doctor', url, ...signingArgs],
      env: signingEnv,
      anyStdout: true,
    });
    await doctor.exit();
    const page = doctor.lines.join('\n');
    expect(page).toMatch(/the other side does not speak TLS/);
    expect(`${message}${page}`).not.toMatch(/SSL routines|ERR_SSL|openssl/);
  });

  it('an http URL that leads to another protocol is reported', async () => {
    const url = (await tcp('SSH-2.0-OpenSSH_9.6\r\n')).replace('https:', 'http:');
    const bin = BinDriver.start({ args: [url, ...signingArgs, '--retries', '0'], env: signingEnv });
    const { error } = await bin.initialize({}, 0);
    expect((error as { message: string }).message).toMatch(/the other side does not speak HTTP/);
  });
});

describe('the start in a terminal', () => {
  it('a start in a terminal without arguments explains MCP on stdin and lists the commands', async () => {
    const terminal = await Terminal.start({ args: [], env: signingEnv });
    await terminal.shows(/speaks MCP on stdin and stdout.*[\s\S]*mcp-sigv4-proxy doctor[\s\S]*--help/);
    terminal.type('\x03');
    await terminal.exit();
  });

  it('a start in a terminal with --listen prints the address', async () => {
    const terminal = await Terminal.start({ args: ['--listen', '127.0.0.1:0', '--auth', 'none'] });
    await terminal.shows(/listening on http:\/\/127\.0\.0\.1:\d+\/mcp/);
    expect(terminal.output).not.toContain('speaks MCP on stdin');
    terminal.type('\x03');
    await terminal.exit();
  });

  it('a start by a client on pipes prints nothing', async () => {
    const { bin } = await startRelayed({ args: ['--listen', '127.0.0.1:0', '--stdio'] });
    await bin.initialize({}, 0);
    bin.closeStdin();
    await bin.exited;
    expect(bin.stderr).toBe('');
  });
});
