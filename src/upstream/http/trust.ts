import { readFileSync } from 'node:fs';
import tls from 'node:tls';

/** The places that name a CA bundle; the first one wins. */
export interface TrustSettings {
  readonly caBundle: string | undefined;
  readonly profileCaBundle: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

export interface CaBundle {
  readonly path: string;
  /** The option, variable or setting that named it, for errors. */
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

/** Returns the problem of a bundle file, as a phrase, or undefined. */
export function bundleProblem(path: string): string | undefined {
  try {
    if (readFileSync(path, 'utf8').includes('-----BEGIN')) return undefined;
    return `must be a PEM file with certificates; ${path} holds none`;
  } catch (error) {
    return `must be a readable PEM file: ${error instanceof Error ? error.message : path}`;
  }
}

/**
 * The certificates to trust: Node's own and the bundle's. Added, not exchanged, so that a bundle
 * with only the company's certificate does not cut off the hosts that its network leaves alone.
 * Undefined means Node's default.
 * @throws Error where the bundle cannot be read; what NODE_EXTRA_CA_CERTS names may be missing, as
 * for Node itself.
 */
export function trustedCertificates(settings: TrustSettings): string[] | undefined {
  const bundle = caBundleOf(settings);
  if (!bundle) return undefined;
  const extra = settings.env.NODE_EXTRA_CA_CERTS;
  const named = bundle.from === 'NODE_EXTRA_CA_CERTS' ? [] : [readFileSync(bundle.path, 'utf8')];
  // Node reads this file at its start, but not one that --env-file names.
  const added = extra ? readable(extra) : [];
  if (named.length + added.length === 0) return undefined;
  return [...defaultCertificates(), ...named, ...added];
}

function readable(path: string): string[] {
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}

/** Includes the system's certificates where Node is configured so; Node 20 knows only its own. */
function defaultCertificates(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (kind: 'default') => string[] };
  return getCACertificates?.('default') ?? tls.rootCertificates;
}
