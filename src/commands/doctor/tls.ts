import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';
import { readProfileFacts } from '../../auth/credentials/shared-files.ts';
import { causeText } from '../../core/errors/errors.ts';
import { type Clock, systemClock } from '../../core/time/clock.ts';
import type { Settings } from '../../settings.ts';
import { plainCause } from '../../upstream/http/connect-cause.ts';
import { type CaBundle, caBundleOf, trustedCertificates } from '../../upstream/http/trust.ts';
import { durationText, type Finding, failed, ok, skipped, warning } from './finding.ts';

const CHECK = 'TLS';
/** Operators renew certificates weeks ahead, so a shorter time is worth a warning. */
const MIN_VALIDITY_MS = 14 * 86_400_000;

/** The certificates that the proxy's connections trust. */
export interface TlsTrust {
  readonly ca: readonly string[] | undefined;
  /** The configured file and its setting; undefined if only Node's certificates are used. */
  readonly bundle: CaBundle | undefined;
}

/** @throws Error if the configured file cannot be read. */
export async function loadTrust({ caBundle, defaultProfile, env }: Settings): Promise<TlsTrust> {
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
 * Makes a TLS handshake and checks the certificate. It accepts untrusted ones, to report their
 * issuer, and sends nothing afterwards.
 */
export async function checkTls({
  endpoint,
  socket,
  trust,
  limitMs,
  clock = systemClock,
}: TlsCheck): Promise<Finding> {
  if (endpoint.protocol !== 'https:') return skipped(CHECK, 'the endpoint is on loopback and uses http');
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
        'Check that the port of the endpoint URL serves TLS, and which device in front of the server answers.',
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
  const issuer = subjectName(certificate.issuer);
  const ends = Date.parse(certificate.valid_to);
  const until = Number.isNaN(ends) ? certificate.valid_to : new Date(ends).toISOString();
  const trusting = bundle ? `Node's certificates and ${bundle.path} (${bundle.from})` : "Node's certificates";
  const facts = `${socket.getProtocol()}, ${subjectName(certificate.subject)} issued by ${issuer}, valid until ${until}`;
  if (!socket.authorized) {
    const code = String(socket.authorizationError);
    return failed(CHECK, `not trusted (${code}): ${facts}; trusting ${trusting}`, remedyFor(code, issuer));
  }
  if (ends - now < MIN_VALIDITY_MS) {
    return warning(
      CHECK,
      `${facts}, which is in ${durationText(ends - now)}; trusting ${trusting}`,
      'Tell the operator of the server that its certificate expires soon.',
    );
  }
  return ok(CHECK, `${facts}; trusting ${trusting}`);
}

function remedyFor(code: string, issuer: string): string {
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return "Compare the certificate's dates with this machine's clock. If the clock is right, the server's operator must renew the certificate.";
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'The certificate is for another name. Check the host of the endpoint URL, and whether another server answers for it.';
  }
  return `If ${issuer} is your company's certificate authority, pass its certificate file with --ca-bundle or AWS_CA_BUNDLE. Otherwise do not continue: somebody may intercept the connection.`;
}

const subjectName = (name: Partial<tls.Certificate> | undefined): string =>
  String(name?.CN || name?.O || '(no name)');
