import { atMost, systemClock } from '../core/clock.ts';
import { causeText } from '../core/errors.ts';
import { Events } from '../core/events.ts';
import { readStdin } from '../front/stdio.ts';
import { StdoutWriter } from '../front/stdout.ts';
import { logEvents } from '../observe/log.ts';
import type { LogLevel } from '../observe/options.ts';
import { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

/** Long enough for a reader that reads at all; one that does not must not keep the process. */
const LOG_FLUSH_MS = 500;

export interface Serving {
  /** Starts the orderly end: calls in flight may finish within the drain time, the session is deleted. */
  leave(how: string): void;
  /** Ends what would outlive the process, at once. */
  stop(): void;
  /** Reports what should never happen. */
  fault(where: string, error: unknown): void;
  /** Resolves when all is over and what was written has left the process. */
  readonly over: Promise<void>;
}

/** Serves one client on stdin and stdout until it leaves. */
export function serve(settings: Settings): Serving {
  const events = new Events();
  const log = logEvents(events, {
    level: settings.logLevel as LogLevel,
    file: settings.logFile,
    format: settings.logFormat,
  });
  const proxy = new McpProxy(settings, { clock: systemClock, events });
  let finish: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    finish = resolve;
  });

  const stdout = new StdoutWriter((error) => {
    // Nobody reads any more: nothing is worth finishing.
    connection.abandon();
    leave(`stdout broke: ${error.message}`);
  });
  const connection = proxy.connect((text) => stdout.line(text));

  let leaving = false;
  function leave(how: string): void {
    if (leaving) return;
    leaving = true;
    events.emit({ type: 'client.gone', how });
    void (async () => {
      proxy.refuseQueued();
      await connection.drain(settings.drainTimeout * 1_000);
      await proxy.close();
      await Promise.all([stdout.flush(systemClock), atMost(systemClock, LOG_FLUSH_MS, log.flush())]);
      finish();
    })();
  }

  readStdin({ stdin: process.stdin, connection, onEnd: leave });
  return {
    leave,
    over,
    stop: () => proxy.stop(),
    fault: (where, error) => events.emit({ type: 'internal.fault', where, message: causeText(error) }),
  };
}
