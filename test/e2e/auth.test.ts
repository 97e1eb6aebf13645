import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Rpc } from '../support/mcp-answers.ts';
import { startInitialized, startRelayed } from '../support/relayed.ts';
import type { VerifyOptions } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';

const CREDENTIALS = '.aws/credentials';
const profileOf = (id: string, name = 'work'): string =>
  `[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = secret-of-${id}\naws_session_token = token-of-${id}\n`;
const keyOf = (id: string) => ({ secretAccessKey: `secret-of-${id}`, sessionToken: `token-of-${id}` });

interface Refusal {
  readonly status?: number;
  readonly type?: string;
  readonly errorType?: string;
  readonly body: string;
}

const xml = (code: string, message: string): string =>
  `<?xml version="1.0"?>\n<ErrorResponse><Error><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;

/** The error of a call that the server refuses with this answer. */
async function refusedWith({
  status = 403,
  type = 'application/json',
  errorType,
  body,
}: Refusal): Promise<Rpc> {
  const { server, bin } = await startInitialized({
    on: {
      'tools/call': (_request, response) => {
        response.writeHead(status, {
          'content-type': type,
          ...(errorType ? { 'x-amzn-errortype': errorType } : {}),
        });
        response.end(body);
      },
    },
  });
  const answer = await bin.request('tools/call', { name: 'x' }, 0);
  expect(server.of('tools/call')).toHaveLength(1);
  expect(bin.stderr).toBe('');
  return answer;
}

const RENEWAL =
  'They come from environment variables, which a running process cannot refresh: set new ones in the configuration of your client, and restart the proxy. With --profile the proxy refreshes them itself. The server said: ';

describe('a refusal by the server', () => {
  it.each<[string, Refusal, string, string]>([
    [
      'expired, in JSON',
      { body: '{"message":"The security token included in the request is expired"}' },
      'expired',
      `The AWS credentials of the default chain have expired (HTTP 403). ${RENEWAL}The security token included in the request is expired`,
    ],
    [
      'expired, in XML',
      { type: 'text/xml', body: xml('ExpiredToken', 'The provided token has expired.') },
      'expired',
      `The AWS credentials of the default chain have expired (HTTP 403). ${RENEWAL}The provided token has expired.`,
    ],
    [
      'expired, by a header',
      { errorType: 'ExpiredTokenException:http://internal.amazon.com/', body: '{}' },
      'expired',
      `The AWS credentials of the default chain have expired (HTTP 403). ${RENEWAL}ExpiredTokenException: {}`,
    ],
    [
      'another scope',
      { body: '{"message":"Credential should be scoped to correct service: \'bedrock-agentcore\'."}' },
      'signature',
      "The server refused the signature (HTTP 403). It was made for service 'execute-api' in region 'eu-west-1'; the server expects service 'bedrock-agentcore' (--service bedrock-agentcore). The server said: Credential should be scoped to correct service: 'bedrock-agentcore'.",
    ],
    [
      'denied',
      {
        errorType: 'AccessDeniedException',
        body: '{"Message":"User: arn:aws:iam::123456789012:user/me is not authorized to perform: execute-api:Invoke"}',
      },
      'denied',
      'Access was denied with the credentials of the default chain (HTTP 403). The credentials are valid, but no IAM policy allows this. The server said: AccessDeniedException: User: arn:aws:iam::123456789012:user/me is not authorized to perform: execute-api:Invoke',
    ],
    [
      'no signature that it knows',
      { status: 401, body: '{"message":"Missing Authentication Token"}' },
      'unsigned',
      'The server found no valid signature header (HTTP 401): check the path of the endpoint URL, because API Gateway gives this answer for unknown paths. The server said: Missing Authentication Token',
    ],
  ])('a refusal of the server is classified: %s', async (_what, refusal, verdict, message) => {
    expect(await refusedWith(refusal)).toMatchObject({
      id: 0,
      error: {
        code: -31007,
        message,
        data: {
          source: 'mcp-sigv4-proxy',
          reason: 'auth-rejected',
          mayHaveRun: false,
          httpStatus: refusal.status ?? 403,
          verdict,
        },
      },
    });
  });

  it('a refusal that comes from a firewall names the firewall', async () => {
    const body = '<html><head><title>403 Forbidden</title></head><body>Request blocked</body></html>';
    const { error } = await refusedWith({ type: 'text/html', body });
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^HTTP 403 with an HTML page: it comes from a firewall \(WAF\) or a corporate proxy in front of 127\.0\.0\.1:\d+, not from the MCP server\. Ask its operators to allow this traffic, or set --user-agent if it filters by that\. The server said: 403 Forbidden$/,
      ),
      data: { verdict: 'foreign-page', body },
    });
  });

  it('a refusal that contains a JSON-RPC error is relayed', async () => {
    const body = '{"jsonrpc":"2.0","id":null,"error":{"code":-32003,"message":"Not for you"}}';
    expect(await refusedWith({ body })).toEqual({
      jsonrpc: '2.0',
      id: 0,
      error: { code: -32003, message: 'Not for you' },
    });
  });

  it('a refusal of initialize is its answer, and the client may try again', async () => {
    const { bin } = await startRelayed({ args: ['--service', 'another'] });
    for (const id of [0, '']) {
      expect(await bin.initialize({}, id)).toMatchObject({
        id,
        error: {
          code: -31007,
          message: expect.stringContaining(
            "the server expects service 'execute-api' (--service execute-api)",
          ),
          data: { verdict: 'signature', mayHaveRun: false },
        },
      });
    }
    expect(bin.stderr).toBe('');
  });
});

describe('a request that the server refused', () => {
  it('a request refused because of the clock is sent again once, and the correction serves later requests', async () => {
    const ahead = 20 * 60_000;
    const { server, bin } = await startInitialized({
      verify: { ...signingVerify, now: () => new Date(Date.now() + ahead) },
    });
    expect(await bin.request('tools/list')).toMatchObject({ result: {} });
    const verdicts = server.requests.map(({ rpc, method, verification }) => [
      rpc.method ?? method,
      verification?.ok,
    ]);
    expect(verdicts).toEqual([
      ['initialize', false],
      ['initialize', true],
      ['notifications/initialized', true],
      ['GET', true],
      ['tools/list', true],
    ]);
    expect(bin.stderr).toBe('');
  });

  it('a request refused because of expired credentials is sent again once with newer ones, tool calls included', async () => {
    const keys: Record<string, VerifyOptions['keys'][string]> = { 'AKID-OLD': keyOf('AKID-OLD') };
    const { server, bin } = await startInitialized({
      credentials: false,
      args: ['--profile', 'work'],
      files: { [CREDENTIALS]: profileOf('AKID-OLD') },
      verify: { ...signingVerify, keys },
      on: {
        'tools/call': (request, response, { result }) => {
          if (request.verification?.ok && request.verification.accessKeyId === 'AKID-NEW')
            return result({ n: 1 });
          // Written while the call is in flight, so that no earlier check of the file can have found it.
          writeFileSync(join(bin.home, CREDENTIALS), profileOf('AKID-NEW'));
          keys['AKID-NEW'] = keyOf('AKID-NEW');
          response.writeHead(403, { 'x-amzn-errortype': 'ExpiredTokenException' });
          response.end('{"message":"The security token included in the request is expired"}');
        },
      },
    });
    expect(await bin.request('tools/call', { name: 'x' }, -1)).toEqual({
      jsonrpc: '2.0',
      id: -1,
      result: { n: 1 },
    });
    const signers = server
      .of('tools/call')
      .map(({ verification }) => verification?.ok && verification.accessKeyId);
    expect(signers).toEqual(['AKID-OLD', 'AKID-NEW']);
    expect(bin.stderr).toBe('');
  });

  it('a request refused twice is not sent a third time: newer credentials that have expired are an error', async () => {
    const keys = { 'AKID-A': keyOf('AKID-A'), 'AKID-B': keyOf('AKID-B') };
    const { server, bin } = await startInitialized({
      credentials: false,
      args: ['--profile', 'work'],
      files: { [CREDENTIALS]: profileOf('AKID-A') },
      verify: { ...signingVerify, keys },
      on: {
        'tools/call': (_request, response) => {
          writeFileSync(join(bin.home, CREDENTIALS), profileOf('AKID-B'));
          response.writeHead(403, { 'x-amzn-errortype': 'ExpiredTokenException' });
          response.end('{"message":"The security token included in the request is expired"}');
        },
      },
    });
    expect(await bin.request('tools/call', { name: 'x' })).toMatchObject({
      error: {
        code: -31007,
        message:
          "The AWS credentials of profile 'work' have expired (HTTP 403). Write new ones into the shared AWS files; the next call uses the new ones, no restart is needed. The server said: ExpiredTokenException: The security token included in the request is expired",
        data: { verdict: 'expired', mayHaveRun: false },
      },
    });
    expect(server.of('tools/call')).toHaveLength(2);
  });
});
