import { connect, createServer, type Socket } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkTls, loadTrust, type TlsTrust } from '../../../src/commands/doctor/tls.ts';
import type { Clock } from '../../../src/core/time/clock.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { Connections, listenOnLoopback, shut } from '../../support/connections.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { makeTlsAuthority, type TlsAuthority } from '../../support/tls-authority.ts';
import { settingsFor } from './rig.ts';

let lasting: TlsAuthority;
let ending: TlsAuthority;
let expired: TlsAuthority;
beforeAll(async () => {
  lasting = await makeTlsAuthority([], { days: 90 });
  ending = await makeTlsAuthority();
  expired = await makeTlsAuthority([], { days: -3 });
});

const BUNDLE = { path: '/ca.pem', from: '--ca-bundle' };
const trusting = ({ ca }: TlsAuthority): TlsTrust => ({ ca: [ca], bundle: BUNDLE });
const NOTHING: TlsTrust = { ca: undefined, bundle: undefined };

const socketTo = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket)).once('error', reject);
    afterThisTest(() => void socket.destroy());
  });

async function look(authority: TlsAuthority, trust: TlsTrust, endpoint = 'https://127.0.0.1/mcp') {
  const server = await ScriptedServer.start((_request, response) => void response.end(), { tls: authority });
  const socket = await socketTo(server.port);
  const finding = await checkTls({ endpoint: new URL(endpoint), socket, trust, limitMs: 5_000 });
  expect(server.requests).toEqual([]);
  expect(socket.destroyed).toBe(true);
  return finding;
}

describe('checkTls, the certificate', () => {
  it('checkTls reports issuer, end of validity and trust source of a trusted certificate', async () => {
    expect(await look(lasting, trusting(lasting))).toEqual({
      check: 'TLS',
      verdict: 'ok',
      detail: expect.stringMatching(
        /^TLSv1\.3, localhost issued by Private test authority, valid until \d{4}-\d\d-\d\dT.*Z; trusting Node's certificates and \/ca\.pem \(--ca-bundle\)$/,
      ),
    });
  });

  it('checkTls warns about a certificate that expires within two weeks', async () => {
    expect(await look(ending, trusting(ending))).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining(', which is in 24 h;'),
      remedy: 'Tell the operator of the server that its certificate expires soon.',
    });
  });

  it('checkTls fails for an unknown authority, and the remedy names it', async () => {
    expect(await look(lasting, NOTHING)).toEqual({
      check: 'TLS',
      verdict: 'failed',
      detail: expect.stringMatching(
        /^not trusted \((SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+)\): TLSv1\.3, localhost issued by Private test authority.*; trusting Node's certificates$/,
      ),
      remedy:
        "If Private test authority is your company's certificate authority, pass its certificate file with --ca-bundle or AWS_CA_BUNDLE. Otherwise do not continue: somebody may intercept the connection.",
    });
  });

  it('checkTls fails for an expired certificate, and the remedy mentions the clock', async () => {
    expect(await look(expired, trusting(expired))).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(/^not trusted \(CERT_HAS_EXPIRED\)/),
      remedy:
        "Compare the certificate's dates with this machine's clock. If the clock is right, the server's operator must renew the certificate.",
    });
  });

  it('checkTls fails for a certificate of another host name', async () => {
    expect(await look(lasting, trusting(lasting), 'https://other.test/mcp')).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(/^not trusted \(ERR_TLS_CERT_ALTNAME_INVALID\)/),
      remedy:
        'The certificate is for another name. Check the host of the endpoint URL, and whether another server answers for it.',
    });
  });
});

describe('checkTls, the handshake', () => {
  const remedy =
    'Check that the port of the endpoint URL serves TLS, and which device in front of the server answers.';

  it('checkTls fails if the server does not use TLS', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    const socket = await socketTo(server.port);
    const endpoint = new URL('https://127.0.0.1/mcp');
    expect(await checkTls({ endpoint, socket, trust: NOTHING, limitMs: 5_000 })).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(/^the handshake failed: /),
      remedy,
    });
  });

  it('checkTls fails if the server sends nothing within the time limit', async () => {
    const server = createServer();
    const connections = new Connections(server);
    const port = await listenOnLoopback(server);
    afterThisTest(() => shut(server, connections));
    const clock: Clock & FakeClock = new FakeClock();
    const socket = await socketTo(port);
    const endpoint = new URL('https://127.0.0.1/mcp');
    const looking = checkTls({ endpoint, socket, trust: NOTHING, limitMs: 5_000, clock });
    await clock.advance(5_000);
    expect(await looking).toMatchObject({ detail: 'the handshake failed: no handshake within 5 s', remedy });
    expect(clock.timers).toBe(0);
  });

  it('checkTls is skipped for http on loopback', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    const socket = await socketTo(server.port);
    const endpoint = new URL(server.url);
    expect(await checkTls({ endpoint, socket, trust: NOTHING, limitMs: 1 })).toEqual({
      check: 'TLS',
      verdict: 'skipped',
      detail: 'the endpoint is on loopback and uses http',
    });
  });
});

it('loadTrust reads the CA file from options, variables and the profile, as the proxy does', async () => {
  const file = lasting.caFile();
  const url = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
  expect(await loadTrust(await settingsFor([url]))).toEqual(NOTHING);
  const named = await loadTrust(await settingsFor([url, '--ca-bundle', file]));
  expect(named.bundle).toEqual({ path: file, from: '--ca-bundle' });
  expect(named.ca).toContain(lasting.ca);
  const config = `[profile dev]\nca_bundle = ${file}\n`;
  const own = await loadTrust(await settingsFor([url, '--profile', 'dev'], { config }));
  expect(own.bundle).toEqual({ path: file, from: "the profile's ca_bundle" });
  const broken = await settingsFor([url], { config: '[default]\nca_bundle = /nowhere\n' });
  await expect(loadTrust(broken)).rejects.toThrow('ENOENT');
});
