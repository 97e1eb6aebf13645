import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterThisTest } from './cleanup.ts';

export type AwsService = 'sts' | 'sso' | 'oidc' | 'signin' | 'imds' | 'container';

export interface AwsRequest {
  readonly service: AwsService;
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** The form of an STS call: Action, RoleArn, RoleSessionName, ... */
  readonly form: URLSearchParams;
  /** The region and key of the credential scope, where the request is signed. */
  readonly region: string | undefined;
  readonly accessKeyId: string | undefined;
}

export interface AwsAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * The services that hand out credentials, on one loopback server. The credentials of each are
 * numbered: `STS-1`, `STS-2`, ...
 */
export interface AwsStandIns {
  readonly url: string;
  /**
   * The variables that lead the SDK here; IMDS and the container endpoint are left out, for a test
   * to add.
   */
  readonly env: NodeJS.ProcessEnv;
  readonly imdsEnv: NodeJS.ProcessEnv;
  readonly containerEnv: NodeJS.ProcessEnv;
  readonly requests: readonly AwsRequest[];
  of(service: AwsService): AwsRequest[];
  /** The most requests of the service that were unanswered at once. */
  peak(service: AwsService): number;
  /** Lifetime of what is issued from now on. */
  lifetimeMs: number;
  /** Answers the service with this instead, until undefined is set. */
  fail(service: AwsService, answer: AwsAnswer | undefined): void;
  /** Holds the service's answers back until the returned function is called. */
  hold(service: AwsService): () => void;
  /** Resolves when the service has had this many requests. */
  seen(service: AwsService, count: number): Promise<void>;
  close(): Promise<void>;
}

