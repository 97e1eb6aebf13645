import { readFileSync } from 'node:fs';
import tls from 'node:tls';

/** Where the certificates that a TLS-inspecting network needs are named, first one wins. */
export interface TrustSettings {
  readonly caBundle: string | undefined;
  readonly profileCaBundle: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

export interface CaBundle {
  readonly path: string;
  /** Which option, variable or setting named it: for the error text. */
  readonly from: string;
}

export function caBundleOf(settings: TrustSettings): CaBundle | undefined {
  const candidates: readonly (readonly [from: string, path: string | undefined])[] = [
    ['--ca-bundle', settings.caBundle],
    ['AWS_CA_BUNDLE', settings.env.AWS_CA_BUNDLE],
    ['SSL_CERT_FILE', settings.env.SSL_CERT_FILE],
    ['NODE_EXTRA_CA_CERTS', settings.env.NODE_EXTRA_CA_CERTS],
    ["the profile's ca_bundle", settings.profileCaBundle],
  ];
  for (const [from, path] of candidates) if (path) return { path, from };
  return undefined;
}

/** What is wrong with a bundle file, as a phrase, or undefined. */
export function bundleProblem(path: string): string | undefined {
  try {
    if (readFileSync(path, 'utf8').includes('-----BEGIN')) return undefined;
    return `must be a PEM file with certificates; ${path} holds none`;
  } catch (error) {
    return `must be a readable PEM file: ${error instanceof Error ? error.message : path}`;
  }
}

/**
 * The certificates to trust: Node's own and the bundle's. Added, not exchanged, so that a bundle with only the
 * company's certificate does not cut off the hosts that its network leaves alone. Undefined means Node's default.
 */
export function trustedCertificates(settings: TrustSettings): string[] | undefined {
  const bundle = caBundleOf(settings);
  // Node itself has read NODE_EXTRA_CA_CERTS at its start.
  if (!bundle || bundle.from === 'NODE_EXTRA_CA_CERTS') return undefined;
  const extra = settings.env.NODE_EXTRA_CA_CERTS;
  const files = extra && extra !== bundle.path ? [bundle.path, extra] : [bundle.path];
  return [...tls.rootCertificates, ...files.map((file) => readFileSync(file, 'utf8'))];
}
