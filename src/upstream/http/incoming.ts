import { pipeline, Readable } from 'node:stream';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { ProxyError } from '../../core/errors/errors.ts';
import type { HttpFacts } from '../../core/pipeline/call.ts';

/**
 * Above this many unread bytes the socket is paused, until they are taken. One socket read is 64
 * KiB.
 */
const HIGH_WATER_BYTES = 256 * 1024;

interface Flow {
  pause(): void;
  resume(): void;
}

export type HttpHeaders = HttpFacts['headers'];

/** Media types are compared by essence, in any case, without parameters. */
export const mediaTypeOf = (headers: HttpHeaders): string =>
  headerOf(headers, 'content-type').split(';', 1)[0]?.trim().toLowerCase() ?? '';

/** True where the bytes as they pass say nothing to who does not decompress them. */
export function isEncoded(headers: HttpHeaders): boolean {
  const encoding = headerOf(headers, 'content-encoding');
  return encoding !== '' && encoding !== 'identity';
}

export function headerOf(headers: HttpHeaders, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? (value[0] ?? '') : (value ?? '');
}

/** As for a client's line: half of what a JavaScript string can hold. Decompressed. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
/** What an error has to say fits into a fraction of this. */
export const MAX_ERROR_BODY_BYTES = 1024 * 1024;

const FORGOTTEN = Promise.resolve();

/**
 * One HTTP answer while it arrives. A stream that nobody reads pauses its socket; a body that is
 * read whole is bounded.
 */
export class Incoming implements HttpFacts {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly #flow: Flow;
  #chunks: Buffer[] = [];
  #backlog = 0;
  #paused = false;
  /** Undefined: read as it comes. */
  #wholeUpTo: number | undefined;
  /** Told of every chunk: a living server shows by any byte. */
  heard: (() => void) | undefined;
  #state: 'open' | 'ended' | { readonly error: Error } = 'open';
  #wake: (() => void) | undefined;
  #whole: Promise<Buffer> | undefined;

  constructor(status: number, headers: HttpHeaders, flow: Flow) {
    this.status = status;
    this.headers = headers;
    this.#flow = flow;
  }

  /**
   * Its reader has taken all that has come, and waits for more: whoever is slow, it is not the
   * reader.
   */
  get starved(): boolean {
    return this.#wake !== undefined;
  }

  push(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.heard?.();
    this.#chunks.push(chunk);
    this.#backlog += chunk.length;
    const limit = this.#wholeUpTo;
    if (limit !== undefined) {
      if (this.#backlog > limit) this.fail(this.#tooLong(limit));
      return;
    }
    if (!this.#paused && this.#backlog > HIGH_WATER_BYTES) {
      this.#paused = true;
      this.#flow.pause();
    }
    this.#signal();
  }

  #tooLong(limit: number): ProxyError {
    this.#chunks = [];
    return new ProxyError(
      'unusable-answer',
      `The server's answer cannot be used: HTTP ${this.status} with a body of more than ${limit} bytes. The call may have run. Ask for less at once.`,
      { sent: 'maybe', details: { httpStatus: this.status, limit } },
    );
  }

  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    this.#signal();
  }

  fail(error: Error): void {
    if (this.#state === 'open') this.#state = { error };
    this.#signal();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #take(): Buffer[] {
    const taken = this.#chunks;
    this.#chunks = [];
    this.#backlog = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#flow.resume();
    }
    return taken;
  }

  /** The raw chunks as they come; throws what cut the answer. */
  async *#raw(): AsyncGenerator<Buffer> {
    for (;;) {
      for (const chunk of this.#take()) yield chunk;
      if (this.#chunks.length > 0) continue;
      if (this.#state === 'ended') return;
      if (this.#state !== 'open') throw this.#state.error;
      await this.#more();
    }
  }

  /** True once the last byte has come, taken or not. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  /**
   * Hands over the body's bytes as they come, in the encoding that they came in; throws what cut
   * the answer. A generator would cost several promises for each chunk.
   */
  async pour(take: (chunk: Buffer) => Promise<void>): Promise<void> {
    for (;;) {
      for (const chunk of this.#take()) await take(chunk);
      if (this.#chunks.length > 0) continue;
      if (this.#state === 'ended') return;
      if (this.#state !== 'open') throw this.#state.error;
      await this.#more();
    }
  }

  /** What has come and was not taken, which this leaves as it is. */
  get unread(): Buffer {
    const [first] = this.#chunks;
    return this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks);
  }

  /** Waits for more bytes; false where the answer has ended, or was cut. */
  async more(): Promise<boolean> {
    if (this.#state === 'open') await this.#more();
    return this.#state === 'open';
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The body's bytes as they come, decompressed. */
  chunks(): AsyncIterable<Buffer> {
    const encoding = this.#encoding();
    return encoding === 'identity' ? this.#raw() : decompressed(this.#raw(), encoding);
  }

  /**
   * The whole body, decompressed; the same bytes however often it is asked for.
   * @throws ProxyError unusable-answer, where it is longer than `limit` bytes, which the first who
   * asks sets.
   */
  whole(limit = MAX_BODY_BYTES): Promise<Buffer> {
    this.#whole ??= this.#readWhole(limit);
    return this.#whole;
  }

  async #readWhole(limit: number): Promise<Buffer> {
    this.#wholeUpTo = limit;
    if (this.#state === 'open') {
      if (this.#paused) {
        this.#paused = false;
        this.#flow.resume();
      }
      await this.#more();
    }
    if (this.#state !== 'ended' && this.#state !== 'open') throw this.#state.error;
    const chunks = this.#take();
    const bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
    const encoding = this.#encoding();
    if (encoding === 'identity' || bytes.length === 0) return bytes;
    return DECODERS[encoding].whole(bytes, { maxOutputLength: limit });
  }

  /** Reads on and forgets, so that the connection can carry the next request. */
  drain(): Promise<void> {
    return this.pour(() => FORGOTTEN);
  }

  #encoding(): Encoding | 'identity' {
    const named = headerOf(this.headers, 'content-encoding').trim().toLowerCase();
    if (named === '' || named === 'identity') return 'identity';
    const encoding = named === 'x-gzip' ? 'gzip' : named;
    if (encoding === 'gzip' || encoding === 'deflate' || encoding === 'br') return encoding;
    throw new ProxyError(
      'unusable-answer',
      `The server's answer cannot be used: it is compressed with "${named}", which was not asked for. The call may have run. The server, or a proxy before it, must be told not to.`,
      {
        sent: 'maybe',
        details: { httpStatus: this.status },
      },
    );
  }
}

type Encoding = 'gzip' | 'deflate' | 'br';

const DECODERS = {
  gzip: {
    whole: promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip),
    stream: () => zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH }),
  },
  deflate: {
    whole: promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflate),
    stream: () => zlib.createInflate({ flush: zlib.constants.Z_SYNC_FLUSH }),
  },
  br: {
    whole: promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliDecompress),
    stream: () => zlib.createBrotliDecompress({ flush: zlib.constants.BROTLI_OPERATION_FLUSH }),
  },
};

async function* decompressed(source: AsyncIterable<Buffer>, encoding: Encoding): AsyncGenerator<Buffer> {
  const decoder = DECODERS[encoding].stream();
  // Whoever stops reading early destroys the decoder, and with it the source; failures come out
  // where it is read.
  pipeline(Readable.from(source), decoder, () => undefined);
  yield* decoder as AsyncIterable<Buffer>;
}
