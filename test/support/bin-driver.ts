import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterThisTest } from './cleanup.ts';
import { LineLog } from './line-log.ts';
import type { Rpc } from './mcp-answers.ts';

/** The real command, as npm would install it. */
export const BIN_PATH = fileURLToPath(new URL('../../bin/mcp-sigv4-proxy.js', import.meta.url));

/**
 * Shared by all spawned processes: each has a HOME of its own, and would compile the bundle again.
 */
const CODE_CACHE = join(tmpdir(), 'mcp-sigv4-proxy-test-code');

/** Lets a test move the clock of a spawned process. */
const MOVABLE_CLOCK = fileURLToPath(new URL('./movable-clock.cjs', import.meta.url));

const GUARD_MS = 20_000;
/** The longest part of a line in an error: some tests send megabytes. */
const SHOWN_CHARACTERS = 1_000;

export interface BinOptions {
  readonly args: readonly string[];
  /** The whole environment but PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  /** Files to find below HOME, by relative path: `.aws/config`. */
  readonly files?: Readonly<Record<string, string>>;
  /** True: the process starts in its HOME, so that arguments may name files relative to it. */
  readonly cwdIsHome?: boolean;
  /** Anything but the bin: a script to run in its place. */
  readonly binPath?: string;
  /** A program to run without Node, such as the single executable. */
  readonly program?: string;
  /** Set for commands whose stdout is meant for people. */
  readonly anyStdout?: boolean;
  /** Set where the test moves the process's clock by `advance`. */
  readonly movableClock?: boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The bin in a process of its own, spoken to as a client speaks to it: lines in, lines out. */
export class BinDriver {
  readonly child: ChildProcessWithoutNullStreams;
  /** A directory that holds the given files and nothing else. */
  readonly home: string;
  readonly exited: Promise<Exit>;
  readonly #log: LineLog;
  #stderr = '';
  #nextId = 0;

  private constructor({
    args,
    env = {},
    files = {},
    binPath = BIN_PATH,
    program,
    movableClock,
    cwdIsHome,
  }: BinOptions) {
    this.home = mkdtempSync(join(tmpdir(), 'mcp-home-'));
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.home, path)), { recursive: true });
      writeFileSync(join(this.home, path), content);
    }
    // Nothing else is inherited: AWS_PROFILE, HTTPS_PROXY or NODE_OPTIONS of whoever runs the tests
    // would decide them.
    const clean = {
      PATH: process.env.PATH ?? '',
      HOME: this.home,
      NODE_COMPILE_CACHE: CODE_CACHE,
      ...env,
    };
    const cwd = cwdIsHome ? this.home : undefined;
    this.child = movableClock
      ? (spawn(process.execPath, ['--require', MOVABLE_CLOCK, binPath, ...args], {
          env: clean,
          cwd,
          stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
        }) as ChildProcessWithoutNullStreams)
      : spawn(program ?? process.execPath, program ? args : [binPath, ...args], {
          env: clean,
          cwd,
          stdio: 'pipe',
        });
    this.child.stdin.on('error', () => undefined);
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#log = new LineLog(this.child.stdout);
    // `close`, not `exit`: only then has everything that the process wrote been read.
    const closed = new Promise<Exit>((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        this.#log.end();
        resolve({ code, signal });
      });
    });
    closed.catch(() => undefined);
    this.exited = closed;
  }

  /**
   * Starts the bin. Inside a test it is killed at the test's end, which fails where stdout held
   * anything but messages.
   */
  static start(options: BinOptions): BinDriver {
    const driver = new BinDriver(options);
    afterThisTest(async () => {
      await driver.dispose();
      if (!options.anyStdout) driver.assertCleanStdout();
    });
    return driver;
  }

  /** Every line of stdout so far, as it came. */
  get lines(): readonly string[] {
    return this.#log.lines;
  }

  /** Every message on stdout so far. */
  get messages(): readonly Rpc[] {
    return this.#log.messages;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Writes one line: an object as JSON, text exactly as given (the newline is added). */
  send(message: object | string): void {
    this.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
  }

  /** Writes raw bytes, to cut lines where it hurts. */
  write(bytes: string | Uint8Array): void {
    this.child.stdin.write(bytes);
  }

  /** The answer to the request with exactly this id, type included. */
  answer(id: unknown): Promise<Rpc> {
    const find = (message: Rpc): boolean => message.method === undefined && message.id === id;
    return this.guard(this.#log.find(find), `an answer to ${JSON.stringify(id)}`);
  }

  /** The first message that matches and that `next` has not handed out before. */
  next(predicate: (message: Rpc) => boolean): Promise<Rpc> {
    return this.guard(this.#log.take(predicate), 'a matching message');
  }

  /** Sends a request and resolves with the whole answer. Ids count up from 0 unless given. */
  request(method: string, params?: unknown, id: unknown = this.#nextId++): Promise<Rpc> {
    this.send({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
    return this.answer(id);
  }

  notify(method: string, params?: unknown): void {
    this.send({ jsonrpc: '2.0', method, ...(params === undefined ? {} : { params }) });
  }

  /** The handshake of a session-based client; resolves with the answer to `initialize`. */
  async initialize(params: Record<string, unknown> = {}, id: unknown = this.#nextId++): Promise<Rpc> {
    const clientInfo = { name: 'bin-driver', version: '0.0.0' };
    const defaults = { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo };
    const answer = await this.request('initialize', { ...defaults, ...params }, id);
    this.notify('notifications/initialized');
    return answer;
  }

  /** Moves the process's clock on and fires its timers in their order. Needs `movableClock`. */
  async advance(ms: number): Promise<void> {
    const advanced = new Promise<void>((resolve) => this.child.once('message', () => resolve()));
    this.child.send({ advanceMs: ms });
    await this.guard(advanced, 'the clock to move');
  }

  closeStdin(): void {
    this.child.stdin.end();
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.child.kill(signal);
  }

  /** `exited`, failing after 20 s. */
  exit(): Promise<Exit> {
    return this.guard(this.exited, 'the process to exit');
  }

  /** Waits for stderr to hold what matches. */
  async stderrMatching(pattern: RegExp): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const look = (): void => {
        if (pattern.test(this.#stderr)) resolve();
      };
      this.child.stderr.on('data', look);
      look();
    });
    await this.guard(seen, `stderr to match ${pattern}`);
  }

  /** Fails after 20 s with all that the process wrote, so that a hang explains itself. */
  async guard<T>(work: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('nothing came within 20 s')), GUARD_MS);
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      const lines = this.lines.map((line) => line.slice(0, SHOWN_CHARACTERS));
      const output = `stdout:\n${lines.join('\n')}\nstderr:\n${this.#stderr.slice(-20 * SHOWN_CHARACTERS)}`;
      throw new Error(`Waited for ${what}: ${error instanceof Error ? error.message : error}\n${output}`);
    } finally {
      clearTimeout(timer);
    }
  }

  assertCleanStdout(): void {
    const strange = this.#log.strange;
    if (strange.length > 0)
      throw new Error(
        `stdout held what is no JSON-RPC message:\n${strange.join('\n').slice(0, SHOWN_CHARACTERS)}`,
      );
  }

  /** Kills the process and removes its home. */
  async dispose(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited.catch(() => undefined);
    rmSync(this.home, { recursive: true, force: true });
  }
}
