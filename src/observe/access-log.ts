import { causeText } from '../core/errors/errors.ts';
import { Redactor } from '../core/errors/redact.ts';
import { isObject, paramsOf, type Request } from '../core/jsonrpc/message.ts';
import type { RequestHeaders } from '../core/pipeline/call.ts';
import type { CallRecord, Client } from '../core/pipeline/call-record.ts';
import type { Events } from '../core/pipeline/events.ts';
import { plainJson } from '../core/system/plain-text.ts';
import type { Clock } from '../core/time/clock.ts';
import { accessLine, argumentsTextOf, idTextOf, refusalLine, type SigningIdentity } from './access-line.ts';
import { inBatches } from './line-batch.ts';
import { fileTarget, type LineTarget, stderrTarget } from './line-target.ts';
import { logFileOf } from './options.ts';

export interface AccessLogOptions {
  /** The file, or undefined or a name of stderr. */
  readonly file: string;
  readonly withArguments: boolean;
  readonly events: Events;
  readonly clock: Clock;
  /** Returns the identity that signs for a profile, without a request. */
  readonly identityOf: (profile: string, client: Client) => SigningIdentity | undefined;
}

export interface AccessLog {
  /** Resolves when every line so far is written. */
  flush(): Promise<void>;
  /** Opens the file again by its name, after a rotation has renamed it. */
  reopen(): void;
}

/** The parts of a request that are kept until it ends. */
interface Kept {
  readonly id: string;
  readonly traceId: string | undefined;
  readonly userAgent: string | undefined;
  readonly argumentsText: string | undefined;
}

const TRACE_ID = /^[0-9a-f]{2}-([0-9a-f]{32})-/;

/**
 * Writes one JSON line for each request of a client. The first line loads what writes it, after its
 * call has ended.
 */
export function writeAccessLog(options: AccessLogOptions): AccessLog {
  const { events, clock, withArguments } = options;
  const file = options.file === 'stderr' ? undefined : logFileOf(options.file);
  const redactor = new Redactor();
  const kept = new WeakMap<CallRecord, Kept>();
  /** The client's name on stdio, where no header states it. */
  let product: string | undefined;
  let target: Promise<LineTarget | undefined> | undefined;
  let opened: LineTarget | undefined;
  let dropped = false;

  const onDrop = (): void => {
    if (dropped) return;
    dropped = true;
    events.emit({ type: 'access-log.behind', message: DROPPED });
  };
  const open = async (): Promise<LineTarget | undefined> => {
    try {
      const target =
        file === undefined
          ? stderrTarget()
          : fileTarget((await import('pino')).default, file, { sync: false, onDrop });
      opened = inBatches(target, clock);
    } catch (error) {
      events.emit({ type: 'log.reopen-failed', message: `the access log: ${causeText(error)}` });
    }
    return opened;
  };
  const write = (line: string): void => {
    const clean = plainJson(redactor.clean(line));
    if (opened) opened.write(clean);
    else {
      target ??= open();
      void target.then((ready) => ready?.write(clean));
    }
  };
  const keep = (record: CallRecord, request: Request, headers: RequestHeaders | undefined): void => {
    if (record.transport === 'stdio') product = productOf(request) ?? product;
    kept.set(record, {
      id: idTextOf(request),
      traceId: traceIdOf(request, headers),
      userAgent: record.userAgent ?? product,
      argumentsText: withArguments ? argumentsTextOf(request) : undefined,
    });
  };
  const end = (record: CallRecord): void => {
    const facts = kept.get(record);
    if (!facts) return;
    // Without an attempt nothing was signed.
    const identity = record.attempts > 0 ? options.identityOf(record.profile, record.client) : undefined;
    write(accessLine(record, { ...facts, traceId: record.span?.traceId ?? facts.traceId, identity }));
  };
  events.subscribe(
    (event) => {
      if (event.type === 'call.begun') keep(event.record, event.request, event.headers);
      else if (event.type === 'call.ended') end(event.record);
      else if (event.type === 'client.refused') write(refusalLine(event, clock.now()));
      else if (event.type === 'secret.known') redactor.learn(event.value, event);
    },
    { detailed: false, records: true, secrets: true },
  );
  return {
    flush: async () => {
      await target;
      opened?.flush?.();
      if (file === undefined && target)
        await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
    },
    reopen: () => {
      if (file === undefined) return;
      try {
        opened?.reopen?.();
        events.emit({ type: 'log.reopened', file });
      } catch (error) {
        // The log continues in the previous file.
        events.emit({ type: 'log.reopen-failed', message: `the access log: ${causeText(error)}` });
      }
    },
  };
}

const DROPPED =
  'The access log cannot be written as fast as calls end: lines are missing. Name a file on a faster disk with --access-log. This is logged once';

/** The trace that the client's request belongs to. */
function traceIdOf(request: Request, headers: RequestHeaders | undefined): string | undefined {
  const { _meta } = paramsOf(request);
  const given = (isObject(_meta) ? _meta.traceparent : undefined) ?? headers?.traceparent;
  return typeof given === 'string' ? TRACE_ID.exec(given)?.[1] : undefined;
}

/**
 * The name and version that a client states in `initialize`, or in each request since 2026-07-28.
 */
function productOf(request: Request): string | undefined {
  const { clientInfo, _meta } = paramsOf(request);
  const stated = isObject(_meta) ? _meta['io.modelcontextprotocol/clientInfo'] : undefined;
  const info = request.method === 'initialize' ? clientInfo : stated;
  if (!isObject(info) || typeof info.name !== 'string') return undefined;
  return typeof info.version === 'string' ? `${info.name}/${info.version}` : info.name;
}
