import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client';
import { memberAt, spliceText } from '../core/jsonrpc/json-spans.ts';
import { type Id, idKey, isObject, type JsonObject, type Response } from '../core/jsonrpc/message.ts';
import { readMessages } from '../core/jsonrpc/parse.ts';
import type { McpProxy } from '../proxy.ts';

/** The newest revision with sessions, and the newest without them, that the commands speak. */
export const SESSION_REVISION = '2025-11-25';
export const STATELESS_REVISION = '2026-07-28';

/** A transport of the MCP SDK's client that runs through a proxy in the same process. */
export class ProxyTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** The last response to a request of the client, with the text that the server sent. */
  lastResponse: Response | undefined;
  /**
   * JSON text that replaces `params.arguments` of a tool call: numbers keep the user's spelling.
   */
  argumentsText: string | undefined;
  readonly #connection: ReturnType<McpProxy['connect']>;
  readonly #drainMs: number;
  readonly #methods = new Map<string, string>();
  /** Called with the response to the request that `request` sent. */
  readonly #settled = new Map<string, (response: Response) => void>();
  #sent = 0;
  #closing: Promise<void> | undefined;

  constructor(proxy: McpProxy, { drainMs }: { readonly drainMs: number }) {
    this.#drainMs = drainMs;
    this.#connection = proxy.connect(async (text) => this.#receive(text));
  }

  /** Nothing to start: the proxy connects to the server when it receives the first message. */
  async start(): Promise<void> {}

  async send(message: JSONRPCMessage): Promise<void> {
    if ('method' in message && 'id' in message) this.#methods.set(idKey(message.id), message.method);
    this.#connection.receive(this.#textOf(message));
  }

  /**
   * Sends a request that the SDK's client refuses to send. `lastResponse` then holds the response.
   * @throws if the response is an error.
   */
  async request(method: string, params: JsonObject): Promise<void> {
    this.#sent += 1;
    // The SDK numbers its requests.
    const id = `command-${this.#sent}`;
    const answered = new Promise<Response>((resolve) => this.#settled.set(idKey(id), resolve));
    this.#connection.receive(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    const { outcome } = await answered;
    if (outcome === 'error') throw new Error(`the server refused ${method}`);
  }

  /** Waits for requests in flight, for at most the drain time. Never throws. */
  close(): Promise<void> {
    this.#closing ??= this.#connection.drain(this.#drainMs).then(() => this.onclose?.());
    return this.#closing;
  }

  #textOf(message: JSONRPCMessage): string {
    const text = JSON.stringify(message);
    if (this.argumentsText === undefined || !('method' in message) || message.method !== 'tools/call') {
      return text;
    }
    const member = memberAt(text, ['params', 'arguments']);
    return member ? spliceText(text, member.valueSpan, this.argumentsText) : text;
  }

  #receive(text: string): void {
    for (const message of readMessages(text)) {
      const { json } = message;
      if (message.kind !== 'response') this.onmessage?.(json as JSONRPCMessage);
      else if (message.id !== undefined) this.#respond(message, message.id);
    }
  }

  #respond(response: Response, id: Id): void {
    const settle = this.#settled.get(idKey(id));
    if (settle) {
      this.#settled.delete(idKey(id));
      this.lastResponse = response;
      settle(response);
      return;
    }
    const method = this.#methods.get(idKey(id));
    if (method === undefined) return;
    this.#methods.delete(idKey(id));
    this.lastResponse = response;
    const { json } = response;
    const valid = response.outcome === 'error' ? json : { ...json, result: validResult(method, json.result) };
    this.onmessage?.(valid as JSONRPCMessage);
  }
}

/**
 * The SDK drops a result that is not an object, and rejects an initialize result with missing
 * fields. It receives a valid result instead, because the commands print the raw response.
 */
function validResult(method: string, result: unknown): unknown {
  const members = isObject(result) ? result : {};
  if (method !== 'initialize') return members;
  const { protocolVersion, capabilities } = members;
  const info = isObject(members.serverInfo) ? members.serverInfo : {};
  const { name, version } = info;
  return {
    protocolVersion: isKnownRevision(protocolVersion) ? protocolVersion : SESSION_REVISION,
    capabilities: isObject(capabilities) ? { tools: isObject(capabilities.tools) ? {} : undefined } : {},
    serverInfo: { name: String(name ?? ''), version: String(version ?? '') },
  };
}

/** Revisions with sessions; a revision that the SDK does not know would end the handshake. */
const SESSION_REVISIONS: readonly unknown[] = [SESSION_REVISION, '2025-06-18', '2025-03-26', '2024-11-05'];
const isKnownRevision = (revision: unknown): boolean => SESSION_REVISIONS.includes(revision);
