import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { Rpc } from './mcp-answers.ts';
import { parseJson } from './scripted-server.ts';

/**
 * Longer than any deadline of the proxy's own: a request without an answer by then never gets one.
 */
export const HANG_MS = 40_000;

export type RpcId = number | string;

/** The process under test with the clients that use it. */
export interface SoakPeer {
  readonly pid: number | undefined;
  readonly exited: Promise<number | null>;
  /** Answers that no request waits for. */
  readonly strays: number;
  readonly stderr: string;
  nextId(): RpcId;
  /** Resolves undefined where no answer arrives. */
  ask(method: string, params: object, id?: RpcId): Promise<Rpc | undefined>;
  cancel(id: RpcId): void;
  /** Opens what requests need. */
  shakeHands(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Asks the process to end, as its client or its supervisor would. */
  end(): void;
}

export const CLIENT_PARAMS = {
  protocolVersion: '2025-11-25',
  capabilities: { elicitation: {} },
  clientInfo: { name: 'soak', version: '0.0.0' },
} as const;

/** -1, 0, "", then numbers and strings in turn. */
export class SoakIds {
  #made = -2;

  next(): RpcId {
    const made = ++this.#made;
    if (made === 1) return '';
    return made > 0 && made % 3 === 0 ? `s${made}` : made;
  }
}

/** The answer to a server request of the fault server, which reads its token there. */
export function answerToServer(request: Rpc): Rpc {
  const { message: token } = request.params as { message: string };
  return { id: request.id, result: { action: 'accept', content: { token } } };
}

/**
 * A client that keeps nothing but what it waits for, so that ten minutes of it weigh as much as
 * one.
 */
export class StdioSoakClient implements SoakPeer {
  readonly #child;
  readonly exited: Promise<number | null>;
  /** Answers to no request, or to one that was answered before. */
  strays = 0;
  stderr = '';
  readonly #waiting = new Map<RpcId, (answer: Rpc) => void>();
  /** Their answers may already have been on the way. */
  readonly #cancelled = new Set<RpcId>();
  readonly #ids = new SoakIds();

  static async start(
    binPath: string,
    args: readonly string[],
    keys: NodeJS.ProcessEnv,
  ): Promise<StdioSoakClient> {
    return new StdioSoakClient(binPath, args, keys);
  }

  constructor(binPath: string, args: readonly string[], keys: NodeJS.ProcessEnv) {
    const env = { PATH: process.env.PATH ?? '', ...keys };
    this.#child = spawn(process.execPath, [binPath, ...args], { env, stdio: 'pipe' });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (this.stderr.length < 10_000) this.stderr += text;
    });
    createInterface(this.#child.stdout).on('line', (line) => this.#read(line));
    this.exited = new Promise((resolve) => this.#child.once('close', resolve));
  }

  #read(line: string): void {
    const message = parseJson(line) as Rpc | undefined;
    if (message?.method === 'elicitation/create') {
      this.send(answerToServer(message));
    }
    if (message?.method !== undefined) return;
    const id = message?.id;
    const known = typeof id === 'number' || typeof id === 'string';
    const settle = known ? this.#waiting.get(id) : undefined;
    if (message && known && settle) {
      this.#waiting.delete(id);
      settle(message);
    } else if (!known || !this.#cancelled.delete(id)) this.strays++;
  }

  send(message: Rpc): void {
    this.#child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  nextId(): RpcId {
    return this.#ids.next();
  }

  async ask(method: string, params: object, id = this.nextId()): Promise<Rpc | undefined> {
    const answer = new Promise<Rpc>((resolve) => this.#waiting.set(id, resolve));
    this.send({ id, method, params });
    const late = new AbortController();
    const hung = wait(HANG_MS, undefined, { signal: late.signal }).catch(() => undefined);
    return Promise.race([answer, hung]).finally(() => late.abort());
  }

  cancel(id: RpcId): void {
    const settle = this.#waiting.get(id);
    this.#waiting.delete(id);
    settle?.({});
    this.#cancelled.add(id);
    this.send({ method: 'notifications/cancelled', params: { requestId: id } });
    // All messages in flight have arrived by then.
    setTimeout(() => this.#cancelled.delete(id), HANG_MS).unref();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async shakeHands(): Promise<void> {
    await this.ask('initialize', CLIENT_PARAMS, 'handshake');
    this.send({ method: 'notifications/initialized' });
    await this.ask('tools/list', {}, 'tools');
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  end(): void {
    this.#child.stdin.end();
  }
}
