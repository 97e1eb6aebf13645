import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { issuedKeys } from '../support/accounts.ts';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { send } from '../support/http-client.ts';
import { AUDIENCE, startIssuer } from '../support/issuer.ts';
import { startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { signingVerify } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';

const ROLE = 'arn:aws:iam::123456789012:role/the-role';
/** A refresh is due when a fifth of it is left. */
const LIFETIME_MS = 3_000;

const call = (id: unknown) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'any', arguments: {} },
});

/** A container as a platform starts it: a token file that the platform replaces, and no AWS files. */
async function startContainer(envOf: (url: string, token: string) => Record<string, string>) {
  const aws = await startAwsStandIns();
  aws.lifetimeMs = LIFETIME_MS;
  const { write } = await makeTempHome();
  const rotate = (text: string): Promise<string> => write('token', text);
  const token = await rotate('token-of-the-pod-1');
  const listening = await startListening({
    env: {
      ...(aws.env as Record<string, string>),
      AWS_ACCESS_KEY_ID: '',
      AWS_SECRET_ACCESS_KEY: '',
      AWS_SESSION_TOKEN: '',
      ...envOf(aws.url, token),
    },
    verify: { ...signingVerify, keys: { ...signingVerify.keys, ...issuedKeys } },
    behaviour: (request, response) =>
      sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} }),
  });
  const signer = () => {
    const { verification } = listening.server.requests.at(-1) ?? {};
    return verification?.ok ? verification.accessKeyId : 'refused';
  };
  return { ...listening, aws, rotate, signer };
}

describe('credentials of a container platform', () => {
  it('EKS Pod Identity: each refresh presents the token that the platform has written last', async () => {
    const { ask, aws, rotate, signer } = await startContainer((url, token) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token,
    }));
    expect((await ask({ body: call(0) })).json).toHaveProperty('result');
    expect(signer()).toBe('CONTAINER-1');
    await rotate('token-of-the-pod-2');
    await sleep(LIFETIME_MS);
    expect((await ask({ body: call('') })).json).toHaveProperty('result');
    expect(signer()).toBe('CONTAINER-2');
    expect(aws.of('container').map(({ headers }) => headers.authorization)).toEqual([
      'token-of-the-pod-1',
      'token-of-the-pod-2',
    ]);
  });

  it('ECS: the token of the task is presented to its endpoint', async () => {
    const { ask, aws, signer } = await startContainer((url) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'token-of-the-task',
    }));
    expect((await ask({ body: call(-1) })).json).toHaveProperty('result');
    expect(signer()).toBe('CONTAINER-1');
    expect(aws.of('container')[0]?.headers.authorization).toBe('token-of-the-task');
  });

  it('IRSA: each refresh presents the token that the cluster has written last', async () => {
    const { ask, aws, rotate, signer } = await startContainer((_url, token) => ({
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_ROLE_ARN: ROLE,
    }));
    expect((await ask({ body: call(0) })).json).toHaveProperty('result');
    expect(signer()).toBe('STS-1');
    await rotate('token-of-the-pod-2');
    await sleep(LIFETIME_MS);
    expect((await ask({ body: call(1) })).json).toHaveProperty('result');
    expect(signer()).toBe('STS-2');
    expect(aws.of('sts').map(({ form }) => [form.get('RoleArn'), form.get('WebIdentityToken')])).toEqual([
      [ROLE, 'token-of-the-pod-1'],
      [ROLE, 'token-of-the-pod-2'],
    ]);
  });

  it('IMDS: the role of the instance signs', async () => {
    const { ask, signer } = await startContainer((url) => ({
      AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
      AWS_EC2_METADATA_DISABLED: 'false',
    }));
    expect((await ask({ body: call(0) })).json).toHaveProperty('result');
    expect(signer()).toBe('IMDS-1');
  });
});

const IDENTITIES = 1_000;
/** MAX_CREDENTIAL_CALLS of the proxy. */
const MAX_AT_ONCE = 16;

describe('many identities', () => {
  it('a thousand identities that begin together assume their roles once each, 16 at a time', async () => {
    const issuer = await startIssuer();
    const aws = await startAwsStandIns();
    const { write } = await makeTempHome();
    const subject = ['$', '{', 'sub', '}'].join('');
    const map = await write(
      'map.json',
      JSON.stringify({
        identities: [
          { name: 'all', match: { group: 'ops' }, role: { arn: ROLE, sessionName: `user-${subject}` } },
        ],
      }),
    );
    const { url, bin } = await startListening({
      args: [
        ...['--listen-issuer', issuer.url, '--listen-audience', AUDIENCE, '--identity-map', map],
        ...['--max-connections', '64'],
      ],
      env: aws.env as Record<string, string>,
      verify: false,
      behaviour: (request, response) =>
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} }),
    });
    const tokens = await Promise.all(
      Array.from({ length: IDENTITIES }, (_, at) => issuer.token({ sub: `u${at}`, groups: ['ops'] })),
    );
    const agent = new Agent({ keepAlive: true, maxSockets: 200 });
    afterThisTest(() => agent.destroy());
    const release = aws.hold('sts');
    // Two calls of each: they share one request to STS.
    const answers = tokens.flatMap((token, at) =>
      [at, `${at}`].map((id) =>
        send(url, { headers: { authorization: `Bearer ${token}` }, body: call(id) }, agent),
      ),
    );
    await aws.seen('sts', MAX_AT_ONCE);
    release();
    const statuses = (await Promise.all(answers)).map(({ status, json }) => [status, 'result' in json]);
    expect(statuses.filter(([status, hasResult]) => status !== 200 || !hasResult)).toEqual([]);
    const names = aws.of('sts').map(({ form }) => form.get('RoleSessionName'));
    expect(names).toHaveLength(IDENTITIES);
    expect(new Set(names).size).toBe(IDENTITIES);
    expect(aws.peak('sts')).toBe(MAX_AT_ONCE);
    await bin.dispose();
  }, 120_000);
});