export async function startAwsStandIns({ now = () => Date.now() } = {}): Promise<AwsStandIns> {
  const requests: AwsRequest[] = [];
  const failures = new Map<AwsService, AwsAnswer>();
  const holds = new Map<AwsService, Promise<void>>();
  const watchers = new Set<() => void>();
  const open = new Map<AwsService, number>();
  const peaks = new Map<AwsService, number>();
  const count = (service: AwsService, change: 1 | -1): void => {
    const now = (open.get(service) ?? 0) + change;
    open.set(service, now);
    peaks.set(service, Math.max(peaks.get(service) ?? 0, now));
  };
  const issued = new Map<string, number>();

  const issue = (name: string) => {
    const number = (issued.get(name) ?? 0) + 1;
    issued.set(name, number);
    const expiration = new Date(Math.floor((now() + standIns.lifetimeMs) / 1000) * 1000);
    return {
      key: `${name}-${number}`,
      secret: `secret-${name}-${number}`,
      token: `token-${name}-${number}`,
      expiration,
    };
  };

  const answerTo = (request: AwsRequest): AwsAnswer => {
    switch (request.service) {
      case 'sts':
        return request.form.get('Action') === 'GetCallerIdentity'
          ? ok(identityAnswer(request.accessKeyId ?? ''))
          : ok(stsAnswer(request.form, issue('STS')));
      case 'sso': {
        const { key, secret, token, expiration } = issue('SSO');
        const roleCredentials = {
          accessKeyId: key,
          secretAccessKey: secret,
          sessionToken: token,
          expiration: expiration.getTime(),
        };
        return ok(JSON.stringify({ roleCredentials }));
      }
      case 'oidc': {
        const { token } = issue('OIDC');
        return ok(JSON.stringify({ accessToken: token, expiresIn: 3600, refreshToken: `refresh-${token}` }));
      }
      case 'signin': {
        const { key, secret, token } = issue('LOGIN');
        const accessToken = { accessKeyId: key, secretAccessKey: secret, sessionToken: token };
        return ok(
          JSON.stringify({
            accessToken,
            tokenType: 'urn:aws:params:oauth:token-type:access_token_sigv4',
            expiresIn: 900,
            refreshToken: `refresh-${token}`,
          }),
        );
      }
      case 'imds':
        if (request.method === 'PUT') return ok('imds-token');
        if (request.headers['x-aws-ec2-metadata-token'] !== 'imds-token') return { status: 401, body: '' };
        return ok(request.url.pathname.endsWith('/') ? 'the-role' : metadataAnswer(issue('IMDS')));
      case 'container':
        return ok(metadataAnswer(issue('CONTAINER')));
    }
  };

  const server = createServer((req, res) => void serve(req, res));
  const serve = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const request = await readRequest(req);
    requests.push(request);
    count(request.service, 1);
    res.once('close', () => count(request.service, -1));
    for (const look of watchers) look();
    await holds.get(request.service);
    const { status, body } = failures.get(request.service) ?? answerTo(request);
    const type = request.service === 'sts' ? 'text/xml' : 'application/json';
    res.writeHead(status, { 'content-type': type }).end(body);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const standIns: AwsStandIns = {
    url,
    env: {
      AWS_ENDPOINT_URL_STS: `${url}/sts`,
      AWS_ENDPOINT_URL_SSO: `${url}/sso`,
      AWS_ENDPOINT_URL_SSO_OIDC: `${url}/oidc`,
      AWS_ENDPOINT_URL_SIGNIN: `${url}/signin`,
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    imdsEnv: { AWS_EC2_METADATA_SERVICE_ENDPOINT: url, AWS_EC2_METADATA_DISABLED: 'false' },
    containerEnv: { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container` },
    requests,
    peak: (service) => peaks.get(service) ?? 0,
    of: (service) => requests.filter((request) => request.service === service),
    lifetimeMs: 3_600_000,
    fail(service, answer) {
      if (answer === undefined) failures.delete(service);
      else failures.set(service, answer);
    },
    hold(service) {
      let release = (): void => undefined;
      holds.set(service, new Promise((resolve) => (release = resolve)));
      return () => {
        holds.delete(service);
        release();
      };
    },
    seen: (service, count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (standIns.of(service).length < count) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  afterThisTest(() => standIns.close());
  return standIns;
}

const ok = (body: string): AwsAnswer => ({ status: 200, body });

async function readRequest(req: IncomingMessage): Promise<AwsRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  const url = new URL(req.url ?? '/', 'http://127.0.0.1');
  const scope = /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(req.headers.authorization ?? '');
  return {
    service: serviceOf(url.pathname),
    method: req.method ?? '',
    url,
    headers: req.headers,
    body,
    form: new URLSearchParams(body),
    accessKeyId: scope?.[1],
    region: scope?.[2],
  };
}

function serviceOf(path: string): AwsService {
  const first = path.split('/')[1];
  if (first === 'latest') return 'imds';
  const services: readonly AwsService[] = ['sts', 'sso', 'oidc', 'signin', 'container'];
  const service = services.find((name) => name === first);
  if (service === undefined) throw new Error(`no stand-in for ${path}`);
  return service;
}

interface Issued {
  readonly key: string;
  readonly secret: string;
  readonly token: string;
  readonly expiration: Date;
}

const metadataAnswer = ({ key, secret, token, expiration }: Issued): string =>
  JSON.stringify({
    Code: 'Success',
    AccessKeyId: key,
    SecretAccessKey: secret,
    Token: token,
    Expiration: expiration.toISOString().replace('.000Z', 'Z'),
  });

/** The name of the user states which key sent the request. */
const identityAnswer = (accessKeyId: string): string =>
  '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
  `<Arn>arn:aws:iam::123456789012:user/owner-of-${accessKeyId}</Arn><UserId>AIDA</UserId><Account>123456789012</Account>` +
  '</GetCallerIdentityResult></GetCallerIdentityResponse>';

function stsAnswer(form: URLSearchParams, { key, secret, token, expiration }: Issued): string {
  const action = form.get('Action') ?? 'AssumeRole';
  const arn = `arn:aws:sts::123456789012:assumed-role/the-role/${form.get('RoleSessionName')}`;
  return (
    `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>` +
    `<AssumedRoleUser><AssumedRoleId>AROA:${form.get('RoleSessionName')}</AssumedRoleId><Arn>${arn}</Arn></AssumedRoleUser>` +
    `<Credentials><AccessKeyId>${key}</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey>` +
    `<SessionToken>${token}</SessionToken><Expiration>${expiration.toISOString()}</Expiration></Credentials>` +
    `</${action}Result></${action}Response>`
  );
}
