import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { BIN_PATH } from './bin-driver.ts';
import { afterThisTest } from './cleanup.ts';
import { makeTempHome } from './temp-home.ts';

const GUARD_MS = 20_000;

export interface TerminalOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  /** The redirections after the bin's command line, such as `2>errors`. */
  readonly redirect?: string;
}

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/**
 * The bin as a person runs it: in a terminal of its own (a pseudo-terminal, by util-linux's
 * `script`).
 */
export class Terminal {
  readonly child: ChildProcessWithoutNullStreams;
  readonly home: string;
  readonly exited: Promise<number | null>;
  #output = '';

  private constructor(child: ChildProcessWithoutNullStreams, home: string) {
    this.child = child;
    this.home = home;
    child.stdin.on('error', () => undefined);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    this.exited.catch(() => undefined);
  }

  static async start({ args, env = {}, columns = 80, redirect = '' }: TerminalOptions): Promise<Terminal> {
    const { home, cleanup } = await makeTempHome();
    const line = [process.execPath, BIN_PATH, ...args].map(quoted).join(' ');
    const command = `stty cols ${columns} rows 24; exec ${line} ${redirect}`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: home,
      env: { PATH: process.env.PATH ?? '', HOME: home, TERM: 'xterm', SHELL: '/bin/sh', ...env },
      stdio: 'pipe',
    });
    const terminal = new Terminal(child, home);
    afterThisTest(async () => {
      child.kill('SIGKILL');
      await terminal.exited.catch(() => undefined);
      await cleanup();
    });
    return terminal;
  }

  /** Everything that the terminal was sent, escape sequences included, with plain line ends. */
  get raw(): string {
    return this.#output.replaceAll('\r\n', '\n');
  }

  /** The same without waits of over a second, which a busy machine may show in any test. */
  get output(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the line of waits is cleared by one
    return this.raw.replace(/(?:\r\u001b\[Kwaiting for [^\r\n]*)+\r\u001b\[K/g, '');
  }

  /** The keys that a person types; `\x03` is Ctrl-C. */
  type(text: string): void {
    this.child.stdin.write(text);
  }

  /** The exit code of the bin. */
  exit(): Promise<number | null> {
    return this.#guard(this.exited, 'the command to end');
  }

  async shows(pattern: RegExp): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const look = (): void => {
        if (pattern.test(this.raw)) resolve();
      };
      this.child.stdout.on('data', look);
      look();
    });
    await this.#guard(seen, `the terminal to show ${pattern}`);
  }

  async #guard<T>(work: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`Waited for ${what}:\n${this.output}`)), GUARD_MS);
    });
    return Promise.race([work, late]).finally(() => clearTimeout(timer));
  }
}
