import { COMMANDS } from '../command-table.ts';
import { readFlags } from '../config/option.ts';
import { causeText } from '../core/errors/errors.ts';
import { systemClock } from '../core/time/clock.ts';
import { sleep } from '../core/time/waits.ts';
import type { StatusReport } from '../observe/status/report.ts';
import { type CommandContext, printError } from './command.ts';
import { statusText } from './status-text.ts';

/** The port of the examples. No other well-known exporter uses it. */
const DEFAULT_URL = 'http://127.0.0.1:9464/';
/** The refresh interval of the status page. */
const WATCH_MS = 2_000;
const FETCH_LIMIT_MS = 10_000;
/** Moves to the top left corner and erases everything below. */
const REDRAW = '\u001b[H\u001b[J';

/** Prints the state of a running proxy, read from the address of its --status. */
export async function run({ args, settings, stdout, stderr, signal }: CommandContext): Promise<number> {
  const { watch, json } = readFlags(COMMANDS.status.options, args.options).values;
  const url = urlOf(args.words[0], settings.env);
  if (url === undefined) {
    printError(stderr, `${JSON.stringify(args.words[0])} is no http URL such as ${DEFAULT_URL}`);
    return 2;
  }
  for (;;) {
    try {
      const report = await fetchReport(url, settings.env.MCP_PROXY_STATUS_TOKEN, signal);
      if (json) stdout.json(`${JSON.stringify(report)}\n`);
      else {
        if (watch && stdout.isTerminal) stdout.control(REDRAW);
        stdout.write(statusText(report, stdout.isTerminal ? stdout.columns : undefined));
      }
    } catch (error) {
      if (signal.aborted) return 0;
      printError(stderr, messageOf(url, error));
      if (!watch) return 1;
    }
    if (!watch) return 0;
    await sleep(systemClock, WATCH_MS, signal).catch(() => undefined);
    if (signal.aborted) return 0;
  }
}

/** The URL that was named, that of MCP_PROXY_STATUS, or the default. */
function urlOf(named: string | undefined, env: NodeJS.ProcessEnv): URL | undefined {
  const configured = env.MCP_PROXY_STATUS;
  const text = named ?? (configured ? `http://${configured}/` : DEFAULT_URL);
  if (!URL.canParse(text)) return undefined;
  const url = new URL('status.json', text.endsWith('/') ? text : `${text}/`);
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
}

class StatusError extends Error {}

async function fetchReport(url: URL, token: string | undefined, signal: AbortSignal): Promise<StatusReport> {
  const response = await fetch(url, {
    headers: token ? { authorization: `Bearer ${token}` } : {},
    signal: AbortSignal.any([signal, AbortSignal.timeout(FETCH_LIMIT_MS)]),
    redirect: 'error',
  });
  if (response.status === 401)
    throw new StatusError('it needs the secret of its --status-token: set MCP_PROXY_STATUS_TOKEN');
  if (!response.ok) throw new StatusError(`it answered HTTP ${response.status}`);
  const report = (await response.json()) as Partial<StatusReport>;
  if (!Array.isArray(report.profiles)) throw new StatusError('it is no status of mcp-sigv4-proxy');
  return report as StatusReport;
}

function messageOf(url: URL, error: unknown): string {
  const cause = causeText(error);
  return `The status at ${url.origin} cannot be read: ${cause}.${error instanceof StatusError ? '' : ' Is the proxy running, with --status?'}`;
}
