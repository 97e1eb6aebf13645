/**
 * The curve P-256 (FIPS 186-5, SEC 1) in plain arithmetic: slow, and without any code that a signer
 * uses.
 */

const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
export const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const A = P - 3n;

export interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

const GENERATOR: Point = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};

const modulo = (value: bigint, modulus: bigint): bigint => ((value % modulus) + modulus) % modulus;

/** The inverse, by the extended Euclidean algorithm. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [remainder, next] = [modulo(value, modulus), modulus];
  let [factor, nextFactor] = [1n, 0n];
  while (next !== 0n) {
    const quotient = remainder / next;
    [remainder, next] = [next, remainder - quotient * next];
    [factor, nextFactor] = [nextFactor, factor - quotient * nextFactor];
  }
  return modulo(factor, modulus);
}

/** Undefined is the point at infinity. */
function add(one: Point | undefined, other: Point | undefined): Point | undefined {
  if (!one || !other) return one ?? other;
  if (one.x === other.x && one.y !== other.y) return undefined;
  const slope =
    one.x === other.x
      ? (3n * one.x * one.x + A) * inverse(2n * one.y, P)
      : (other.y - one.y) * inverse(other.x - one.x, P);
  const x = modulo(slope * slope - one.x - other.x, P);
  return { x, y: modulo(slope * (one.x - x) - one.y, P) };
}

export function multiply(factor: bigint, point: Point = GENERATOR): Point | undefined {
  let sum: Point | undefined;
  let doubled: Point | undefined = point;
  for (let rest = factor; rest > 0n; rest >>= 1n) {
    if (rest & 1n) sum = add(sum, doubled);
    doubled = add(doubled, doubled);
  }
  return sum;
}

/** The two numbers of an ECDSA signature in DER; undefined for anything else. */
function numbersIn(der: Uint8Array): readonly [bigint, bigint] | undefined {
  const text = Buffer.from(der).toString('hex');
  const [, first = '', rest = ''] = /^30(?:[0-7][0-9a-f])02(..)(.*)$/.exec(text) ?? [];
  const length = 2 * Number.parseInt(first, 16);
  const [r, tail] = [rest.slice(0, length), rest.slice(length)];
  const [, second = '', s = ''] = /^02(..)(.*)$/.exec(tail) ?? [];
  if (r === '' || s === '' || s.length !== 2 * Number.parseInt(second, 16)) return undefined;
  return [BigInt(`0x${r}`), BigInt(`0x${s}`)];
}

/** Verifies an ECDSA signature in DER over a SHA-256 digest. */
export function verifyEcdsa(digest: Uint8Array, der: Uint8Array, key: Point): boolean {
  const numbers = numbersIn(der);
  if (!numbers) return false;
  const [r, s] = numbers;
  if (r <= 0n || r >= ORDER || s <= 0n || s >= ORDER) return false;
  const factor = inverse(s, ORDER);
  const hash = BigInt(`0x${Buffer.from(digest).toString('hex')}`);
  const sum = add(multiply(modulo(hash * factor, ORDER)), multiply(modulo(r * factor, ORDER), key));
  return sum !== undefined && modulo(sum.x, ORDER) === r;
}
