import { randomBytes } from 'node:crypto';
import type { PoolCloseReason } from './hooks.ts';
import type { SessionFault } from './session-fault.ts';

/** The methods of the SDK's `Client`, of either generation, that a pool calls. */
export interface PoolClient {
  /** Opens the session. */
  connect(transport: never, options?: never): Promise<void>;
  /** Closes the transport. */
  close(): Promise<void>;
  /** Calls a tool. */
  callTool(
    params: { name: string; arguments?: Record<string, unknown> },
    ...options: never[]
  ): Promise<unknown>;
  /** Lists tools. */
  listTools(params?: { cursor?: string }, options?: never): Promise<unknown>;
}

/** A transport of the SDK. */
export interface PoolTransport {
  /** Begins to receive messages. */
  start(): Promise<void>;
  /** Sends a message. */
  send(message: never, options?: never): Promise<void>;
  /** Closes the transport. */
  close(): Promise<void>;
  /** Replaces the headers of further requests, if the transport can. */
  setHeaders?(headers: Readonly<Record<string, string>>): void;
  /** Ends the session at the server, if the transport can. */
  terminateSession?(): Promise<void>;
}

/** What `transportFactory` receives. */
export interface TransportContext {
  /** The endpoint of the session. */
  readonly endpoint: string;
  /** The headers that the session is opened with. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * A `fetch` that adds the credentials of `auth` and the headers of the borrow. A transport that
   * neither uses it nor has `setHeaders` cannot send headers of a borrow.
   */
  readonly fetch: typeof globalThis.fetch;
  /** Aborts when the session is no longer needed, or its time is over. */
  readonly signal: AbortSignal;
}

/** One session: a client of the SDK on its transport. */
export class PooledSession<C> {
  /** Twelve hexadecimal digits. */
  readonly id = randomBytes(6).toString('hex');
  readonly client: C;
  readonly transport: PoolTransport;
  /** The headers that it was opened with. */
  readonly openedWith: Readonly<Record<string, string>>;
  readonly #applyHeaders: ((headers: Readonly<Record<string, string>>) => void) | undefined;
  /** The affinity key that borrowed it last. */
  affinityKey: string | undefined = undefined;
  /** The worst fault that its transport has shown. */
  fault: SessionFault | undefined = undefined;
  /** Why it is closed, if the engine does not know the reason. */
  closeReason: 'evicted' | undefined = undefined;
  /** Why it was closed, is being closed, or was lost; undefined while it is open. */
  ended: PoolCloseReason | undefined = undefined;
  #hasHeaders = false;

  constructor(
    client: C,
    transport: PoolTransport,
    openedWith: Readonly<Record<string, string>>,
    applyHeaders: ((headers: Readonly<Record<string, string>>) => void) | undefined,
  ) {
    this.client = client;
    this.transport = transport;
    this.openedWith = openedWith;
    this.#applyHeaders = applyHeaders;
  }

  /** True if its transport can send these headers. */
  canSend(headers: Readonly<Record<string, string>>): boolean {
    if (this.#applyHeaders) return true;
    return Object.entries(headers).every(([name, value]) => this.openedWith[name] === value);
  }

  /** Sends these headers from now on. @param own - false where they are those of all borrows. */
  setHeaders(headers: Readonly<Record<string, string>>, own: boolean): void {
    this.#hasHeaders = own;
    this.#applyHeaders?.(headers);
  }

  /** True while it sends headers of one borrow. */
  get hasHeaders(): boolean {
    return this.#hasHeaders;
  }

  /** Ends the session at the server, and closes the client. Never throws. */
  async close(): Promise<void> {
    await closeTransport(this.transport, this.client as unknown as PoolClient);
  }
}

/** Ends the session at the server, and closes the client or its transport. Never throws. */
export async function closeTransport(
  transport: PoolTransport | undefined,
  client: Pick<PoolClient, 'close'> | undefined,
): Promise<void> {
  try {
    await transport?.terminateSession?.();
  } catch {
    // The server may not know it any more.
  }
  try {
    await client?.close();
    // A client that was not connected yet does not close it.
    await transport?.close();
  } catch {
    // Nothing more can be closed.
  }
}
