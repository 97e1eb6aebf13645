import { flagOf, type OptionValues, text } from '../../config/option.ts';
import { readTlsFiles, type TlsPaths } from './tls-files.ts';

export const tlsOptions = {
  listenTlsCert: text({
    group: 'Listener',
    placeholder: 'path',
    fallback: undefined,
    help: 'PEM file with the certificate chain of --listen, which then serves https only; read again when it changes, without closing connections',
  }),
  listenTlsKey: text({
    group: 'Listener',
    placeholder: 'path',
    fallback: undefined,
    help: 'PEM file with the private key of --listen-tls-cert, without a passphrase; read again when it changes',
  }),
  listenClientCa: text({
    group: 'Listener',
    placeholder: 'path',
    fallback: undefined,
    help: 'PEM file of certificate authorities; clients of --listen must then present a certificate of such an authority (mutual TLS); read again when it changes',
  }),
} as const;

export type TlsValues = OptionValues<typeof tlsOptions>;

/** Undefined: plain HTTP. Pure. */
export function tlsPaths({
  listenTlsCert: cert,
  listenTlsKey: key,
  listenClientCa,
}: TlsValues): TlsPaths | undefined {
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa: listenClientCa };
}

/** Returns the problems of the TLS options, which are read together. Reads their files. */
export function tlsProblems(
  values: TlsValues,
  from: Readonly<Partial<Record<string, string>>>,
  now: number,
): string[] {
  const given = (key: keyof TlsValues): string | undefined =>
    values[key] === undefined ? undefined : (from[key] ?? flagOf(key));
  const cert = given('listenTlsCert');
  const key = given('listenTlsKey');
  const ca = given('listenClientCa');
  if (cert && !key) return [`${cert} needs ${flagOf('listenTlsKey')}, the private key of the certificate`];
  if (key && !cert) return [`${key} needs ${flagOf('listenTlsCert')}, the certificate of the key`];
  if (ca && !cert) return [`${ca} needs ${flagOf('listenTlsCert')}: client certificates exist in TLS only`];
  const paths = tlsPaths(values);
  const read = paths && readTlsFiles(paths, now);
  return read && 'problem' in read ? [read.problem] : [];
}
