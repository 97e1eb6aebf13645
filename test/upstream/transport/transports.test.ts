import { describe, expect, it } from 'vitest';
import { signingTarget } from '../../../src/auth/signing.ts';
import { SigV4Authorizer } from '../../../src/auth/sigv4-authorizer.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import type { Lane, SignedTransport } from '../../../src/upstream/transport/signed-transport.ts';
import { createTransports, type TransportsOptions } from '../../../src/upstream/transport/transports.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { makeTlsAuthority } from '../../support/tls-authority.ts';
import { comesTrue, holdingServer, never } from '../http/connection-rig.ts';
import { SCOPE, ScriptedKeys } from './transport-rig.ts';

function roadsTo(endpoint: string, changes: Partial<TransportsOptions> = {}) {
  const asked: string[] = [];
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const url = new URL(endpoint);
  const roads = createTransports({
    endpoint: url,
    target: signingTarget(url),
    service: SCOPE.service,
    createAuthorizer: (profile) => {
      const provider = new ScriptedKeys();
      const credentials = Object.assign(provider, {
        current: () => {
          asked.push(`credentials of "${profile}"`);
          return ScriptedKeys.prototype.current.call(provider);
        },
      });
      return new SigV4Authorizer({ scope: SCOPE, credentials });
    },
    readProfileCaBundle: async (profile) => {
      asked.push(`CA bundle of "${profile}"`);
      return undefined;
    },
    caBundle: undefined,
    proxy: { url: undefined, env: {} },
    env: {},
    maxConnections: 1,
    maxLineBytes: 0,
    maxIdleConnections: 1,
    keepAliveTimeoutMs: 30_000,
    lifetimeMs: 0,
    connectTo: undefined,
    connectTimeoutMs: 5_000,
    headers: () => ({}),
    clock: new FakeClock({ now: Date.now() }),
    events,
    ...changes,
  });
  afterThisTest(() => roads.close());
  return { roads, asked, seen };
}

const post = async (transport: SignedTransport, lane: Lane, body: string) => {
  const opening = transport.open({
    method: 'POST',
    lane,
    headers: {},
    body: body,
    idempotent: true,
    signal: never,
    observer: { onAttempt: () => undefined },
  });
  opening.catch(() => undefined);
  return (await (await opening).response.readAll()).toString();
};

describe('the transports of the profiles', () => {
  it('a transport per profile opens, reads and resolves nothing before a message needs it', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end('ok'));
    const { roads, asked } = roadsTo(server.url);
    const [first, second] = [roads.transportOf('a'), roads.transportOf('')];
    expect([roads.transportOf('a') === first, first === second, first.profile, second.profile]).toEqual([
      true,
      false,
      'a',
      '',
    ]);
    // To look at a road is not to use it.
    expect(roads.profileTransport('a').transport).toBe(first);
    expect([asked, server.connections.opened]).toEqual([[], 0]);
    expect(await post(first, 'request', '1')).toBe('ok');
    expect(await post(second, 'request', '2')).toBe('ok');
    expect(asked).toEqual(['credentials of "a"', 'credentials of ""']);
    // Connections are not shared between profiles: AWS ties what comes over them to the identity.
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  it('a transport has one request connection here, two for control messages, and any number of streams', async () => {
    const { server } = await holdingServer();
    const { roads, seen } = roadsTo(server.origin);
    const transport = roads.transportOf('');
    const bodies: Promise<string>[] = [];
    const lanes: Lane[] = [
      'request',
      'request',
      'control',
      'control',
      'control',
      'stream',
      'stream',
      'stream',
    ];
    for (const lane of lanes) bodies.push(post(transport, lane, lane));
    await server.until((requests) => requests.length === 6);
    const count = (lane: Lane): number => server.requests.filter(({ text }) => text === lane).length;
    expect([count('request'), count('control'), count('stream')]).toEqual([1, 2, 3]);
    const opened = seen.flatMap((event) => (event.type === 'connection.opened' ? [event.lane] : []));
    expect(opened.sort()).toEqual(['control', 'control', 'request', 'stream', 'stream', 'stream']);
    roads.close();
    await Promise.allSettled(bodies);
    await comesTrue(() => server.connections.open === 0, 'all closed');
  });

  it('a transport reports a possible change of identity, and closes its credential provider', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end('ok'));
    const provider = new ScriptedKeys();
    const { roads } = roadsTo(server.url, {
      createAuthorizer: () => new SigV4Authorizer({ scope: SCOPE, credentials: provider }),
    });
    const { authorizer } = roads.profileTransport('a');
    expect(authorizer.identityMayChange).toBe(false);
    provider.identityMayChange = true;
    expect(authorizer.identityMayChange).toBe(true);
    roads.close();
    expect(provider.closed).toBe(true);
  });

  it('a closed transport stays closed', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end('ok'));
    const { roads } = roadsTo(server.url);
    const transport = roads.transportOf('');
    await post(transport, 'request', '1');
    roads.close();
    await comesTrue(() => server.connections.open === 0, 'closed');
    await expect(post(transport, 'request', '2')).rejects.toMatchObject({
      reason: 'shutting-down',
      sent: 'no',
    });
  });
});

describe('the certificates of a transport', () => {
  it("a transport uses the certificates of the profile's file only if nothing else names some", async () => {
    const authority = await makeTlsAuthority();
    const server = await ScriptedServer.start((_request, response) => void response.end('ok'), {
      tls: authority,
    });
    const ca = authority.caFile();
    const byProfile = roadsTo(server.url, {
      readProfileCaBundle: async (profile) => (profile === 'corp' ? ca : undefined),
    });
    expect(await post(byProfile.roads.transportOf('corp'), 'request', '{}')).toBe('ok');
    await expect(post(byProfile.roads.transportOf('other'), 'request', '{}')).rejects.toMatchObject({
      reason: 'connect-failed',
      message: expect.stringContaining('--ca-bundle or AWS_CA_BUNDLE'),
    });
    const byVariable = roadsTo(server.url, { env: { AWS_CA_BUNDLE: ca } });
    expect(await post(byVariable.roads.transportOf('corp'), 'request', '{}')).toBe('ok');
    expect(byVariable.asked).toEqual(['credentials of "corp"']);
  });

  it('a transport names unreadable certificates in the error, and reads them again with the next message', async () => {
    const authority = await makeTlsAuthority();
    const server = await ScriptedServer.start((_request, response) => void response.end('ok'), {
      tls: authority,
    });
    const { write, home } = await makeTempHome();
    const { roads } = roadsTo(server.url, { readProfileCaBundle: async () => `${home}/late.pem` });
    const transport = roads.transportOf('');
    await expect(post(transport, 'request', '{}')).rejects.toMatchObject({
      reason: 'connect-failed',
      sent: 'no',
      message: expect.stringMatching(
        /: the CA file of the profile's ca_bundle cannot be read: ENOENT.*late\.pem'.*\. Correct its path or its content, or unset it\.$/,
      ),
    });
    await write('late.pem', authority.ca);
    expect(await post(transport, 'request', '{}')).toBe('ok');
  });
});
