import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { afterThisTest } from './cleanup.ts';

export interface TlsAuthority {
  /** The authority's own certificate, PEM: what a client must trust. */
  readonly ca: string;
  /** For a server on localhost, 127.0.0.1, ::1 and the given names. */
  readonly key: string;
  readonly cert: string;
  /**
   * Writes the authority's certificate to a file that lives as long as the test, for
   * NODE_EXTRA_CA_CERTS and the like.
   */
  caFile(): string;
}

const DAY_MS = 86_400_000;

/**
 * A private certificate authority and a server certificate signed by it, in memory; the latter is
 * valid for so many days.
 */
export async function makeTlsAuthority(
  hostNames: readonly string[] = [],
  {
    days = 1,
    name = 'Private test authority',
    host = 'localhost',
  }: { readonly days?: number; readonly name?: string; readonly host?: string } = {},
): Promise<TlsAuthority> {
  const since = (ms: number) => new Date(Date.now() + ms);
  const kind = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;
  const authority = await generate([{ name: 'commonName', value: name }], {
    ...kind,
    notBeforeDate: since(-DAY_MS),
    notAfterDate: since(Math.max(1, days) * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const names = ['localhost', ...hostNames].map((value) => ({ type: 2 as const, value }));
  const addresses = ['127.0.0.1', '::1'].map((ip) => ({ type: 7 as const, ip }));
  const server = await generate([{ name: 'commonName', value: host }], {
    ...kind,
    notBeforeDate: since((Math.min(0, days) - 1) * DAY_MS),
    notAfterDate: since(days * DAY_MS),
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames: [...names, ...addresses] },
    ],
  });
  return {
    ca: authority.cert,
    key: server.private,
    cert: server.cert,
    caFile: () => {
      const directory = mkdtempSync(join(tmpdir(), 'mcp-ca-'));
      afterThisTest(() => rmSync(directory, { recursive: true, force: true }));
      const path = join(directory, 'ca.pem');
      writeFileSync(path, authority.cert);
      return path;
    },
  };
}
