import tls from 'node:tls';
import { describe, expect, it } from 'vitest';
import {
  bundleProblem,
  caBundleOf,
  type TrustSettings,
  trustedCertificates,
} from '../../../src/upstream/http/trust.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { makeTlsAuthority } from '../../support/tls-authority.ts';

const settings = (changes: Partial<TrustSettings>): TrustSettings => ({
  caBundle: undefined,
  profileCaBundle: undefined,
  env: {},
  ...changes,
});

describe('the CA bundle', () => {
  const everything = {
    caBundle: '/flag',
    env: { AWS_CA_BUNDLE: '/aws', SSL_CERT_FILE: '/ssl', NODE_EXTRA_CA_CERTS: '/node' },
    profileCaBundle: '/profile',
  };
  it.each<[changes: Partial<TrustSettings>, from: string, path: string]>([
    [everything, '--ca-bundle', '/flag'],
    [{ ...everything, caBundle: undefined }, 'AWS_CA_BUNDLE', '/aws'],
    [
      { env: { AWS_CA_BUNDLE: '', SSL_CERT_FILE: '/ssl', NODE_EXTRA_CA_CERTS: '/node' } },
      'SSL_CERT_FILE',
      '/ssl',
    ],
    [{ env: { NODE_EXTRA_CA_CERTS: '/node' }, profileCaBundle: '/profile' }, 'NODE_EXTRA_CA_CERTS', '/node'],
    [{ profileCaBundle: '/profile' }, "the profile's ca_bundle", '/profile'],
  ])('the CA bundle of %o is named by %s', (changes, from, path) => {
    expect(caBundleOf(settings(changes))).toEqual({ from, path });
  });

  it('the CA bundle is undefined if no setting names it', () => {
    expect(caBundleOf(settings({}))).toBeUndefined();
    expect(trustedCertificates(settings({}))).toBeUndefined();
  });
});

describe('trusted certificates', () => {
  it("trusted certificates are Node's, those of the bundle and of NODE_EXTRA_CA_CERTS", async () => {
    const { write } = await makeTempHome();
    const [company, extra] = [await write('company.pem', 'COMPANY'), await write('extra.pem', 'EXTRA')];
    const trusted = trustedCertificates(settings({ caBundle: company, env: { NODE_EXTRA_CA_CERTS: extra } }));
    expect(trusted?.slice(-2)).toEqual(['COMPANY', 'EXTRA']);
    expect(trusted?.length).toBeGreaterThanOrEqual(tls.rootCertificates.length + 2);
  });

  it('trusted certificates include a NODE_EXTRA_CA_CERTS that Node did not read at its start', async () => {
    const { write } = await makeTempHome();
    const extra = await write('extra.pem', 'EXTRA');
    expect(trustedCertificates(settings({ env: { NODE_EXTRA_CA_CERTS: extra } }))?.at(-1)).toBe('EXTRA');
  });

  it("trusted certificates are Node's if the file of NODE_EXTRA_CA_CERTS is missing, as in Node", () => {
    expect(trustedCertificates(settings({ env: { NODE_EXTRA_CA_CERTS: '/no/such.pem' } }))).toBeUndefined();
  });

  it('trusted certificates are an error if the bundle is missing', () => {
    expect(() => trustedCertificates(settings({ caBundle: '/no/such.pem' }))).toThrow(
      /ENOENT.*\/no\/such\.pem/,
    );
  });
});

it('a CA bundle must be a readable file with certificates', async () => {
  const { write } = await makeTempHome();
  const { ca, cert } = await makeTlsAuthority();
  for (const text of [ca, `# the company's\n\n${ca}${cert}`, ca.replaceAll('\n', '\r\n')]) {
    expect(bundleProblem(await write('good.pem', text))).toBeUndefined();
  }
  for (const text of ['', 'hello']) {
    const path = await write('bad.pem', text);
    expect(bundleProblem(path)).toBe(`must be a PEM file with certificates; ${path} holds none`);
  }
  expect(bundleProblem('/no/such.pem')).toMatch(/^must be a readable PEM file: ENOENT/);
});
