import { readStdin } from '../client/stdio/stdio.ts';
import { StdoutWriter } from '../client/stdio/stdout.ts';
import { causeText } from '../core/errors/errors.ts';
import { Events } from '../core/pipeline/events.ts';
import { plainText } from '../core/system/plain-text.ts';
import { settleWithin, systemClock } from '../core/time/clock.ts';
import { logEvents } from '../observe/log.ts';
import type { LogLevel } from '../observe/options.ts';
import { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { listen, type RunningListener } from './listen.ts';

/** Long enough for a reader that reads at all; one that does not must not keep the process. */
const LOG_FLUSH_MS = 500;
/**
 * The settings are good, and something else has the port: what is so now need not be so for ever.
 */
const EXIT_CANNOT_LISTEN = 1;

/** A person who starts it in a shell would otherwise watch nothing happen. */
const AT_A_TERMINAL = `mcp-sigv4-proxy speaks MCP on stdin and stdout: a client starts it, and it now waits for JSON-RPC lines. Ctrl-C ends it.
  mcp-sigv4-proxy doctor           checks credentials, network and server
  mcp-sigv4-proxy tools            lists the tools; call <tool> calls one
  mcp-sigv4-proxy config <client>  prints the block for an MCP client
  mcp-sigv4-proxy --help           shows all options
`;

export interface Serving {
  /**
   * Starts the orderly end: calls in flight may finish within the drain time, the session is
   * deleted.
   * @param atOnce - do not wait for --drain-delay.
   */
  leave(how: string, atOnce?: boolean): void;
  /** Ends what would outlive the process, at once. */
  stop(): void;
  /** Opens the log file again, and replaces the sessions with new ones; no call is cut. */
  renew(): void;
  /** Reports what should never happen. */
  fault(where: string, error: unknown): void;
  /**
   * Resolves, with the code to exit with, when all is over and what was written has left the
   * process.
   */
  readonly over: Promise<number>;
}

/** What serves one kind of client. */
interface Served {
  /** Lets what is under way finish, within its time. */
  drain(): Promise<void>;
  flush(): Promise<void>;
}

/**
 * Serves one client on stdin and stdout until it leaves, the clients of --listen until a signal
 * comes, or both until either.
 */
export function serve(settings: Settings): Serving {
  const events = new Events();
  const log = logEvents(events, {
    level: settings.logLevel as LogLevel,
    file: settings.logFile,
    format: settings.logFormat,
  });
  const proxy = new McpProxy(settings, { clock: systemClock, events });
  let finish: (code: number) => void = () => undefined;
  const over = new Promise<number>((resolve) => {
    finish = resolve;
  });

  let leaving = false;
  function leave(how: string, { code = 0, delayed = true } = {}): void {
    if (leaving) return;
    leaving = true;
    events.emit({ type: 'client.gone', how });
    void (async () => {
      if (!listener) proxy.refuseQueued();
      await Promise.all([stdio?.drain(), listener && leaveListener(await listener, delayed)]);
      await proxy.close();
      await Promise.all([stdio?.flush(), settleWithin(systemClock, LOG_FLUSH_MS, log.flush())]);
      finish(code);
    })();
  }

  async function leaveListener({ announce, drain }: RunningListener, delayed: boolean): Promise<void> {
    if (delayed) await announce();
    proxy.refuseQueued();
    await drain();
  }

  const { listener: listening } = settings;
  const stdio = settings.servesStdio ? serveStdio(proxy, settings, leave) : undefined;
  const listener =
    listening &&
    listen({ ...settings, listener: listening }, proxy, events).catch((error: unknown): RunningListener => {
      process.stderr.write(plainText(`mcp-sigv4-proxy: ${causeText(error)}\n`));
      setImmediate(() => leave('it cannot listen', { code: EXIT_CANNOT_LISTEN }));
      return { url: '', announce: async () => undefined, drain: async () => undefined };
    });
  if (process.stderr.isTTY) {
    if (stdio && process.stdin.isTTY) process.stderr.write(AT_A_TERMINAL);
    listener?.then(({ url }) => {
      if (url !== '') process.stderr.write(`mcp-sigv4-proxy: listening on ${url} (Ctrl-C ends it)\n`);
    });
  }
  return {
    leave: (how, atOnce = false) => leave(how, { delayed: !atOnce }),
    renew: () => {
      log.reopen();
      proxy.drainSessions();
      if (stdio) return;
      const message = 'nothing was replaced: the sessions of clients of --listen are their own';
      events.emit({ type: 'session.not-ours', message });
    },
    over,
    stop: () => proxy.stop(),
    fault: (where, error) => events.emit({ type: 'internal.fault', where, message: causeText(error) }),
  };
}

function serveStdio(proxy: McpProxy, settings: Settings, leave: (how: string) => void): Served {
  const stdout = new StdoutWriter((error) => {
    // Nobody reads any more: nothing is worth finishing.
    connection.abandon();
    leave(`stdout broke: ${error.message}`);
  });
  const connection = proxy.connect((text, bytes) => stdout.line(text, bytes));
  readStdin({ stdin: process.stdin, connection, onEnd: leave });
  return {
    drain: () => connection.drain(settings.drainTimeout * 1_000),
    flush: () => stdout.flush(systemClock),
  };
}
