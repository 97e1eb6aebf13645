import { describe, expect, it } from 'vitest';
import { checkIdentity, stsEndpoint } from '../../../src/commands/doctor/identity.ts';
import { type Clock, systemClock } from '../../../src/core/time/clock.ts';
import { ConnectProxy } from '../../support/connect-proxy.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { TEST_KEY } from '../../support/signing.ts';
import { makeTlsAuthority } from '../../support/tls-authority.ts';
import { converse, settingsFor } from './rig.ts';

const LAMBDA = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
const ARN = 'arn:aws:iam::123456789012:user/me';
const verify = { service: 'sts', region: 'eu-west-1', keys: { [TEST_KEY.accessKeyId]: TEST_KEY } };

interface Asking {
  readonly env: NodeJS.ProcessEnv;
  readonly argv?: readonly string[];
  readonly profile?: string;
  readonly keys?: typeof TEST_KEY | { accessKeyId: string; secretAccessKey: string };
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

async function ask({ env, argv = [], profile = '', keys = TEST_KEY, clock = systemClock, signal }: Asking) {
  const settings = await settingsFor([LAMBDA, ...argv], { env });
  const { client, signal: never } = converse(settings);
  const road = client.proxy.profileTransport(profile);
  return checkIdentity({
    profile,
    credentials: keys,
    region: 'eu-west-1',
    env,
    road,
    signal: signal ?? never,
    clock,
  });
}

const answering = (status: number, body: string, headers: Record<string, string> = {}) =>
  ScriptedServer.start((_request, response) => void response.writeHead(status, headers).end(body));

const errorBody = (code: string, message: string): string =>
  `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;

describe('checkIdentity', () => {
  it('checkIdentity reports the ARN that STS returns to a correctly signed request', async () => {
    const sts = await ScriptedServer.start(
      (_request, response) =>
        void response.end(`<GetCallerIdentityResult><Arn>${ARN}</Arn></GetCallerIdentityResult>`),
      { verify },
    );
    expect(await ask({ env: { AWS_ENDPOINT_URL_STS: sts.origin } })).toEqual({
      check: 'identity',
      verdict: 'ok',
      detail: ARN,
    });
    const [request] = sts.requests;
    expect(request).toMatchObject({
      method: 'POST',
      url: '/',
      text: 'Action=GetCallerIdentity&Version=2011-06-15',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  });

  it('checkIdentity uses the configured HTTP proxy and certificates', async () => {
    const authority = await makeTlsAuthority(['sts.test']);
    const sts = await ScriptedServer.start((_request, response) => void response.end(`<Arn>${ARN}</Arn>`), {
      verify,
      tls: authority,
    });
    const proxy = await ConnectProxy.start({ hosts: { 'sts.test': '127.0.0.1' } });
    const env = { AWS_ENDPOINT_URL_STS: `https://sts.test:${sts.port}`, HTTPS_PROXY: proxy.url };
    expect(await ask({ env, argv: ['--ca-bundle', authority.caFile()] })).toMatchObject({ detail: ARN });
    expect(proxy.opened).toHaveLength(1);
  });

  it.each<[what: string, code: string, message: string, kind: string, remedy: RegExp]>([
    [
      'that nobody knows',
      'InvalidClientTokenId',
      'The security token included in the request is invalid.',
      'invalid-token',
      /^AWS does not know the access key .* of profile 'dev'.* aws sts get-caller-identity --profile dev/,
    ],
    [
      'that have expired',
      'ExpiredToken',
      'The security token included in the request is expired',
      'expired',
      /have expired.* Run aws sso login --profile dev/,
    ],
    [
      'signed by another clock',
      'SignatureDoesNotMatch',
      'Signature expired: 20260102T030405Z is now earlier than 20260102T031405Z',
      'clock',
      /Correct the clock/,
    ],
  ])('checkIdentity fails with a remedy for credentials %s', async (_what, code, message, kind, remedy) => {
    const sts = await answering(403, errorBody(code, message), { 'content-type': 'text/xml' });
    expect(await ask({ env: { AWS_ENDPOINT_URL_STS: sts.origin }, profile: 'dev' })).toEqual({
      check: 'identity',
      verdict: 'failed',
      detail: `STS rejected the credentials of profile 'dev': ${kind}`,
      remedy: expect.stringMatching(remedy),
    });
  });

  it('checkIdentity fails for a wrong secret access key, because STS verifies the signature', async () => {
    const sts = await ScriptedServer.start((_request, response) => void response.end(), { verify });
    const keys = { accessKeyId: TEST_KEY.accessKeyId, secretAccessKey: 'wrong' };
    expect(await ask({ env: { AWS_ENDPOINT_URL_STS: sts.origin }, keys })).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(
        /^STS rejected the credentials of the default chain: (signature|invalid-token)$/,
      ),
    });
  });

  it.each<[what: string, status: number, body: string, detail: RegExp]>([
    [
      'denies the request',
      403,
      errorBody('AccessDenied', 'not here'),
      /returned no identity \(HTTP 403: not here\)$/,
    ],
    ['fails with HTTP 500', 500, 'oops', /returned no identity \(HTTP 500: oops\)$/],
    [
      'answers with a web page',
      200,
      '<html><title>Welcome</title></html>',
      /returned no identity \(HTTP 200: Welcome\)$/,
    ],
  ])(
    'checkIdentity is skipped, because calls do not need STS, if STS %s',
    async (_what, status, body, detail) => {
      const sts = await answering(status, body);
      const finding = await ask({ env: { AWS_ENDPOINT_URL_STS: sts.origin } });
      expect(finding).toMatchObject({ verdict: 'skipped', detail: expect.stringMatching(detail) });
    },
  );

  it('checkIdentity is skipped if STS is unreachable', async () => {
    const closed = await answering(200, '');
    await closed.close();
    expect(await ask({ env: { AWS_ENDPOINT_URL_STS: closed.origin } })).toMatchObject({
      verdict: 'skipped',
      detail: expect.stringMatching(/^STS at 127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED/),
    });
    expect(await ask({ env: { AWS_ENDPOINT_URL_STS: 'nonsense' } })).toMatchObject({
      verdict: 'skipped',
      detail: 'AWS_ENDPOINT_URL_STS is not a URL',
    });
  });

  it('checkIdentity waits for STS for 5 seconds at most', async () => {
    const held = await ScriptedServer.start(() => undefined);
    const clock = new FakeClock();
    const asked = ask({ env: { AWS_ENDPOINT_URL_STS: held.origin }, clock });
    await held.until((requests) => requests.length === 1);
    await clock.advance(5_000);
    expect(await asked).toMatchObject({
      verdict: 'skipped',
      detail: expect.stringMatching(/cannot be reached: no answer within 5 s$/),
    });
    expect(clock.timers).toBe(0);
  });

  it('checkIdentity stops waiting for STS when the command is interrupted', async () => {
    const held = await ScriptedServer.start(() => undefined);
    const interrupt = new AbortController();
    const asked = ask({ env: { AWS_ENDPOINT_URL_STS: held.origin }, signal: interrupt.signal });
    await held.until((requests) => requests.length === 1);
    const reason = new Error('SIGINT');
    interrupt.abort(reason);
    await expect(asked).rejects.toBe(reason);
  });
});

it.each<[region: string, env: NodeJS.ProcessEnv, url: string | undefined]>([
  ['eu-west-1', {}, 'https://sts.eu-west-1.amazonaws.com/'],
  ['cn-north-1', {}, 'https://sts.cn-north-1.amazonaws.com.cn/'],
  ['eu-west-1', { AWS_ENDPOINT_URL: 'https://a.example' }, 'https://a.example/'],
  [
    'eu-west-1',
    { AWS_ENDPOINT_URL: 'https://a.example', AWS_ENDPOINT_URL_STS: 'https://b.example' },
    'https://b.example/',
  ],
  [
    'eu-west-1',
    { AWS_ENDPOINT_URL_STS: 'https://b.example', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' },
    'https://sts.eu-west-1.amazonaws.com/',
  ],
  ['eu-west-1', { AWS_ENDPOINT_URL_STS: 'b.example' }, undefined],
])('the STS endpoint of region %s with variables %j is %s', (region, env, url) => {
  expect(stsEndpoint(region, env)?.href).toBe(url);
});
