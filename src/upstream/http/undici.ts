/**
 * The only file that imports undici, by private paths: its entry adds 340 kB and 40 ms to the
 * start. Hence the ~ range in package.json, and `npm run test:undici`.
 */
import type { buildConnector as BuildConnector, Client as ClientType, Dispatcher } from 'undici';
// @ts-expect-error the file has no declarations of its own; those of the package's entry describe it
import connector from 'undici/lib/core/connect.js';
// @ts-expect-error as above
import symbols from 'undici/lib/core/symbols.js';
// @ts-expect-error as above
import UndiciClient from 'undici/lib/dispatcher/client.js';

export const HttpClient: typeof ClientType = UndiciClient;
export type HttpClient = ClientType;
export const buildConnector: typeof BuildConnector = connector;
export type Connector = BuildConnector.connector;
export type ConnectOptions = Parameters<Connector>[0];
export type ConnectCallback = Parameters<Connector>[1];
export type HttpMethod = Dispatcher.HttpMethod;
export type DispatchHandler = Dispatcher.DispatchHandler;
export type DispatchController = Dispatcher.DispatchController;

/** The parts of an undici request that it does not read after they are written. */
interface WrittenRequest {
  body: unknown;
  headers: readonly string[];
}

const NONE: readonly string[] = [];

/**
 * Frees body and headers of the request that a client has written. undici keeps both until the
 * response has ended, and thousands of requests may wait for it.
 */
export function freeWritten(client: HttpClient): void {
  const queues = client as unknown as Record<symbol, unknown>;
  const requests = queues[symbols.kQueue] as (WrittenRequest | null)[] | undefined;
  const running = requests?.[queues[symbols.kRunningIdx] as number];
  if (!running) return;
  running.body = null;
  running.headers = NONE;
}

/** For a shorter body, the turn and the copy would cost more than the memory is worth. */
const LONG_BODY_BYTES = 2 * 1024;

/**
 * The body that undici is given for these bytes. A long one is freed when it is written: a closure
 * of the request would keep a Buffer until the response has ended.
 */
export const releasable = (bytes: Buffer): Buffer =>
  // undici's declarations do not name Blobs.
  bytes.length < LONG_BODY_BYTES ? bytes : (new ReleasedBody(bytes) as unknown as Buffer);

/** The parts of a Blob that undici reads. Its bytes are taken once. */
class ReleasedBody {
  readonly size: number;
  readonly type = '';
  #bytes: ArrayBufferLike | undefined;

  constructor({ buffer, byteOffset, byteLength }: Buffer) {
    this.size = byteLength;
    // A part of Node's pool would keep all of it.
    const isWhole = byteLength === buffer.byteLength;
    this.#bytes = isWhole ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  }

  get [Symbol.toStringTag](): string {
    return 'Blob';
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    // Else an empty body would be sent.
    if (!bytes) throw new TypeError('the body of a request is sent once');
    return bytes;
  }
}

/** The state that undici keeps at a socket: 2 means that it was read since its last response. */
const IDLE_CHECK = 'kIdleSocketValidation';
const CHECKED = 2;

/** The key of that state, which undici does not export; undefined before the first use. */
let idleCheckKey: symbol | undefined;

/**
 * Says that the idle socket of a client was read to its end, so that no stray byte or close is
 * unseen. Otherwise undici waits for another turn of the event loop before it writes.
 */
export function skipIdleCheck(client: HttpClient): void {
  const socket = (client as unknown as Record<symbol, Record<symbol, unknown> | null>)[symbols.kSocket];
  if (!socket) return;
  idleCheckKey ??= keyOf(socket, IDLE_CHECK);
  if (idleCheckKey) socket[idleCheckKey] = CHECKED;
}

const keyOf = (object: object, name: string): symbol | undefined =>
  Object.getOwnPropertySymbols(object).find(({ description }) => description === name);
