import { isLoopback } from '../../../core/http/loopback.ts';
import { isObject } from '../../../core/jsonrpc/message.ts';

/** Sends a GET without following redirects. Rejects if the response is too long. */
export type GetText = (
  url: URL,
  signal: AbortSignal,
) => Promise<{ readonly status: number; readonly text: string }>;

/**
 * The URLs of an issuer's metadata, in the order of the MCP authorization specification: RFC 8414
 * first, then OpenID Connect Discovery. Pure.
 */
export function metadataUrls(issuer: string): URL[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const urls = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
  return [...new Set(urls)].map((url) => new URL(url));
}

export type MetadataRead = { readonly jwksUri: URL } | { readonly problem: string };

/** Only https, or http on loopback: others on the network could replace the keys. */
const isSafeUrl = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));

/**
 * Reads a metadata document. Its issuer must equal the requested one, character by character
 * (RFC 8414, 3.3): otherwise another issuer's keys would be used. Pure.
 */
export function readMetadata(text: string, issuer: string): MetadataRead {
  const document = parsed(text);
  if (!isObject(document)) return { problem: 'it is not a JSON object' };
  const { issuer: named, jwks_uri: uri } = document;
  if (named !== issuer) return { problem: `it names the issuer ${quoted(named)}, not ${quoted(issuer)}` };
  if (typeof uri !== 'string' || !URL.canParse(uri)) return { problem: 'it names no jwks_uri' };
  const jwksUri = new URL(uri);
  return isSafeUrl(jwksUri) ? { jwksUri } : { problem: `its jwks_uri ${quoted(uri)} is not an https URL` };
}

/**
 * Finds the URL of the keys of an issuer.
 * @throws Error that describes the problems of its metadata.
 */
export async function findKeysUrl(issuer: string, get: GetText, signal: AbortSignal): Promise<URL> {
  const problems: string[] = [];
  for (const url of metadataUrls(issuer)) {
    const { status, text } = await get(url, signal);
    const read = status === 200 ? readMetadata(text, issuer) : { problem: `it was answered with ${status}` };
    if ('jwksUri' in read) return read.jwksUri;
    problems.push(`${url.href}: ${read.problem}`);
  }
  throw new Error(`no usable metadata (${problems.join('; ')})`);
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const quoted = (value: unknown): string => JSON.stringify(String(value).slice(0, 200));
