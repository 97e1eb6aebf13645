import { Redactor } from '../core/errors/redact.ts';
import type { Events, ProxyEvent } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import { fieldsOf, LEVEL_OF } from './event-level.ts';
import { RepeatLimit } from './repeat-limit.ts';

/** The functions of a logger, by falling severity. */
export const LOGGER_LEVELS = ['error', 'warn', 'info', 'debug'] as const;

type LoggerLevel = (typeof LOGGER_LEVELS)[number];

/** Writes one line: the type of an event, such as `session.lost`, and its fields. */
export type LogFunction = (message: string, fields: object) => unknown;

/**
 * A logger of a program, for example `console`. Leave out a level to drop it; without `debug`, the
 * events of each message are not even built. A function that throws or rejects has no effect.
 */
export interface Logger {
  /** Faults that no answer shows. */
  readonly error?: LogFunction | undefined;
  /** Faults that a caller also gets as an answer. */
  readonly warn?: LogFunction | undefined;
  /** Sessions, credentials and streams: what changes seldom. */
  readonly info?: LogFunction | undefined;
  /** Each request and each call. */
  readonly debug?: LogFunction | undefined;
}

const isLevel = (level: string): level is LoggerLevel => LOGGER_LEVELS.some((known) => known === level);

/** Passes events to the logger of a program, without secrets, and repeated ones in bounds. */
export function logTo(logger: Logger, events: Events, clock: Clock): void {
  const redactor = new Redactor();
  const write = (event: ProxyEvent): void => {
    const level = LEVEL_OF[event.type];
    if (!isLevel(level)) return;
    try {
      // On the whole text, as in the log file: no nested or new field can contain a secret.
      const fields = JSON.parse(redactor.clean(JSON.stringify(fieldsOf(event)))) as object;
      const written = logger[level]?.(event.type, fields);
      if (written instanceof Promise) written.catch(() => undefined);
    } catch {
      // A program's logger must not end a call that works.
    }
  };
  const limit = new RepeatLimit(clock, write);
  const observe = (event: ProxyEvent): void => {
    if (event.type === 'secret.known') {
      redactor.learn(event.value, event);
      return;
    }
    const level = LEVEL_OF[event.type];
    if (isLevel(level) && logger[level] !== undefined) limit.take(event);
  };
  events.subscribe(observe, { detailed: logger.debug !== undefined, secrets: true });
}
