import type { Authorizer } from '../../../src/auth/authorizer.ts';
import type { CredentialProvider } from '../../../src/auth/credentials/caching-provider.ts';
import type { Credentials } from '../../../src/auth/credentials/credentials.ts';
import { signingTarget } from '../../../src/auth/signing.ts';
import { OptionalSigV4Authorizer, SigV4Authorizer } from '../../../src/auth/sigv4-authorizer.ts';
import { unsigned } from '../../../src/auth/unsigned.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { SignedTransport, type TransportRequest } from '../../../src/upstream/transport/signed-transport.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import type { ScriptedServer, VerifyOptions } from '../../support/scripted-server.ts';
import { TEST_KEY } from '../../support/signing.ts';
import { poolTo } from '../http/connection-rig.ts';

export const SCOPE = { service: 'execute-api', region: 'eu-west-1' };

/** The `verify` option of a server whose clock is the given one. */
export const verifyWith = (now: () => number, keys: VerifyOptions['keys'] = { AKIDEXAMPLE: TEST_KEY }) => ({
  ...SCOPE,
  keys,
  now: () => new Date(now()),
});

/** Credentials that a test provides, with the requests for them. */
export class ScriptedKeys implements CredentialProvider {
  identityMayChange = false;
  readonly principal = undefined;
  closed = false;
  keys: Credentials = TEST_KEY;
  /** What `refresh` returns. */
  newer: Credentials | undefined;
  readonly renewals: Credentials[] = [];
  /** Thrown by `current`. */
  failure: Error | undefined;

  usable(): undefined {
    return undefined;
  }

  async current(): Promise<Credentials> {
    if (this.failure) throw this.failure;
    return this.keys;
  }

  async refresh(used: Credentials): Promise<Credentials | undefined> {
    this.renewals.push(used);
    if (this.newer) this.keys = this.newer;
    return this.newer;
  }

  close(): void {
    this.closed = true;
  }
}

function signing(credentials: ScriptedKeys, optional: boolean, events: Events): Authorizer {
  if (!optional) return new SigV4Authorizer({ scope: SCOPE, credentials });
  return new OptionalSigV4Authorizer({ scope: SCOPE, credentials }, () =>
    events.emit({ type: 'credentials.missing', profile: 'dev', message: 'sent unsigned' }),
  );
}

export function transportTo(
  server: Pick<ScriptedServer, 'url' | 'origin'>,
  {
    keys = new ScriptedKeys(),
    signed = true,
    optional = false,
    max = 1,
    routes = false,
    clock = new FakeClock({ now: Date.now() }),
  } = {},
) {
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const laneOf = (size: number, keep: number) =>
    poolTo(server as ScriptedServer, { max: size, maxIdle: keep }).pool;
  const lanes = {
    request: laneOf(max, max),
    control: laneOf(2, 1),
    stream: laneOf(Number.POSITIVE_INFINITY, 0),
  };
  const transport = new SignedTransport({
    profile: 'dev',
    host: new URL(server.url).host,
    target: signingTarget(new URL(server.url)),
    authorizer: signed ? signing(keys, optional, events) : unsigned,
    lanes,
    affinity: { url: server.url, routes },
    headers: () => ({ 'user-agent': 'test' }),
    maxLineBytes: 0,
    clock,
    events,
  });
  let attempts = 0;
  const open = (body: string, request: Partial<TransportRequest> = {}) =>
    transport.open({
      method: 'POST',
      lane: 'request',
      headers: { accept: 'application/json' },
      body: body,
      idempotent: false,
      // A signal of its own, because many listeners on one signal look like a leak.
      signal: new AbortController().signal,
      observer: {
        onAttempt: () => {
          attempts++;
        },
      },
      ...request,
    });
  /** Opens and reads to the end. */
  const post = async (body: string, request: Partial<TransportRequest> = {}) => {
    const opened = await open(body, request);
    return { ...opened, status: opened.response.status, text: (await opened.response.readAll()).toString() };
  };
  const dropped = () => seen.filter(({ type }) => type === 'upstream.message-dropped');
  return { transport, lanes, keys, clock, events, seen, dropped, open, post, attempts: () => attempts };
}
