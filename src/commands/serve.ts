import type { ListenPrivately } from '../client/http/open-server.ts';
import type { Readiness } from '../client/http/readiness.ts';
import { readStdin } from '../client/stdio/stdio.ts';
import { StdoutWriter } from '../client/stdio/stdout.ts';
import { causeText } from '../core/errors/errors.ts';
import type { Client } from '../core/pipeline/call-record.ts';
import { Events, type ProxyEvent } from '../core/pipeline/events.ts';
import type { Peers } from '../core/pipeline/peers.ts';
import type { ListenerState } from '../core/pipeline/proxy-state.ts';
import { plainText } from '../core/system/plain-text.ts';
import { systemClock } from '../core/time/clock.ts';
import { settleWithin } from '../core/time/waits.ts';
import type { HttpClients } from '../http-clients.ts';
import type { SharedLimits } from '../limits/shared-limits.ts';
import type { AccessLog, AccessLogOptions } from '../observe/access-log.ts';
import type { CloudWatchPublisher } from '../observe/cloudwatch/publisher.ts';
import { logEvents } from '../observe/log.ts';
import type { ProxyMetrics } from '../observe/metrics/proxy-metrics.ts';
import type { LogLevel } from '../observe/options.ts';
import type { Telemetry, TelemetryOptions } from '../observe/tracing/telemetry.ts';
import { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';
import type { listen, RunningListener } from './listen.ts';
import type { MeasureDeps, PublishDeps } from './measure.ts';
import type { RunningStatus, StatusDeps } from './status-server.ts';

/** A log reader that has stopped reading must not keep the process alive. */
const LOG_FLUSH_MS = 500;
/** Time for telemetry if calls in flight have used up --drain-timeout. */
const MIN_FLUSH_MS = 250;
/** Not EXIT_USAGE: the settings are valid, and the port may be free later. */
const EXIT_CANNOT_LISTEN = 1;

/** Without this hint a user who starts the program in a shell sees nothing happen. */
const TERMINAL_HINT = `mcp-sigv4-proxy speaks MCP on stdin and stdout. An MCP client usually starts it; now it waits for JSON-RPC lines. Press Ctrl-C to end it.
  mcp-sigv4-proxy doctor           checks credentials, network and server
  mcp-sigv4-proxy tools            lists the tools; call <tool> calls one
  mcp-sigv4-proxy config <client>  prints the block for an MCP client
  mcp-sigv4-proxy --help           shows the common options
`;

export interface Serving {
  /**
   * Starts the shutdown: calls in flight may finish in the drain time, then sessions are closed.
   * @param atOnce - skip --drain-delay.
   */
  leave(how: string, atOnce?: boolean): void;
  /** Cuts connections and kills child processes at once. */
  stop(): void;
  /** Reopens the log file and replaces the sessions; calls in flight continue. */
  renew(): void;
  /** Reports an internal fault. */
  fault(where: string, error: unknown): void;
  /** Resolves with the exit code when everything is closed and the output is flushed. */
  readonly over: Promise<number>;
}

/** Optional parts, which are loaded only if the settings need them. */
export interface LoadedParts {
  readonly startTelemetry?: (options: TelemetryOptions) => Telemetry | undefined;
  readonly writeAccessLog?: (options: AccessLogOptions) => AccessLog;
  readonly measure?: (deps: MeasureDeps) => ProxyMetrics;
  readonly publish?: (deps: PublishDeps) => CloudWatchPublisher | undefined;
  readonly serveStatus?: (deps: StatusDeps) => Promise<RunningStatus>;
  /** The parts behind --listen. */
  readonly listener?: {
    readonly HttpClients: typeof HttpClients;
    readonly listen: typeof listen;
  };
  /** Opens the limits that several processes share. */
  readonly openLimits?: (events: Events) => SharedLimits;
  /** Present in a worker, whose primary process opens the address. */
  readonly worker?: {
    readonly listenPrivately: ListenPrivately;
    /** The other workers. */
    readonly peers: Peers;
    /** Called with the address when the listener is open. */
    readonly listening: (url: string) => void;
  };
}

/** True where an option needs metrics. */
export const measures = ({ status, cloudwatchNamespace, logFormat }: Settings): boolean =>
  status !== undefined || cloudwatchNamespace !== undefined || logFormat === 'emf';

/** The stdio side of serving. */
interface Served {
  /** Lets calls in flight finish within the drain time. */
  drain(): Promise<void>;
  flush(): Promise<void>;
}

/**
 * Serves the client on stdin and stdout until it disconnects, the clients of --listen until a
 * signal arrives, or both until either happens.
 * @param parts - those that the settings ask for.
 */
export function serve(settings: Settings, parts: LoadedParts = {}): Serving {
  const { startTelemetry, writeAccessLog, measure, publish, serveStatus, openLimits, worker } = parts;
  const events = new Events();
  const log = logEvents(events, {
    level: settings.logLevel as LogLevel,
    file: settings.logFile,
    format: settings.logFormat,
  });
  const { accessLog: accessFile, accessLogArguments: withArguments } = settings;
  let identities: RunningListener['identities'];
  const identityOf = (profile: string, { token }: Client) =>
    ((token === undefined ? undefined : identities?.signerOf(token)) ?? proxy).signingIdentity(profile);
  const accessLog =
    accessFile === undefined
      ? undefined
      : writeAccessLog?.({ file: accessFile, withArguments, events, clock: systemClock, identityOf });
  const { env, endpoint, listener: listening } = settings;
  const telemetry = startTelemetry?.({
    env,
    endpoint,
    version: VERSION,
    events,
    clock: systemClock,
    loadConnect: async () => (await import('../upstream/http/collector.ts')).connectCollector,
  });
  // Created before the proxy, which reports the secrets of the settings.
  const isMeasured = measures(settings) || telemetry?.sendsMetrics === true;
  const takeEarly = isMeasured ? bufferEvents(events) : undefined;
  const sharedLimits = openLimits?.(events);
  const proxy = new McpProxy(settings, {
    clock: systemClock,
    events,
    sharedLimits,
    HttpClients: parts.listener?.HttpClients,
    peers: worker?.peers,
  });
  let state: () => ListenerState | undefined = () => undefined;
  const metrics =
    takeEarly &&
    measure?.({
      ...{ settings, proxy, events, early: takeEarly() },
      listener: () => state(),
      identities: () => identities,
    });
  if (metrics) telemetry?.measure(() => metrics.read());
  let leaving = false;
  let readiness: Promise<Readiness> | undefined;
  /** One for the listener and the status address. Loaded for them only. */
  const readinessOf = (): Promise<Readiness> => {
    readiness ??= import('./ready-checks.ts').then(({ createReadiness }) =>
      createReadiness({ proxy, settings, events, identities: () => identities }),
    );
    return readiness;
  };
  const unreadyReason = async (): Promise<string | undefined> => {
    const reason = await (await readinessOf()).reason();
    return leaving ? 'leaving' : reason;
  };
  const publisher = metrics && publish?.({ settings, proxy, events, metrics, line: log.line });
  const status =
    metrics && settings.status !== undefined
      ? serveStatus?.({ settings, proxy, events, metrics, unreadyReason })
      : undefined;
  status?.then(
    ({ url }) => {
      if (process.stderr.isTTY && url !== '') process.stderr.write(`mcp-sigv4-proxy: status at ${url}\n`);
    },
    (error: unknown) => cannotListen(error),
  );
  let finish: (code: number) => void = () => undefined;
  const over = new Promise<number>((resolve) => {
    finish = resolve;
  });

  const drainMs = (listening?.drainTimeout ?? settings.drainTimeout) * 1_000;
  function leave(how: string, { code = 0, delayed = true } = {}): void {
    if (leaving) return;
    leaving = true;
    events.emit({ type: 'client.gone', how });
    const since = systemClock.monotonic();
    const leftMs = (): number => Math.max(MIN_FLUSH_MS, drainMs - (systemClock.monotonic() - since));
    void (async () => {
      if (!listener) proxy.refuseQueued();
      await Promise.all([stdio?.drain(), listener && leaveListener(await listener, delayed)]);
      await proxy.close(() => publisher?.flush(leftMs()));
      await status?.then(({ close }) => close()).catch(() => undefined);
      await Promise.all([stdio?.flush(), telemetry?.flush(leftMs())]);
      metrics?.close();
      // Flushed last, because the flushes before may have logged a failure.
      await settleWithin(systemClock, LOG_FLUSH_MS, Promise.all([log.flush(), accessLog?.flush()]));
      finish(code);
    })();
  }

  function cannotListen(error: unknown): void {
    process.stderr.write(plainText(`mcp-sigv4-proxy: ${causeText(error)}\n`));
    setImmediate(() => leave('cannot listen', { code: EXIT_CANNOT_LISTEN }));
  }

  async function leaveListener({ announce, drain }: RunningListener, delayed: boolean): Promise<void> {
    if (delayed) await announce();
    // Queued calls still run within the drain time.
    await drain();
  }

  const stdio = settings.servesStdio ? serveStdio(proxy, settings, leave) : undefined;
  const listener =
    listening &&
    parts.listener
      ?.listen({ ...settings, listener: listening }, proxy, events, readinessOf, worker)
      .catch((error: unknown): RunningListener => {
        cannotListen(error);
        return {
          url: '',
          state: () => ({ url: '', connections: 0, requests: 0, streams: 0 }),
          announce: async () => undefined,
          drain: async () => undefined,
          identities: undefined,
        };
      });
  listener?.then((running) => {
    state = running.state;
    identities = running.identities;
    if (running.url !== '') worker?.listening(running.url);
  });
  if (process.stderr.isTTY && !worker) {
    if (stdio && process.stdin.isTTY) process.stderr.write(TERMINAL_HINT);
    listener?.then(({ url }) => {
      if (url !== '') process.stderr.write(`mcp-sigv4-proxy: listening on ${url} (press Ctrl-C to end)\n`);
    });
  }
  return {
    leave: (how, atOnce = false) => leave(how, { delayed: !atOnce }),
    renew: () => {
      log.reopen();
      accessLog?.reopen();
      proxy.drainSessions();
      if (stdio) return;
      const message = 'no session was replaced: clients of --listen own their sessions';
      events.emit({ type: 'session.not-ours', message });
    },
    over,
    stop: () => proxy.stop(),
    fault: (where, error) => events.emit({ type: 'internal.fault', where, message: causeText(error) }),
  };
}

/**
 * Buffers events until the metrics exist: these need the proxy, which emits events before.
 * @returns a function that returns the events and ends the buffering.
 */
function bufferEvents(events: Events): () => readonly ProxyEvent[] {
  const early: ProxyEvent[] = [];
  let isTaken = false;
  events.subscribe((event) => void (isTaken || early.push(event)), { detailed: false, secrets: true });
  return () => {
    isTaken = true;
    return early.splice(0);
  };
}

function serveStdio(proxy: McpProxy, settings: Settings, leave: (how: string) => void): Served {
  const stdout = new StdoutWriter((error) => {
    // The client is gone: no answer can reach it.
    connection.abandon();
    leave(`writing to stdout failed: ${error.message}`);
  });
  const connection = proxy.connect(
    Object.assign((text: string) => stdout.line(text), { bytes: (line: Buffer) => stdout.line(line) }),
  );
  readStdin({ stdin: process.stdin, connection, onEnd: leave });
  return {
    drain: () => connection.drain(settings.drainTimeout * 1_000),
    flush: () => stdout.flush(systemClock),
  };
}
