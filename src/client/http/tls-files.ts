import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { causeText } from '../../core/errors/errors.ts';
import { fileProblem } from '../../core/system/file-facts.ts';
import type { FilesRead } from './watched-files.ts';

/** The files of the listener's TLS. */
export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
  /** Undefined: clients need no certificate. */
  readonly clientCa: string | undefined;
}

/** The content of the files, as PEM text. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
}

/** Room for a bundle of all public authorities. */
const MAX_FILE_BYTES = 1024 * 1024;

const FLAGS: Readonly<Record<keyof TlsPaths, string>> = {
  cert: '--listen-tls-cert',
  key: '--listen-tls-key',
  clientCa: '--listen-client-ca',
};

/** All paths that are given. */
export const tlsPathsOf = ({ cert, key, clientCa }: TlsPaths): string[] =>
  clientCa === undefined ? [cert, key] : [cert, key, clientCa];

/**
 * Reads and checks the files together: a certificate of another key would fail every handshake.
 * @param now - wall clock, for the validity of the certificate.
 */
export function readTlsFiles(paths: TlsPaths, now: number): FilesRead<TlsMaterial> {
  try {
    const cert = readPem(paths, 'cert');
    const key = readPem(paths, 'key');
    const ca = paths.clientCa === undefined ? undefined : readPem(paths, 'clientCa');
    const problem = certificateProblem(cert, now) ?? authorityProblem(ca) ?? pairProblem(cert, key);
    return problem ? { problem } : { value: { cert, key, ca } };
  } catch (error) {
    return { problem: causeText(error) };
  }
}

function readPem(paths: TlsPaths, which: keyof TlsPaths): string {
  const path = paths[which] ?? '';
  let problem: string | undefined;
  try {
    problem = fileProblem(statSync(path, { bigint: true }), MAX_FILE_BYTES);
    if (problem === undefined) return readFileSync(path, 'utf8');
  } catch (error) {
    problem = causeText(error);
  }
  throw new Error(`the file of ${FLAGS[which]} cannot be used: ${problem}`);
}

function certificateProblem(pem: string, now: number): string | undefined {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return `${FLAGS.cert} must be a PEM file with the certificate of the listener, followed by its chain`;
  }
  return Date.parse(certificate.validTo) <= now
    ? `the certificate of ${FLAGS.cert} expired on ${certificate.validTo}: clients would refuse it`
    : undefined;
}

function authorityProblem(pem: string | undefined): string | undefined {
  if (pem === undefined) return undefined;
  try {
    new X509Certificate(pem);
    return undefined;
  } catch {
    return `${FLAGS.clientCa} must be a PEM file with the certificates of the authorities that sign client certificates`;
  }
}

/** The text of OpenSSL names no part of the key. */
function pairProblem(cert: string, key: string): string | undefined {
  try {
    createSecureContext({ cert, key });
    return undefined;
  } catch (error) {
    return /key values mismatch/.test(causeText(error))
      ? `${FLAGS.key} is not the key of the certificate of ${FLAGS.cert}`
      : `${FLAGS.key} must be a PEM file with the private key of ${FLAGS.cert}, without a passphrase`;
  }
}
