import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';
import { readProfileFacts } from '../../auth/credentials/files.ts';
import { causeText } from '../../core/errors/errors.ts';
import { type Clock, systemClock } from '../../core/time/clock.ts';
import type { Settings } from '../../settings.ts';
import { plainCause } from '../../upstream/http/connect-cause.ts';
import { type CaBundle, caBundleOf, trustedCertificates } from '../../upstream/http/trust.ts';
import { durationText, type Finding, failed, ok, skipped, warning } from './finding.ts';

const CHECK = 'TLS';
/** Certificates are renewed weeks ahead: one that ends sooner has been forgotten. */
const SOON_MS = 14 * 86_400_000;

/** What the connection trusts: as the proxy itself puts it together. */
export interface TlsTrust {
  readonly ca: readonly string[] | undefined;
  /** The file that was named, and by whom; undefined for Node's own certificates alone. */
  readonly bundle: CaBundle | undefined;
}

/** @throws Error where the file that is named cannot be read. */
export async function trustOf({ caBundle, defaultProfile, env }: Settings): Promise<TlsTrust> {
  const { caBundle: profileCaBundle } = await readProfileFacts(defaultProfile || undefined, env);
  const named = { caBundle, profileCaBundle, env };
  return { ca: trustedCertificates(named), bundle: caBundleOf(named) };
}

export interface TlsCheck {
  readonly endpoint: URL;
  readonly socket: Socket;
  readonly trust: TlsTrust;
  readonly limitMs: number;
  readonly clock?: Clock;
}

/**
 * Shakes hands on a socket and looks at the certificate. Not even an untrusted one ends the
 * handshake here, because who signed it is what a person wants to know; nothing is sent on the
 * socket afterwards.
 */
export async function tlsFinding({
  endpoint,
  socket,
  trust,
  limitMs,
  clock = systemClock,
}: TlsCheck): Promise<Finding> {
  if (endpoint.protocol !== 'https:') return skipped(CHECK, 'the endpoint is on loopback, by http');
  const host = endpoint.hostname.replace(/^\[|\]$/g, '');
  const secured = tls.connect({
    socket,
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(trust.ca ? { ca: [...trust.ca] } : {}),
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: false,
  });
  const timer = clock.schedule(limitMs, () =>
    secured.destroy(new Error(`no handshake within ${limitMs / 1000} s`)),
  );
  try {
    const fault = await new Promise<Error | undefined>((resolve) => {
      secured.once('secureConnect', () => resolve(undefined));
      secured.once('error', resolve);
      secured.once('close', () => resolve(new Error('the server closed the connection')));
    });
    if (fault) {
      return failed(
        CHECK,
        `the handshake failed: ${plainCause(causeText(fault))}`,
        'Check that the port of the endpoint URL speaks TLS, and what stands in front of it.',
      );
    }
    return certificateFinding(secured, trust.bundle, clock.now());
  } finally {
    timer.cancel();
    secured.destroy();
  }
}

function certificateFinding(socket: tls.TLSSocket, bundle: CaBundle | undefined, now: number): Finding {
  const certificate = socket.getPeerCertificate();
  const issuer = nameOf(certificate.issuer);
  const ends = Date.parse(certificate.valid_to);
  const until = Number.isNaN(ends) ? certificate.valid_to : new Date(ends).toISOString();
  const trusting = bundle ? `Node's certificates and ${bundle.path} (${bundle.from})` : "Node's certificates";
  const facts = `${socket.getProtocol()}, ${nameOf(certificate.subject)} issued by ${issuer}, valid until ${until}`;
  if (!socket.authorized) {
    const code = String(socket.authorizationError);
    return failed(CHECK, `not trusted (${code}): ${facts}; trusting ${trusting}`, remedyFor(code, issuer));
  }
  if (ends - now < SOON_MS) {
    return warning(
      CHECK,
      `${facts}, which is in ${durationText(ends - now)}; trusting ${trusting}`,
      'Tell whoever runs the server that its certificate is about to expire.',
    );
  }
  return ok(CHECK, `${facts}; trusting ${trusting}`);
}

function remedyFor(code: string, issuer: string): string {
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return "Compare its dates with this machine's clock; if that is right, whoever runs the server must renew it.";
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'The certificate is for another name: check the host of the endpoint URL, and what answers in its place.';
  }
  return `If ${issuer} is your company's own authority, name its certificate file with --ca-bundle or AWS_CA_BUNDLE; if not, do not go on.`;
}

const nameOf = (name: Partial<tls.Certificate> | undefined): string =>
  String(name?.CN || name?.O || 'nobody');
