/**
 * Speaks MCP over stdio to a process of the real command, in raw JSON-RPC lines: what any client
 * does, without an SDK.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Clock } from '../core/time/clock.ts';
import { settleWithin } from '../core/time/waits.ts';
import { isObject } from './demo-server.ts';

/** Far beyond what a demo on loopback takes, so that reaching it means a hang. */
const ANSWER_LIMIT_MS = 30_000;
const EXIT_LIMIT_MS = 5_000;
/** Enough of stderr to tell why a start failed. */
const KEPT_STDERR_CHARACTERS = 2_000;

interface PendingAnswer {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class StdioSession {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, PendingAnswer>();
  readonly #exited: Promise<void>;
  #ended: Error | undefined;
  #stderr = '';
  #nextId = 0;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv, clock: Clock) {
    this.#clock = clock;
    this.#child = spawn(process.execPath, args, { env, stdio: 'pipe' });
    // A process that died closes its pipe; its exit says why, so the pipe need not.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARACTERS);
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#end(error.message, resolve));
      this.#child.once('close', (code, signal) =>
        this.#end(`it ended with ${signal ?? `code ${code}`}`, resolve),
      );
    });
  }

  /** @throws an Error with the server's message, or with what the process left on stderr. */
  async request(method: string, params: unknown): Promise<unknown> {
    if (this.#ended) throw this.#ended;
    const id = this.#nextId++;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const deadline = this.#clock.schedule(ANSWER_LIMIT_MS, () =>
      this.#waiting
        .get(id)
        ?.reject(this.#failure(`no answer to ${method} within ${ANSWER_LIMIT_MS / 1000} s`)),
    );
    try {
      this.#send({ jsonrpc: '2.0', id, method, params });
      return await answer;
    } finally {
      deadline.cancel();
      this.#waiting.delete(id);
    }
  }

  async initialize(): Promise<void> {
    const clientInfo = { name: 'mcp-sigv4-proxy-demo', version: '1.0.0' };
    await this.request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
    this.#send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  /** Closes stdin and waits for the process to leave; one that stays is killed. */
  async close(): Promise<void> {
    this.#child.stdin.end();
    await settleWithin(this.#clock, EXIT_LIMIT_MS, this.#exited);
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  #send(message: unknown): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #take(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      message = undefined;
    }
    if (!isObject(message)) {
      this.#failAll(this.#failure(`it wrote a line that is no message: ${line.slice(0, 200)}`));
      return;
    }
    const waiting = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined;
    if (isObject(message.error)) waiting?.reject(new Error(String(message.error.message)));
    else waiting?.resolve(message.result);
  }

  #end(how: string, exited: () => void): void {
    this.#ended = this.#failure(how);
    this.#failAll(this.#ended);
    exited();
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }

  #failure(what: string): Error {
    const stderr = this.#stderr.trim();
    return new Error(stderr === '' ? what : `${what}\n${stderr}`);
  }
}
