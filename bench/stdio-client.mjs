// A client that speaks raw JSON-RPC over a child's stdio. No SDK: its work would be measured with every proxy alike, and hide
// what they differ in.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const COLLECT = fileURLToPath(new URL('./collect.cjs', import.meta.url));

const INITIALIZE = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'bench', version: '0.0.0' },
};

/** How long a process may take to leave. */
const LEAVING_MS = 500;

export class StdioClient {
  #child;
  #pending = new Map();
  #pieces = [];
  #nextId = 0;
  #corked = false;
  /** Answers that nobody waits for: to calls in vain. */
  strays = 0;

  /**
   * @param {readonly string[]} args - of node.
   * @param {boolean} options.collectable - `liveHeap` can be asked.
   */
  constructor(args, env, { collectable = false } = {}) {
    const collecting = collectable ? ['--expose-gc', '--require', COLLECT] : [];
    this.#child = spawn(process.execPath, [...collecting, ...args], {
      env,
      stdio: ['pipe', 'pipe', 'ignore', ...(collectable ? ['pipe'] : [])],
    });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdout.on('data', (chunk) => this.#read(chunk));
    this.exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.exited.then((code) => {
      for (const { reject } of this.#pending.values()) reject(new Error(`it exited with code ${code}`));
    });
  }

  #read(chunk) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#pieces.push(chunk.subarray(start, end));
      const line = this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#take(JSON.parse(line.toString()));
      start = end + 1;
    }
    if (start < chunk.length) this.#pieces.push(chunk.subarray(start));
  }

  #take(message) {
    if (message.method !== undefined) return;
    const waiting = this.#pending.get(message.id);
    if (!waiting) {
      this.strays++;
      return;
    }
    this.#pending.delete(message.id);
    if (message.error) waiting.reject(new Error(message.error.message));
    else waiting.resolve(message.result);
  }

  /** The calls of one turn of the loop are one write, as of a client with several calls. */
  #send(message) {
    if (!this.#corked) {
      this.#corked = true;
      this.#child.stdin.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#child.stdin.uncork();
      });
    }
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  request(method, params) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#send({ jsonrpc: '2.0', id, method, params });
    });
  }

  async initialize() {
    await this.request('initialize', INITIALIZE);
    this.#send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  call(name, args) {
    return this.request('tools/call', { name, arguments: args });
  }

  /** A call whose answer nobody waits for. @returns what cancels it. */
  callInVain(name, args) {
    const id = this.#nextId++;
    this.#send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } });
    return () => this.#send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
  }

  get pid() {
    return this.#child.pid;
  }

  /** @returns MB that its objects hold after a collection, with the memory of their buffers. */
  async liveHeap() {
    const answer = once(this.#child.stdio[3], 'data');
    this.#child.kill('SIGUSR2');
    const [bytes] = await answer;
    return Number(bytes) / 1024 / 1024;
  }

  endStdin() {
    this.#child.stdin.end();
  }

  /** Ends the process as the MCP specification asks of clients: its input first, by force if it stays. */
  async close() {
    this.#child.stdin.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), LEAVING_MS);
    await this.exited;
    clearTimeout(late);
  }
}
