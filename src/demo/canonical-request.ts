/**
 * The canonical request of AWS Signature Version 4, from the public algorithm ("Create a signed AWS
 * API request", IAM User Guide). It reads the bytes of the wire, never a parsed URL: a parser would
 * repair the signer's mistakes.
 */

/** Header values by lower-case name, in the order they came. */
export type HeaderValues = ReadonlyMap<string, readonly string[]>;

/** Groups the flat name, value, name, value list that node gives as `rawHeaders`. */
export function groupHeaders(rawHeaders: readonly string[]): HeaderValues {
  const grouped = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    const values = grouped.get(name) ?? [];
    values.push(rawHeaders[at + 1] ?? '');
    grouped.set(name, values);
  }
  return grouped;
}

/**
 * A header as it is signed: every value trimmed, runs of blanks folded into one, values of one name
 * joined by commas.
 */
export function canonicalHeaderValue(values: readonly string[]): string {
  return values.map((value) => value.trim().replace(/ +/g, ' ')).join(',');
}

const UNRESERVED = /[A-Za-z0-9\-._~]/;

function encodeByte(byte: number): string {
  const character = String.fromCharCode(byte);
  return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/**
 * RFC 3986: everything but the unreserved characters becomes upper-case percent triplets, "%"
 * included.
 */
const encode = (text: string): string => Array.from(Buffer.from(text, 'utf8'), encodeByte).join('');

/**
 * Normalizes text that may contain percent triplets, as if it were decoded and encoded again byte
 * by byte.
 */
const respell = (text: string): string =>
  text.replace(/%([0-9a-fA-F]{2})|[^%]+|%/g, (piece, hex: string | undefined) =>
    hex === undefined ? encode(piece) : encodeByte(Number.parseInt(hex, 16)),
  );

/** Drops empty and "." segments, and lets ".." take the segment before it; a final slash stays. */
function collapse(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const slash = kept.length > 0 && path.endsWith('/') ? '/' : '';
  return `/${kept.join('/')}${slash}`;
}

/**
 * S3 signs the path as it is sent; every other service collapses it and encodes what is already
 * encoded once more.
 */
function canonicalPath(rawPath: string, service: string): string {
  const path = rawPath === '' ? '/' : rawPath;
  const encodeSegment = service === 's3' ? respell : encode;
  return (service === 's3' ? path : collapse(path)).split('/').map(encodeSegment).join('/');
}

/**
 * Pairs sorted by encoded name, then by encoded value. A "+" is a plus: SigV4 knows no form
 * encoding.
 */
function canonicalQuery(rawQuery: string): string {
  const pairs = rawQuery
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      const name = equals < 0 ? pair : pair.slice(0, equals);
      return [respell(name), equals < 0 ? '' : respell(pair.slice(equals + 1))] as const;
    });
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  pairs.sort((a, b) => order(a[0], b[0]) || order(a[1], b[1]));
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

/** The canonical request: the text that the signature covers. */
export function canonicalRequest(request: {
  readonly method: string;
  readonly rawUrl: string;
  readonly headers: HeaderValues;
  readonly signedHeaders: readonly string[];
  readonly payloadHash: string;
  readonly service: string;
}): string {
  const mark = request.rawUrl.indexOf('?');
  const path = mark < 0 ? request.rawUrl : request.rawUrl.slice(0, mark);
  return [
    request.method,
    canonicalPath(path, request.service),
    mark < 0 ? '' : canonicalQuery(request.rawUrl.slice(mark + 1)),
    ...request.signedHeaders.map(
      (name) => `${name}:${canonicalHeaderValue(request.headers.get(name) ?? [])}`,
    ),
    '',
    request.signedHeaders.join(';'),
    request.payloadHash,
  ].join('\n');
}
