import { describe, expect, it } from 'vitest';
import { startInitialized, startRelayed } from '../support/relayed.ts';
import { signingArgs, signingVerify, TEST_KEY } from '../support/signing.ts';

describe('requests without credentials', () => {
  it('each request without credentials returns an error with the remedy, and nothing is sent', async () => {
    const { server, bin } = await startRelayed({ credentials: false });
    for (const id of [0, '', -1]) {
      expect(await bin.request('initialize', {}, id)).toEqual({
        jsonrpc: '2.0',
        id,
        error: {
          code: -31006,
          message: expect.stringMatching(
            /^No AWS credentials \(default chain\): nothing found .* Set AWS_PROFILE or pass --profile\. MCP clients start servers with a stripped environment .* must be repeated in the "env" block of the client's configuration$/i,
          ),
          data: {
            source: 'mcp-sigv4-proxy',
            reason: 'no-credentials',
            mayHaveRun: false,
            kind: 'none',
            profile: 'default chain',
          },
        },
      });
    }
    expect(server.requests).toEqual([]);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
  });

  it('--skip-auth sends unsigned requests without credentials', async () => {
    const { server, bin } = await startInitialized({
      credentials: false,
      verify: false,
      args: ['--skip-auth'],
    });
    expect(await bin.request('tools/list')).toMatchObject({ result: {} });
    const amz = server.requests.flatMap(({ headers }) =>
      Object.keys(headers).filter((name) => name === 'authorization' || name.startsWith('x-amz')),
    );
    expect(amz).toEqual([]);
  });

  it('--skip-auth returns an error that names the missing credentials if the server requires a signature', async () => {
    const { bin } = await startRelayed({ credentials: false, args: ['--skip-auth'] });
    expect(await bin.request('initialize', {}, 0)).toMatchObject({
      error: {
        code: -31007,
        message: expect.stringMatching(
          /^The server requires signed requests \(HTTP 403\), and this one was sent unsigned, because no AWS credentials are configured and --skip-auth is set\. Set AWS_PROFILE or pass --profile\./,
        ),
        data: { verdict: 'unsigned', mayHaveRun: false },
      },
    });
  });

  it('--skip-auth signs if there are credentials, and does not hide a broken profile', async () => {
    const { server, bin } = await startInitialized({ args: ['--skip-auth'] });
    await bin.request('ping');
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    const broken = await startRelayed({ credentials: false, args: ['--skip-auth', '--profile', 'nobody'] });
    expect(await broken.bin.request('initialize', {}, '')).toMatchObject({
      error: { code: -31006, data: { kind: 'failed' } },
    });
  });

  it('--auth none never signs, needs no scope, and lets --header authorize', async () => {
    const { server, bin } = await startInitialized({
      verify: false,
      args: ['--auth', 'none', '--header', `Authorization: Bearer \${TOKEN}`],
      env: { TOKEN: 'from-the-environment' },
    });
    await bin.request('ping');
    for (const { headers } of server.requests) {
      expect(headers.authorization).toBe('Bearer from-the-environment');
      expect(headers['x-amz-date']).toBeUndefined();
    }
  });
});

describe('headers and metadata beside the signature', () => {
  it('--header is sent with each request, expanded and unsigned', async () => {
    const { server, bin } = await startInitialized({
      args: ['--header', `X-Team: \${TEAM}-a`, '--header', 'X-Colon: a:b, c'],
      env: { TEAM: 'blue' },
    });
    bin.closeStdin();
    await bin.exit();
    expect(server.requests).toHaveLength(4);
    for (const { headers, verification } of server.requests) {
      expect(headers).toMatchObject({ 'x-team': 'blue-a', 'x-colon': 'a:b, c' });
      expect(verification?.ok && verification.signedHeaders).not.toContain('x-team');
    }
  });

  it('--metadata is added to the _meta of requests, and the values of the client win', async () => {
    const { server, bin } = await startInitialized({
      args: ['--metadata', 'team=blue', '--metadata', 'AWS_REGION=eu-north-1'],
    });
    await bin.request('tools/call', { name: 'echo', _meta: { team: 'red', progressToken: 0 } });
    bin.notify('notifications/vendor', { a: 1 });
    await server.until((requests) => requests.at(-1)?.rpc.method === 'notifications/vendor');
    expect(server.of('initialize')[0]?.rpc.params?._meta).toEqual({ team: 'blue', AWS_REGION: 'eu-north-1' });
    expect(server.of('tools/call')[0]?.rpc.params?._meta).toEqual({
      AWS_REGION: 'eu-north-1',
      team: 'red',
      progressToken: 0,
    });
    expect(server.requests.at(-1)?.rpc.params).toEqual({ a: 1 });
  });

  it.each([
    ['AWS_REGION', { AWS_REGION: 'eu-north-1', AWS_DEFAULT_REGION: 'eu-south-1' }, 'eu-north-1'],
    ['AWS_DEFAULT_REGION', { AWS_DEFAULT_REGION: 'eu-south-1' }, 'eu-south-1'],
    ['the profile', {}, 'eu-central-2'],
  ])('the operating region comes from %s, whatever the signing region is', async (_what, env, region) => {
    const files = { '.aws/config': '[default]\nregion = eu-central-2\n' };
    const { server, bin } = await startRelayed({ env, files });
    await bin.initialize({}, 0);
    expect(await bin.request('tools/list', {}, '')).toHaveProperty('result');
    for (const method of ['initialize', 'tools/list'])
      expect(server.of(method)[0]?.rpc.params?._meta).toEqual({ AWS_REGION: region });
  });

  it.each<[string, readonly string[], RegExp]>([
    ['names the client', [], /^mcp-sigv4-proxy\/\S+ bin-driver\/0\.0\.0$/],
    [
      'ends with --user-agent',
      ['--user-agent', 'team/1 (x)'],
      /^mcp-sigv4-proxy\/\S+ bin-driver\/0\.0\.0 team\/1 \(x\)$/,
    ],
    ['leaves the client out with --disable-telemetry', ['--disable-telemetry'], /^mcp-sigv4-proxy\/\S+$/],
  ])('the user agent %s', async (_what, args, expected) => {
    const { server, bin } = await startInitialized({ args });
    bin.closeStdin();
    await bin.exit();
    for (const { headers } of server.requests) expect(headers['user-agent']).toMatch(expected);
  });

  it('a request to VPC Lattice is sent with an unsigned payload', async () => {
    const { server, bin } = await startInitialized({
      args: ['--service', 'vpc-lattice-svcs'],
      verify: { ...signingVerify, service: 'vpc-lattice-svcs' },
    });
    await bin.request('ping');
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    expect(server.requests.map(({ headers }) => headers['x-amz-content-sha256'])).toEqual(
      Array(4).fill('UNSIGNED-PAYLOAD'),
    );
  });

  it('temporary credentials are sent with their session token, which is signed', async () => {
    const { server } = await startInitialized();
    const [first] = server.requests;
    expect(first?.headers['x-amz-security-token']).toBe(TEST_KEY.sessionToken);
    expect(first?.verification?.ok && first.verification.signedHeaders).toEqual([
      'content-type',
      'host',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-security-token',
    ]);
    expect(first?.headers.authorization).toContain(`/${signingArgs[3]}/${signingArgs[1]}/aws4_request`);
  });
});
