import { Readable } from 'node:stream';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/nested-clients/sts';
import { describe, expect, it } from 'vitest';
import { createConnector } from '../../../src/upstream/http/connect.ts';
import { createSdkHttpHandler } from '../../../src/upstream/http/sdk-http.ts';
import { ConnectProxy } from '../../support/connect-proxy.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { makeTempHome, useEnv } from '../../support/temp-home.ts';
import { makeTlsAuthority } from '../../support/tls-authority.ts';
import { comesTrue, directly } from './connection-rig.ts';

const requestTo = (server: ScriptedServer, changes: object = {}) => ({
  protocol: 'http:',
  hostname: '127.0.0.1',
  port: server.port,
  method: 'GET',
  path: '/',
  headers: { host: 'test' },
  ...changes,
});

describe('an AWS SDK call', () => {
  it('an AWS SDK call is sent as the SDK built it, and its answer returned', async () => {
    const server = await ScriptedServer.start((_request, response) => {
      response.setHeader('x-many', ['1', '2']);
      response.writeHead(403, { 'content-type': 'text/xml' }).end('<Error/>');
    });
    const handler = createSdkHttpHandler(directly, new FakeClock());
    const query = { plain: 'a b', list: ['1', '&'], bare: null };
    const { response } = await handler.handle(
      requestTo(server, { method: 'POST', path: '/p', query, body: 'Action=x' }),
    );
    const [request] = server.requests;
    expect([request?.method, request?.url, request?.text]).toEqual([
      'POST',
      '/p?plain=a%20b&list=1&list=%26&bare',
      'Action=x',
    ]);
    expect([response.statusCode, response.headers['content-type'], response.headers['x-many']]).toEqual([
      403,
      'text/xml',
      '1, 2',
    ]);
    expect(Buffer.concat(await response.body.toArray()).toString()).toBe('<Error/>');
  });

  it.each<[kind: string, body: unknown, sent: string]>([
    ['text', 'abc', 'abc'],
    ['bytes', new Uint8Array([97, 98]), 'ab'],
    ['a stream', () => Readable.from([Buffer.from('a'), Buffer.from('b')]), 'ab'],
    ['nothing', undefined, ''],
    ['the empty text', '', ''],
  ])('an AWS SDK call sends a body that is %s', async (_kind, body, sent) => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    const handler = createSdkHttpHandler(directly, new FakeClock());
    const given: unknown = typeof body === 'function' ? body() : body;
    await handler.handle(requestTo(server, { method: 'POST', body: given }));
    expect(server.requests.map(({ text }) => text)).toEqual([sent]);
  });

  it('an AWS SDK call leaves neither a connection nor a timer', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    const clock = new FakeClock();
    await createSdkHttpHandler(directly, clock).handle(requestTo(server));
    expect(clock.timers).toBe(0);
    await comesTrue(() => server.connections.open === 0, 'closed');
  });

  it('an AWS SDK call without an answer fails after 20 s with the host', async () => {
    const server = await ScriptedServer.start(() => undefined);
    const clock = new FakeClock();
    const call = createSdkHttpHandler(directly, clock).handle(requestTo(server));
    const failed = expect(call).rejects.toThrow('no answer from 127.0.0.1 in 20 s');
    await server.until((requests) => requests.length === 1);
    await clock.advance(20_000);
    await failed;
  });

  it('an AWS SDK call is cut by its signal, before and while it runs', async () => {
    const server = await ScriptedServer.start(() => undefined);
    const handler = createSdkHttpHandler(directly, new FakeClock());
    const controller = new AbortController();
    const call = handler.handle(requestTo(server), { abortSignal: controller.signal });
    const failed = expect(call).rejects.toThrow('aborted');
    await server.until((requests) => requests.length === 1);
    controller.abort();
    await failed;
    await expect(handler.handle(requestTo(server), { abortSignal: controller.signal })).rejects.toThrow();
    expect(server.requests).toHaveLength(1);
  });
});

it('an STS client of the SDK reaches STS through an HTTP proxy and a private certificate authority', async () => {
  const authority = await makeTlsAuthority(['sts.test']);
  const server = await ScriptedServer.start(
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/xml' });
      response.end(
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>' +
          '<AccessKeyId>ASIASTS</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>' +
          '<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>',
      );
    },
    { tls: authority },
  );
  const proxy = await ConnectProxy.start({
    hosts: { 'sts.test': '127.0.0.1' },
    credentials: { user: 'u', password: 'p' },
  });
  const { env } = await makeTempHome();
  useEnv({ ...env, AWS_ENDPOINT_URL_STS: `https://sts.test:${server.port}` });
  const handlerWith = (ca: string[] | undefined) =>
    createSdkHttpHandler(
      createConnector({
        proxy: { url: proxy.url.replace('//', '//u:p@'), env: {} },
        ca,
        timeoutMs: 5_000,
      }),
      new FakeClock(),
    );
  const assume = async (ca: string[] | undefined) => {
    const sts = new STSClient({
      region: 'eu-west-1',
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
      requestHandler: handlerWith(ca),
      maxAttempts: 1,
    });
    const role = { RoleArn: 'arn:aws:iam::123456789012:role/r', RoleSessionName: 'stable' };
    return (await sts.send(new AssumeRoleCommand(role))).Credentials;
  };
  await expect(assume([authority.ca])).resolves.toMatchObject({
    AccessKeyId: 'ASIASTS',
    SessionToken: 'token',
  });
  expect(proxy.opened.map(({ authority: to }) => to)).toEqual([`sts.test:${server.port}`]);
  expect(new URLSearchParams(server.requests[0]?.text).get('RoleSessionName')).toBe('stable');
  await expect(assume(undefined)).rejects.toThrow(/unable to (verify|get)|self.signed/);
});
