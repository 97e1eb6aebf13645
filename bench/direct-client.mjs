// "Direct": the same calls without any proxy, by undici and @smithy/signature-v4 in the process that makes them.
import { createHash, createHmac } from 'node:crypto';
import { createRequire } from 'node:module';

// The versions that the proxy is built with, not those that the peers bring.
const require = createRequire(new URL('../package.json', import.meta.url));
const { Pool } = require('undici');
const { SignatureV4 } = require('@smithy/signature-v4');

class Sha256 {
  #hash;

  constructor(secret) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret);
  }

  update(chunk) {
    this.#hash.update(chunk);
  }

  async digest() {
    return this.#hash.digest();
  }

  reset() {
    throw new TypeError('a digest is used once');
  }
}

export class DirectClient {
  #url;
  #pool;
  #signer;
  #session = {};
  #nextId = 0;

  constructor(url, { connections, scope, credentials }) {
    this.#url = new URL(url);
    this.#pool = new Pool(this.#url.origin, { connections, pipelining: 1 });
    this.#signer = new SignatureV4({
      ...scope,
      credentials,
      sha256: Sha256,
      uriEscapePath: true,
      applyChecksum: true,
    });
  }

  async #send(method, message) {
    const { host, pathname } = this.#url;
    const body = message && JSON.stringify(message);
    const { headers } = await this.#signer.sign({
      method,
      protocol: 'http:',
      hostname: host,
      path: pathname,
      query: {},
      headers: { host, ...(body && { 'content-type': 'application/json' }) },
      body,
    });
    return this.#pool.request({
      method,
      path: pathname,
      headers: { accept: 'application/json, text/event-stream', ...this.#session, ...headers },
      body,
    });
  }

  async request(method, params) {
    const { headers, body } = await this.#send('POST', {
      jsonrpc: '2.0',
      id: this.#nextId++,
      method,
      params,
    });
    const session = headers['mcp-session-id'];
    if (session) this.#session = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' };
    return JSON.parse(await body.text()).result;
  }

  async initialize() {
    const clientInfo = { name: 'bench', version: '0.0.0' };
    await this.request('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo });
    const { body } = await this.#send('POST', { jsonrpc: '2.0', method: 'notifications/initialized' });
    await body.dump();
  }

  call(name, args) {
    return this.request('tools/call', { name, arguments: args });
  }

  async close() {
    const { body } = await this.#send('DELETE');
    await body.dump();
    await this.#pool.close();
  }
}
