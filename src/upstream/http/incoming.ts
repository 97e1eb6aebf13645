import { pipeline, Readable } from 'node:stream';
import { ProxyError } from '../../core/errors/errors.ts';
import { MAX_READ_BYTES, type ReadLimit } from '../../core/jsonrpc/read-limit.ts';
import type { HttpFacts } from '../../core/pipeline/call.ts';
import { ByteList } from '../../core/system/byte-list.ts';
import type { Encoding } from './decoders.ts';

/**
 * Above this many unread bytes the socket is paused, until they are taken. One socket read is 64
 * KiB.
 */
const HIGH_WATER_BYTES = 256 * 1024;

interface Flow {
  pause(): void;
  resume(): void;
}

/** Observes the end of a response; called once. */
export interface ResponseObserver {
  /** @param error - what cut the response; undefined where its last byte has arrived. */
  ended(incoming: Incoming, error: Error | undefined): void;
}

export type HttpHeaders = HttpFacts['headers'];

/** Media types are compared by essence, in any case, without parameters. */
export function mediaTypeOf(headers: HttpHeaders): string {
  const type = headerOf(headers, 'content-type');
  // Nearly all are written so.
  if (type === 'application/json' || type === 'text/event-stream') return type;
  return type.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** True where the body is compressed. */
export function isEncoded(headers: HttpHeaders): boolean {
  const encoding = headerOf(headers, 'content-encoding');
  return encoding !== '' && encoding !== 'identity';
}

export function headerOf(headers: HttpHeaders, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? (value[0] ?? '') : (value ?? '');
}

/** Error bodies are far shorter. */
export const MAX_ERROR_BODY_BYTES = 1024 * 1024;
export const ERROR_BODY: BodyLimit = { bytes: MAX_ERROR_BODY_BYTES };

const DONE = Promise.resolve();

/**
 * One HTTP response while it arrives. An unread stream pauses its socket; a body that is read whole
 * is bounded.
 */
export class Incoming implements HttpFacts {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly #flow: Flow;
  readonly #observer: ResponseObserver | undefined;
  readonly #unread = new ByteList();
  #paused = false;
  /** Undefined while the body is read as it arrives. */
  #maxBytes: BodyLimit | undefined;
  /** Called for every chunk: any byte shows that the server is alive. */
  onChunk: (() => void) | undefined;
  /** Bytes that have arrived, as encoded. */
  receivedBytes = 0;
  #state: 'open' | 'ended' | { readonly error: Error } = 'open';
  #wake: (() => void) | undefined;
  #whole: Promise<Buffer> | undefined;

  constructor(status: number, headers: HttpHeaders, flow: Flow, observer?: ResponseObserver) {
    this.status = status;
    this.headers = headers;
    this.#flow = flow;
    this.#observer = observer;
  }

  /**
   * True where the reader has taken all bytes and waits for more, so that the server is the slow
   * side.
   */
  get starved(): boolean {
    return this.#wake !== undefined;
  }

  push(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.onChunk?.();
    this.receivedBytes += chunk.length;
    this.#unread.append(chunk);
    const limit = this.#maxBytes;
    if (limit !== undefined) {
      if (this.#unread.length > limit.bytes) this.#refuse(limit);
      return;
    }
    if (!this.#paused && this.#unread.length > HIGH_WATER_BYTES) {
      this.#paused = true;
      this.#flow.pause();
    }
    this.#signal();
  }

  /** The body is too long: nothing more of it is kept. */
  #refuse(limit: BodyLimit, size?: number): ProxyError {
    const error = limit.tooLong?.(size) ?? bodyTooLong(this.status, limit.bytes);
    this.fail(error);
    this.#unread.clear();
    return error;
  }

  end(): void {
    if (this.#state === 'open') {
      this.#state = 'ended';
      this.#observer?.ended(this, undefined);
    }
    this.#signal();
  }

  fail(error: Error): void {
    if (this.#state === 'open') {
      this.#state = { error };
      this.#observer?.ended(this, error);
    }
    this.#signal();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #take(): Buffer[] {
    const taken = this.#unread.takePieces();
    this.#resume();
    return taken;
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#flow.resume();
  }

  /** The raw chunks as they arrive; throws what cut the response. */
  async *#raw(): AsyncGenerator<Buffer> {
    for (;;) {
      for (const chunk of this.#take()) yield chunk;
      if (this.#unread.length > 0) continue;
      if (this.#state === 'ended') return;
      if (this.#state !== 'open') throw this.#state.error;
      await this.#more();
    }
  }

  /** True once the last byte has arrived, read or not. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  /**
   * Passes the encoded body to `take` as it arrives; throws what cut the response. A generator
   * would cost several promises per chunk.
   */
  async pipeTo(take: (chunk: Buffer) => Promise<void>): Promise<void> {
    for (;;) {
      const pieces = this.#take();
      // Not iterated: the function would hold the last piece while it waits for the next.
      for (let chunk = pieces.shift(); chunk; chunk = pieces.shift()) await take(chunk);
      if (this.#unread.length > 0) continue;
      if (this.#state === 'ended') return;
      if (this.#state !== 'open') throw this.#state.error;
      await this.#more();
    }
  }

  /** The unread bytes; does not consume them. */
  get unread(): Buffer {
    return this.#unread.peek();
  }

  /** The unread bytes, which are read then. */
  takeUnread(): Buffer {
    const taken = this.#unread.take();
    this.#resume();
    return taken;
  }

  /** Bytes that have come and were not taken. */
  get unreadBytes(): number {
    return this.#unread.length;
  }

  /** Waits for more bytes; false where the response has ended or was cut. */
  async waitForMore(): Promise<boolean> {
    if (this.#state === 'open') await this.#more();
    return this.#state === 'open';
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The decompressed body as it arrives. */
  chunks(): AsyncIterable<Buffer> {
    const encoding = this.#encoding();
    return encoding === 'identity' ? this.#raw() : decompressed(this.#raw(), encoding);
  }

  /**
   * Returns the whole body, decompressed; the same bytes for every caller.
   * @throws ProxyError where it is longer than the limit of the first caller, counted both as it
   * came and decompressed.
   */
  readAll(limit: BodyLimit = LONGEST): Promise<Buffer> {
    this.#whole ??= this.#readWhole(limit);
    return this.#whole;
  }

  async #readWhole(limit: BodyLimit): Promise<Buffer> {
    this.#maxBytes = limit;
    const announced = Number(headerOf(this.headers, 'content-length'));
    if (announced > limit.bytes) throw this.#refuse(limit, isEncoded(this.headers) ? undefined : announced);
    if (this.#unread.length > limit.bytes) throw this.#refuse(limit);
    if (this.#state === 'open') {
      this.#resume();
      await this.#more();
    }
    if (this.#state !== 'ended' && this.#state !== 'open') throw this.#state.error;
    const bytes = this.#unread.take();
    const encoding = this.#encoding();
    if (encoding === 'identity' || bytes.length === 0) return bytes;
    // Loaded here: AWS compresses few answers, and Node's zlib costs a start half a millisecond.
    const { DECODERS } = await import('./decoders.ts');
    return DECODERS[encoding].whole(bytes, { maxOutputLength: limit.bytes }).catch((error: unknown) => {
      throw isTooLong(error) ? this.#refuse(limit) : error;
    });
  }

  /** Discards the body, so that the connection can be reused. */
  drain(): Promise<void> {
    return this.pipeTo(() => DONE);
  }

  #encoding(): Encoding | 'identity' {
    const named = headerOf(this.headers, 'content-encoding').trim().toLowerCase();
    if (named === '' || named === 'identity') return 'identity';
    const encoding = named === 'x-gzip' ? 'gzip' : named;
    if (encoding === 'gzip' || encoding === 'deflate' || encoding === 'br') return encoding;
    throw new ProxyError(
      'unusable-answer',
      `The server's answer cannot be used: it is compressed with "${named}", which was not requested. The call may have run. Turn that compression off in the server or in the proxy before it.`,
      {
        sent: 'maybe',
        details: { httpStatus: this.status },
      },
    );
  }
}

/** The most bytes of a body that is read whole. */
export type BodyLimit = Pick<ReadLimit, 'bytes'> & Partial<Pick<ReadLimit, 'tooLong'>>;

const LONGEST: BodyLimit = { bytes: MAX_READ_BYTES };

const bodyTooLong = (status: number, limit: number): ProxyError =>
  new ProxyError(
    'unusable-answer',
    `The server's answer cannot be used: HTTP ${status} with a body of more than ${limit} bytes. The call may have run. Ask for less at once.`,
    { sent: 'maybe', details: { httpStatus: status, limit } },
  );

const isTooLong = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';

async function* decompressed(source: AsyncIterable<Buffer>, encoding: Encoding): AsyncGenerator<Buffer> {
  const { DECODERS } = await import('./decoders.ts');
  const decoder = DECODERS[encoding].stream();
  // A reader that stops early destroys the decoder and its source; errors surface at the reader.
  pipeline(Readable.from(source), decoder, () => undefined);
  yield* decoder as AsyncIterable<Buffer>;
}
