/** OpenSSL's errors where the other side does not speak TLS. */
const NOT_TLS =
  /wrong version number|packet length too long|http request|unknown protocol|record type|record length/i;

/** OpenSSL's own form: `<thread>:error:<code>:SSL routines:<function>:<reason>:<file>:<line>:`. */
const OPENSSL = /(?:[\dA-F]+:)?error:[\dA-F]+:SSL routines:[^:]*:([^:]*):\S*\s*/gi;

const NOT_HTTP = /Parse Error:[^:]*|Expected HTTP\/[^:]*/g;

/**
 * The cause of a failed connection in words for a person, in place of those of OpenSSL and of the
 * HTTP parser. Pure.
 */
export const plainCause = (cause: string): string =>
  cause
    .replace(OPENSSL, (_whole, reason: string) =>
      NOT_TLS.test(reason)
        ? 'the other side does not speak TLS'
        : `the TLS handshake failed (${reason.trim()})`,
    )
    .replace(NOT_HTTP, 'the other side does not speak HTTP');

/** The first match says where a person should look. */
const ADVICE: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [/HTTP proxy/i, ' Check --proxy, or HTTPS_PROXY and NO_PROXY.'],
  [/the CA file of/, ' Correct its path or its content, or unset it.'],
  [
    /does not speak TLS/,
    ' It may be a port for plain HTTP: check the scheme and the port of the endpoint URL.',
  ],
  [/TLS handshake failed/, ' The server may want a client certificate or another version of TLS.'],
  [/ENOTFOUND|EAI_AGAIN/, ' The name does not resolve: check the endpoint URL, DNS and the network.'],
  [
    /certificate|self.signed|issuer|CERT_|ERR_TLS/i,
    " The server's certificate is not trusted: behind a TLS-inspecting network, name its CA file with --ca-bundle or AWS_CA_BUNDLE.",
  ],
  [/ECONNREFUSED/, ' Nothing listens there: check the host and port of the endpoint URL.'],
  [/timeout/i, ' Check the network, --proxy, and --connect-timeout.'],
];

/** The remedy for a connection that could not be opened, with a blank before it. */
export const connectAdvice = (cause: string): string =>
  ADVICE.find(([pattern]) => pattern.test(cause))?.[1] ?? ' Check the network and the endpoint URL.';
