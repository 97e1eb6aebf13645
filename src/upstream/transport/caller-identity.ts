import type { Credentials } from '../../auth/credentials/credentials.ts';
import { signer } from '../../auth/signer.ts';
import { type SigningScope, signingTarget } from '../../auth/signing.ts';
import { causeText } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { type AwsRefusal, judgeRefusal } from '../../endpoint/aws-errors.ts';
import { hostOfService } from '../../endpoint/endpoint.ts';
import { createSdkHttpHandler } from '../http/sdk-http.ts';
import type { Connector } from '../http/undici.ts';

/** STS answers in well under a second, unless the network blocks it. */
const STS_LIMIT_MS = 5_000;
/** Where no region is known: that of the global endpoint of STS. */
const DEFAULT_REGION = 'us-east-1';
const BODY = 'Action=GetCallerIdentity&Version=2011-06-15';
const CONTENT_TYPE = 'application/x-www-form-urlencoded';

export interface CallerIdentityRequest {
  readonly credentials: Credentials;
  /** Undefined: the default of the AWS SDKs. */
  readonly region: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Opens sockets the way that requests go: HTTP proxy and certificates included. */
  readonly connect: Connector;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** The result of GetCallerIdentity. */
export type CallerIdentity =
  | { readonly kind: 'known'; readonly arn: string; readonly account: string }
  | { readonly kind: 'no-endpoint' }
  | { readonly kind: 'unreachable'; readonly host: string; readonly why: string }
  | {
      readonly kind: 'refused';
      readonly host: string;
      readonly scope: SigningScope;
      readonly status: number;
      readonly refusal: AwsRefusal;
      /** How far the clock of STS is ahead of this machine's. */
      readonly skewMs: number | undefined;
    };

/** The address of STS as AWS SDKs read it, an endpoint of one's own first. */
export function stsEndpoint(region: string, env: NodeJS.ProcessEnv): URL | undefined {
  const ignored = env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS?.toLowerCase() === 'true';
  const own = ignored ? undefined : env.AWS_ENDPOINT_URL_STS || env.AWS_ENDPOINT_URL;
  const url = own || `https://${hostOfService('sts', region)}/`;
  return URL.canParse(url) ? new URL(url) : undefined;
}

/**
 * Asks STS whose keys these are (GetCallerIdentity, which needs no permission). Throws only where
 * `signal` aborts.
 */
export async function callerIdentity(request: CallerIdentityRequest): Promise<CallerIdentity> {
  const { credentials, region = DEFAULT_REGION, env, connect, signal, clock } = request;
  const url = stsEndpoint(region, env);
  if (!url) return { kind: 'no-endpoint' };
  const { host } = url;
  const scope: SigningScope = { service: 'sts', region };
  const target = signingTarget(url);
  const body = Buffer.from(BODY);
  const limit = new AbortController();
  const timer = clock.schedule(STS_LIMIT_MS, () => limit.abort());
  const leave = (): void => limit.abort();
  signal.addEventListener('abort', leave, { once: true });
  try {
    const now = new Date(clock.now());
    const headers = await signer(
      { method: 'POST', target, contentType: CONTENT_TYPE, body },
      credentials,
      scope,
      now,
    );
    const { response } = await createSdkHttpHandler(connect, clock).handle(
      {
        protocol: url.protocol,
        hostname: url.hostname,
        ...(url.port ? { port: Number(url.port) } : {}),
        method: 'POST',
        path: target.path,
        headers,
        body,
      },
      { abortSignal: limit.signal },
    );
    const chunks: Buffer[] = [];
    for await (const chunk of response.body) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString('utf8');
    const arn = /<Arn>\s*([^<\s]+)/.exec(text)?.[1];
    const status = response.statusCode;
    if (status === 200 && arn !== undefined) {
      return {
        kind: 'known',
        arn,
        account: /<Account>\s*(\d{12})/.exec(text)?.[1] ?? arn.split(':')[4] ?? '',
      };
    }
    const refusal = judgeRefusal({
      status,
      errorType: response.headers['x-amzn-errortype'] ?? '',
      contentType: response.headers['content-type'] ?? '',
      body: text,
    });
    const date = Date.parse(response.headers.date ?? '');
    const skewMs = Number.isNaN(date) ? undefined : date - clock.now();
    return { kind: 'refused', host, scope, status, refusal, skewMs };
  } catch (error) {
    signal.throwIfAborted();
    const why = limit.signal.aborted ? `no answer within ${STS_LIMIT_MS / 1000} s` : causeText(error);
    return { kind: 'unreachable', host, why };
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', leave);
  }
}
