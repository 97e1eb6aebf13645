import type { Logger } from 'pino';
import { causeText } from '../core/errors/errors.ts';
import { Redactor } from '../core/errors/redact.ts';
import type { Events, ProxyEvent } from '../core/pipeline/events.ts';
import { plainJson, plainText } from '../core/system/plain-text.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { fieldsOf, LEVEL_OF } from './event-level.ts';
import { fileTarget, type LineTarget, stderrTarget } from './line-target.ts';
import { LOG_LEVELS, type LogLevel, logFileOf } from './options.ts';
import { RepeatLimit } from './repeat-limit.ts';

const rank = (level: LogLevel): number => LOG_LEVELS.indexOf(level);

export interface LogOptions {
  readonly level: LogLevel;
  readonly file: string | undefined;
  readonly format: string;
}

export interface Log {
  /**
   * Resolves when every line so far is written: the logger is loaded late, and a process may end
   * earlier. It never resolves while stderr is not read.
   */
  flush(): Promise<void>;
  /** Writes a line that is no event. */
  line(text: string): void;
  /** Opens the log file again by its name, after a rotation has renamed it. No line is lost. */
  reopen(): void;
}

/**
 * Writes events as log lines to stderr or a file. The first line loads the logger: most runs write
 * none.
 */
export function logEvents(events: Events, given: LogOptions, clock: Clock = systemClock): Log {
  const options = { ...given, file: logFileOf(given.file) };
  const redactor = new Redactor();
  const wanted = rank(options.level);
  let target: LineTarget | undefined;
  let logger: Promise<Logger> | undefined;
  let written: Promise<void> = Promise.resolve();
  const observe = (event: ProxyEvent): void => {
    if (event.type === 'secret.known') {
      redactor.learn(event.value, event);
      return;
    }
    const level = LEVEL_OF[event.type];
    if (level !== 'never' && rank(level) >= wanted) limit.take(event);
  };
  const write = (event: ProxyEvent): void => {
    const level = LEVEL_OF[event.type];
    if (level === 'never') return;
    const { type } = event;
    const span = events.spanOf(event);
    const ids = span && { trace_id: span.traceId, span_id: span.spanId };
    const fields = { ...fieldsOf(event), ...ids };
    logger ??= openLogger(options, redactor, (opened) => {
      target = opened;
    });
    // A log that cannot be opened must not end a run that works.
    written = logger.then((log) => log[level](fields, type)).catch(() => undefined);
  };
  const limit = new RepeatLimit(clock, write);
  events.subscribe(observe, { detailed: wanted <= rank('debug'), secrets: true });
  return {
    flush: async () => {
      limit.end();
      await written;
      if (logger && options.file === undefined) {
        await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
      }
    },
    line: (text) => {
      logger ??= openLogger(options, redactor, (opened) => {
        target = opened;
      });
      written = logger.then(() => target?.write(redactor.clean(text))).catch(() => undefined);
    },
    reopen: () => {
      if (options.file === undefined) return;
      try {
        target?.reopen?.();
        events.emit({ type: 'log.reopened', file: options.file });
      } catch (error) {
        // The log continues in the previous file.
        events.emit({ type: 'log.reopen-failed', message: causeText(error) });
      }
    },
  };
}

async function openLogger(
  { level, file, format }: LogOptions,
  redactor: Redactor,
  opened: (target: LineTarget) => void,
): Promise<Logger> {
  const { default: pino } = await import('pino');
  // Synchronous: lines written while the process ends must not be lost with it.
  const target = file === undefined ? stderrTarget() : fileTarget(pino, file, { sync: true });
  opened(target);
  // By its default export: bundled, a CommonJS module has no named ones in a dynamic import.
  const pretty =
    format === 'pretty'
      ? (await import('pino-pretty')).default.prettyFactory({ colorize: false })
      : undefined;
  const destination = {
    write(line: string): void {
      // Redaction works on the finished line, so that no nested or new field can leak a secret. A
      // person reads the server's text in a terminal: control characters are removed as well.
      const clean = plainJson(redactor.clean(line));
      target.write(pretty ? plainText(pretty(clean)) : clean);
    },
  };
  return pino({ level, base: { name: 'mcp-sigv4-proxy', pid: process.pid } }, destination);
}
