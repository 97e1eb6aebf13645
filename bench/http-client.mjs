// An MCP client by HTTP that does the least: no signature, no SDK. With a claim it speaks the revision without sessions.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../package.json', import.meta.url));
const { Pool } = require('undici');

const ACCEPT = 'application/json, text/event-stream';
const SESSION_REVISION = '2025-06-18';
const STATELESS_REVISION = '2026-07-28';
/** By this name the server knows who wants streams. */
const CLIENT = { name: 'bench-streams', version: '0.0.0' };

/** The `_meta` of every message that belongs to no session. */
export const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': STATELESS_REVISION,
  'io.modelcontextprotocol/clientInfo': CLIENT,
  'io.modelcontextprotocol/clientCapabilities': {},
};

export class HttpClient {
  #url;
  #pool;
  #stateless;
  #session = {};
  #nextId = 0;

  constructor(url, { connections, stateless = false }) {
    this.#url = new URL(url);
    this.#pool = new Pool(this.#url.origin, { connections, pipelining: 1 });
    this.#stateless = stateless;
  }

  #send(method, headers, message) {
    return this.#pool.request({
      method,
      path: this.#url.pathname,
      headers: {
        accept: ACCEPT,
        ...(message && { 'content-type': 'application/json' }),
        ...this.#session,
        ...headers,
      },
      body: message && JSON.stringify(message),
    });
  }

  async request(method, params = {}) {
    const derived = this.#stateless
      ? {
          'mcp-protocol-version': STATELESS_REVISION,
          'mcp-method': method,
          ...(params.name && { 'mcp-name': params.name }),
        }
      : {};
    const sent = this.#stateless ? { ...params, _meta: ENVELOPE } : params;
    const { headers, body } = await this.#send('POST', derived, {
      jsonrpc: '2.0',
      id: this.#nextId++,
      method,
      params: sent,
    });
    const session = headers['mcp-session-id'];
    if (session) this.#session = { 'mcp-session-id': session, 'mcp-protocol-version': SESSION_REVISION };
    const answer = JSON.parse(await body.text());
    if (answer.error) throw new Error(answer.error.message);
    return answer.result;
  }

  async initialize() {
    if (this.#stateless) return;
    await this.request('initialize', {
      protocolVersion: SESSION_REVISION,
      capabilities: {},
      clientInfo: CLIENT,
    });
    const { body } = await this.#send('POST', {}, { jsonrpc: '2.0', method: 'notifications/initialized' });
    await body.dump();
  }

  call(name, args) {
    return this.request('tools/call', { name, arguments: args });
  }

  /** A stream that stays open. Resolves with its first bytes; the body is left to whoever asked. */
  async stream() {
    const { statusCode, body } = await this.#send('GET', { accept: 'text/event-stream' });
    if (statusCode !== 200) throw new Error(`HTTP ${statusCode} to GET`);
    await body[Symbol.asyncIterator]().next();
  }

  async close() {
    await this.#pool.destroy();
  }
}
