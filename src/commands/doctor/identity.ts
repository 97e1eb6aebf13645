import { hostOfService } from '../../aws/endpoint.ts';
import { explainRefusal, judgeRefusal, type RefusalKind } from '../../aws/refusal.ts';
import { type SigningKeys, type SigningScope, signingTarget, signRequest } from '../../aws/sigv4.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { causeText } from '../../core/errors.ts';
import { createSdkHttpHandler } from '../../upstream/http/sdk-http.ts';
import type { Road } from '../../upstream/uplink/roads.ts';
import { profileText } from './credentials.ts';
import { type Finding, failed, ok, skipped } from './finding.ts';

const CHECK = 'identity';
/** STS answers in well under a second, or a network does not let it be reached at all. */
const STS_LIMIT_MS = 5_000;
const BODY = 'Action=GetCallerIdentity&Version=2011-06-15';
const CONTENT_TYPE = 'application/x-www-form-urlencoded';

/** These speak of the keys. Anything else says that STS is not to be asked from here, which calls do not need. */
const ABOUT_KEYS: ReadonlySet<RefusalKind> = new Set(['expired', 'invalid-token', 'clock', 'signature']);

export interface IdentityCheck {
  readonly profile: string;
  readonly keys: SigningKeys;
  readonly region: string;
  readonly env: NodeJS.ProcessEnv;
  readonly road: Road;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** Where STS is asked: as AWS SDKs read it, an endpoint of one's own first. */
export function stsEndpoint(region: string, env: NodeJS.ProcessEnv): URL | undefined {
  const ignored = env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS?.toLowerCase() === 'true';
  const own = ignored ? undefined : env.AWS_ENDPOINT_URL_STS || env.AWS_ENDPOINT_URL;
  const url = own || `https://${hostOfService('sts', region)}/`;
  return URL.canParse(url) ? new URL(url) : undefined;
}

/** Asks STS whose keys these are, over the same HTTP proxy and certificates as everything else. */
export async function identityFinding(check: IdentityCheck): Promise<Finding> {
  const { profile, keys, region, env, road, signal, clock = systemClock } = check;
  const url = stsEndpoint(region, env);
  if (!url) return skipped(CHECK, 'AWS_ENDPOINT_URL_STS is no URL');
  const scope: SigningScope = { service: 'sts', region };
  const target = signingTarget(url);
  const body = Buffer.from(BODY);
  const limit = new AbortController();
  const timer = clock.schedule(STS_LIMIT_MS, () => limit.abort());
  const leave = (): void => limit.abort();
  signal.addEventListener('abort', leave, { once: true });
  try {
    const headers = await signRequest(
      { method: 'POST', target, contentType: CONTENT_TYPE, body },
      keys,
      scope,
      new Date(clock.now()),
    );
    const { response } = await createSdkHttpHandler(road.connect, clock).handle(
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
    return judged(response.statusCode, response.headers, Buffer.concat(chunks).toString('utf8'), {
      host: url.host,
      profile,
      scope,
      now: clock.now(),
    });
  } catch (error) {
    signal.throwIfAborted();
    const why = limit.signal.aborted ? `no answer within ${STS_LIMIT_MS / 1000} s` : causeText(error);
    return skipped(CHECK, `STS at ${url.host} cannot be reached: ${why}`);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', leave);
  }
}

interface Asked {
  readonly host: string;
  readonly profile: string;
  readonly scope: SigningScope;
  readonly now: number;
}

function judged(
  status: number,
  headers: Readonly<{ [name: string]: string }>,
  body: string,
  { host, profile, scope, now }: Asked,
): Finding {
  const arn = /<Arn>\s*([^<\s]+)/.exec(body)?.[1];
  if (status === 200 && arn !== undefined) return ok(CHECK, arn);
  const refusal = judgeRefusal({
    status,
    errorType: headers['x-amzn-errortype'] ?? '',
    contentType: headers['content-type'] ?? '',
    body,
  });
  if (!ABOUT_KEYS.has(refusal.kind)) {
    return skipped(CHECK, `STS at ${host} does not tell (HTTP ${status}: ${refusal.said})`);
  }
  const date = Date.parse(headers.date ?? '');
  const remedy = explainRefusal(refusal, {
    status,
    host,
    profile,
    scope,
    signed: true,
    ...(Number.isNaN(date) ? {} : { skewMs: date - now }),
  });
  return failed(CHECK, `STS refused the keys of ${profileText(profile)}: ${refusal.kind}`, remedy);
}
