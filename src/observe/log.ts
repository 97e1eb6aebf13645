import type { Logger } from 'pino';
import { causeText } from '../core/errors/errors.ts';
import { Redactor } from '../core/errors/redact.ts';
import type { Events, ProxyEvent } from '../core/pipeline/events.ts';
import { plainJson, plainText } from '../core/system/plain-text.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { fileTarget, type LineTarget, stderrTarget } from './line-target.ts';
import { LOG_LEVELS, type LogLevel, logFileOf } from './options.ts';
import { RecentCalls } from './recent-calls.ts';
import { RepeatLimit } from './repeat-limit.ts';

type Written = Exclude<LogLevel, 'silent'>;

/**
 * The log level of each event. Clients show every line of stderr as an error: a fault that also
 * reaches the caller as an answer is a warning, and a fault that only the log shows is an error.
 */
const LEVEL_OF: Readonly<Record<ProxyEvent['type'], Written | 'never'>> = {
  'secret.known': 'never',
  'message.received': 'trace',
  'message.sent': 'trace',
  'http.request': 'debug',
  'http.response': 'debug',
  'http.ended': 'trace',
  'connection.awaited': 'info',
  'connection.waited': 'trace',
  'connection.opened': 'debug',
  'connection.closed': 'debug',
  'connection.silent': 'info',
  'call.begun': 'trace',
  'call.ended': 'debug',
  'call.cancelled': 'debug',
  'call.retried': 'debug',
  'rate.learned': 'debug',
  'rate.limited': 'debug',
  'server.throttled': 'debug',
  // Callers get an error each.
  'call.overloaded': 'debug',
  'breaker.opened': 'warn',
  'breaker.half-opened': 'info',
  'breaker.closed': 'info',
  'breaker.refused': 'debug',
  'client.cancel-unknown': 'debug',
  'stream.opened': 'debug',
  'stream.unavailable': 'debug',
  'stream.ended': 'info',
  'session.opened': 'info',
  'session.closed': 'info',
  'session.lost': 'info',
  'session.borrowed': 'trace',
  'session.returned': 'trace',
  'session.checked': 'debug',
  'session.not-ours': 'warn',
  'session.open-failed': 'warn',
  'snapshot.unusable': 'warn',
  'stream.resumed': 'debug',
  'credentials.resolved': 'info',
  'proxy.draining': 'info',
  'client.gone': 'info',
  'client.disconnected': 'info',
  'listener.tokens-read': 'info',
  'listener.opened': 'info',
  'status.opened': 'info',
  'listener.not-ready': 'warn',
  'listener.ready': 'info',
  'listener.leaving': 'info',
  'client.refused': 'warn',
  'tool.call-refused': 'warn',
  // No answer shows it: new tokens are refused while old ones stay valid.
  'listener.tokens-unusable': 'error',
  'listener.tls-unusable': 'error',
  'client.handshake-failed': 'warn',
  'client.line-invalid': 'warn',
  'client.response-unexpected': 'warn',
  'client.message-dropped': 'warn',
  'call.failed': 'warn',
  'notification.failed': 'warn',
  'upstream.message-dropped': 'warn',
  'upstream.other-id': 'warn',
  'tool.invalid': 'warn',
  'http.failed': 'warn',
  'auth.rejected': 'warn',
  'clock.corrected': 'warn',
  'credentials.missing': 'debug',
  // Reported as an answer, or as a failed refresh.
  'credentials.failed': 'debug',
  'credentials.refresh-failed': 'warn',
  // The client continues with an older revision, and no answer shows the reason.
  'probe.failed': 'error',
  'list.cut': 'warn',
  'tools.listed': 'debug',
  'tools.changed': 'info',
  'tools.refresh-failed': 'warn',
  'tools.hidden': 'info',
  'tools.glob-unmatched': 'warn',
  'tools.all-hidden': 'error',
  'tool.keeps-argument': 'warn',
  // No answer shows them: calls go on with other limits than the operator has set.
  'limits.local': 'error',
  'limits.differ': 'error',
  'limits.shared': 'info',
  // No answer shows them: calls work without telemetry.
  'telemetry.unusable': 'error',
  'telemetry.export-failed': 'error',
  'log.lines-omitted': 'warn',
  'cloudwatch.failed': 'error',
  'access-log.behind': 'error',
  'log.reopened': 'info',
  'log.reopen-failed': 'error',
  'hook.failed': 'warn',
  'internal.fault': 'error',
};

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
    if (event.type === 'call.begun' && wanted <= rank('warn') && events.traces) calls.add(event.record);
    const level = LEVEL_OF[event.type];
    if (level !== 'never' && rank(level) >= wanted) limit.take(event);
  };
  const write = (event: ProxyEvent): void => {
    const level = LEVEL_OF[event.type];
    if (level === 'never') return;
    const { type } = event;
    const fields = { ...fieldsOf(event), ...calls.idsOf(event) };
    logger ??= openLogger(options, redactor, (opened) => {
      target = opened;
    });
    // A log that cannot be opened must not end a run that works.
    written = logger.then((log) => log[level](fields, type)).catch(() => undefined);
  };
  const calls = new RecentCalls();
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

/** The measurements of a call so far; its message is in `message.received`. */
function fieldsOf(event: ProxyEvent): object {
  const { type: _type, ...fields } = event;
  return 'record' in fields ? { ...fields.record, span: undefined } : fields;
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
