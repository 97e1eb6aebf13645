import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { MCP_HEADERS } from '../support/http-client.ts';
import { startListening } from '../support/listening.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { makeTlsAuthority, type TlsAuthority } from '../support/tls-authority.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-tls-'));
  afterThisTest(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

interface Files {
  readonly cert: string;
  readonly key: string;
}

/** Replaces both files as certificate managers do: by a rename. */
function writePair(path: string, { cert, key }: Pick<TlsAuthority, 'cert' | 'key'>): Files {
  const files = { cert: join(path, 'cert.pem'), key: join(path, 'key.pem') };
  for (const [name, text] of [
    ['key', key],
    ['cert', cert],
  ] as const) {
    writeFileSync(`${files[name]}.new`, text);
    renameSync(`${files[name]}.new`, files[name]);
  }
  return files;
}

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: '',
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '0' } },
});

/** One POST; resolves with the status and the body, and the name in the certificate. */
function post(url: string, options: https.RequestOptions = {}): Promise<[number, string, string]> {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method: 'POST', headers: MCP_HEADERS, agent: false, ...options });
    request.on('response', (response) => {
      const { issuer } = (response.socket as TLSSocket).getPeerCertificate();
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve([response.statusCode ?? 0, text, String(issuer.CN)]));
    });
    request.on('error', reject).end(INITIALIZE);
  });
}

describe('the listener with TLS', () => {
  it('--listen-tls-cert serves https, and a renewed certificate counts for new connections while open ones go on', async () => {
    const first = await makeTlsAuthority([], { name: 'first' });
    const path = folder();
    const { cert, key } = writePair(path, first);
    const { bin, url } = await startListening({ args: ['--listen-tls-cert', cert, '--listen-tls-key', key] });
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/mcp$/);
    const [status, text, issuer] = await post(url, { ca: first.ca });
    expect([status, JSON.parse(text).id, issuer]).toEqual([200, '', 'first']);
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: first.ca });
    afterThisTest(() => agent.destroy());
    await post(url, { agent });
    const second = await makeTlsAuthority([], { name: 'second' });
    writePair(path, second);
    await expect
      .poll(
        () =>
          post(url, { ca: second.ca }).then(
            ([, , name]) => name,
            () => '',
          ),
        { timeout: 10_000 },
      )
      .toBe('second');
    expect((await post(url, { agent }))[2]).toBe('first');
    writeFileSync(cert, 'no certificate');
    await bin.stderrMatching(/stays in use.*"listener\.tls-unusable"/);
    expect((await post(url, { ca: second.ca }))[0]).toBe(200);
  });

  it('--listen-client-ca admits only clients with a certificate of that authority', async () => {
    const own = await makeTlsAuthority();
    const clients = await makeTlsAuthority([], { name: 'clients' });
    const { cert, key } = writePair(folder(), own);
    const args = ['--listen-tls-cert', cert, '--listen-tls-key', key, '--listen-client-ca', clients.caFile()];
    const { bin, url, server } = await startListening({ args });
    await expect(post(url, { ca: own.ca })).rejects.toThrow();
    await expect(post(url, { ca: own.ca, cert: own.cert, key: own.key })).rejects.toThrow();
    await bin.stderrMatching(/"address":"127\.0\.0\.1","message":".*"client\.handshake-failed"/);
    expect(server.requests).toEqual([]);
    const [status] = await post(url, { ca: own.ca, cert: clients.cert, key: clients.key });
    expect(status).toBe(200);
  });

  it('a plain request to the https port gets no answer, and later ones are served', async () => {
    const own = await makeTlsAuthority();
    const { cert, key } = writePair(folder(), own);
    const { url } = await startListening({ args: ['--listen-tls-cert', cert, '--listen-tls-key', key] });
    const plain = new Promise((_resolve, reject) => {
      http.get(url.replace('https', 'http')).on('error', reject);
    });
    await expect(plain).rejects.toThrow();
    expect((await post(url, { ca: own.ca }))[0]).toBe(200);
  });
});

describe('the TLS options', () => {
  const refused = async (args: readonly string[]): Promise<string> => {
    const bin = BinDriver.start({
      args: ['http://127.0.0.1:9/mcp', ...signingArgs, '--listen', '127.0.0.1:0', ...args],
      env: signingEnv,
    });
    expect(await bin.exited).toMatchObject({ code: 2 });
    return bin.stderr;
  };

  it('an expired certificate, a key of another certificate and half a pair end the start with the reason', async () => {
    const expired = writePair(folder(), await makeTlsAuthority([], { days: -1 }));
    expect(await refused(['--listen-tls-cert', expired.cert, '--listen-tls-key', expired.key])).toMatch(
      /--listen-tls-cert expired on/,
    );
    const one = writePair(folder(), await makeTlsAuthority());
    const other = writePair(folder(), await makeTlsAuthority());
    expect(await refused(['--listen-tls-cert', one.cert, '--listen-tls-key', other.key])).toMatch(
      /--listen-tls-key/,
    );
    expect(await refused(['--listen-tls-cert', one.cert])).toMatch(/needs --listen-tls-key/);
    expect(await refused(['--listen-client-ca', one.cert])).toMatch(/needs --listen-tls-cert/);
  });
});

describe('the listener on a unix socket', () => {
  it('--listen unix: serves the owner only, replaces a socket left behind, and refuses one in use', async () => {
    const path = join(folder(), 'proxy.sock');
    const { bin, server } = await startListening({ listen: `unix:${path}` });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const ask = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const request = http.request({
          socketPath: path,
          path: '/mcp',
          method: 'POST',
          headers: MCP_HEADERS,
        });
        request.on('response', (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        });
        request.on('error', reject).end(INITIALIZE);
      });
    expect(await ask()).toBe(200);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    const second = BinDriver.start({
      args: [server.url, ...signingArgs, '--listen', `unix:${path}`],
      env: signingEnv,
    });
    await second.exited;
    expect(second.stderr).toMatch(/cannot listen on .*proxy\.sock/);
    expect(await ask()).toBe(200);
    bin.kill('SIGKILL');
    await bin.exited;
    const third = await startListening({ listen: `unix:${path}` });
    expect(await ask()).toBe(200);
    expect(third.server.requests).toHaveLength(1);
  });
});
