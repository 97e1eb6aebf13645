/** The wire types of protobuf. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Grows by doubling. */
const FIRST_BYTES = 1_024;
/** Two bytes hold a length of up to 16 KiB, as nearly all spans have. */
const SPAN_LENGTH_BYTES = 2;
/** The longest varint, after a tag. */
const MAX_NUMBER_BYTES = 16;
/** Lengths and characters below take one byte. */
const ONE_BYTE_LENGTH = 0x80;
const TWO_32 = 2 ** 32;

/** The value of the hexadecimal digit with this character code. */
const nibble = (code: number): number => (code & 0x0f) + (code > 0x39 ? 9 : 0);

/** Writes messages of protobuf. Numbers of fields are below 16, so that a tag is one byte. */
export class ProtobufWriter {
  #bytes: Buffer;
  #at = 0;

  /** @param bytes - the expected length. */
  constructor(bytes = FIRST_BYTES) {
    this.#bytes = Buffer.allocUnsafe(bytes);
  }

  /** The bytes so far; valid until more are written. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }

  #length(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  /** Writes a whole number from 0 to 2^53. */
  varint(field: number, value: number): void {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | VARINT;
    this.#length(value);
  }

  double(field: number, value: number): void {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | FIXED64;
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  fixed32(field: number, value: number): void {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | FIXED32;
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  /** Writes a time in milliseconds as nanoseconds, which no number holds exactly. */
  nanoseconds(field: number, ms: number): void {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | FIXED64;
    const seconds = Math.floor(ms / 1_000);
    const rest = Math.round((ms - seconds * 1_000) * 1e6);
    // (upper * 2^16 + lower) * 10^9 + rest, each product below 2^53.
    const upper = Math.floor(seconds / 0x10000) * 1e9;
    const low = (upper % 0x10000) * 0x10000 + (seconds % 0x10000) * 1e9 + rest;
    this.#at = this.#bytes.writeUInt32LE(low % TWO_32, this.#at);
    const high = Math.floor(upper / 0x10000) + Math.floor(low / TWO_32);
    this.#at = this.#bytes.writeUInt32LE(high, this.#at);
  }

  /** Writes the bytes of a hexadecimal string. */
  hex(field: number, digits: string): void {
    const length = digits.length >>> 1;
    this.#reserve(length + MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | BYTES;
    this.#length(length);
    // Local variables are faster than fields, which would be read and written for each byte.
    const bytes = this.#bytes;
    let to = this.#at;
    for (let at = 0; at < digits.length; at += 2)
      bytes[to++] = (nibble(digits.charCodeAt(at)) << 4) | nibble(digits.charCodeAt(at + 1));
    this.#at = to;
  }

  text(field: number, text: string): void {
    // A character of UTF-16 takes at most three bytes.
    this.#reserve(text.length * 3 + MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | BYTES;
    if (text.length < ONE_BYTE_LENGTH && this.#ascii(text)) return;
    this.#length(Buffer.byteLength(text));
    this.#at += this.#bytes.write(text, this.#at);
  }

  /** Writes a short text of ASCII characters, as most are. @returns false for any other. */
  #ascii(text: string): boolean {
    const bytes = this.#bytes;
    let to = this.#at;
    bytes[to++] = text.length;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code >= ONE_BYTE_LENGTH) return false;
      bytes[to++] = code;
    }
    this.#at = to;
    return true;
  }

  /** Writes fields that were encoded before. */
  raw(fields: Uint8Array): void {
    this.#reserve(fields.length);
    this.#bytes.set(fields, this.#at);
    this.#at += fields.length;
  }

  /**
   * Begins a message.
   * @param lengthBytes - the expected size of its length; the message is moved if it differs.
   * @returns its start, for `end`.
   */
  begin(field: number, lengthBytes = SPAN_LENGTH_BYTES): number {
    this.#reserve(MAX_NUMBER_BYTES);
    this.#bytes[this.#at++] = (field << 3) | BYTES;
    this.#at += lengthBytes;
    return this.#at;
  }

  /** Ends the message that began at `start`. @param lengthBytes - as for `begin`. */
  end(start: number, lengthBytes = SPAN_LENGTH_BYTES): void {
    const length = this.#at - start;
    let taken = 1;
    for (let rest = length; rest > 0x7f; rest = Math.floor(rest / 0x80)) taken++;
    const from = start - lengthBytes;
    if (taken !== lengthBytes) {
      this.#reserve(MAX_NUMBER_BYTES);
      this.#bytes.copyWithin(from + taken, start, this.#at);
    }
    this.#at = from;
    this.#length(length);
    this.#at += length;
  }
}
