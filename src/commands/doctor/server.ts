import { ERROR_SOURCE } from '../../core/errors/errors.ts';
import { isObject, type Response } from '../../core/jsonrpc/message.ts';
import { type Clock, settleWithin, systemClock } from '../../core/time/clock.ts';
import { isUnfiltered } from '../../layers/tool-filter.ts';
import type { Settings } from '../../settings.ts';
import type { CommandClient } from '../command-client.ts';
import { errorTextOf, type ServerFacts, serverFactsOf } from '../server-answer.ts';
import { listTools, noTools } from '../tool-list.ts';
import { durationText, type Finding, failed, ok, skipped, warning } from './finding.ts';
import type { Record } from './record.ts';

/** As `--timeout` bounds each request; a list of many slow pages must end as well. */
const LIST_LIMIT_MS = 60_000;
/** Below that the way and the work between two honest clocks account for it. */
const SKEW_WORTH_TELLING_MS = 60_000;

export interface ServerCheck {
  readonly client: CommandClient;
  readonly record: Record;
  readonly clock?: Clock;
}

export interface Opened {
  readonly finding: Finding;
  /** Undefined where the handshake failed. */
  readonly facts: ServerFacts | undefined;
}

/** Shakes hands with the server. */
export async function initializeFinding({ client, record }: ServerCheck): Promise<Opened> {
  const check = 'initialize';
  const answer = await client.open();
  const status = record.responses.at(-1)?.status;
  const http = status === undefined ? '' : `HTTP ${status}, `;
  if (answer.outcome === 'error') {
    return { finding: refused(check, http, answer, HANDSHAKE_REMEDY), facts: undefined };
  }
  const facts = serverFactsOf(answer);
  const server = [facts.name ?? 'a server without a name', facts.version].filter(Boolean).join(' ');
  const revision = `revision ${facts.protocolVersion ?? 'unknown'}`;
  const sessionText = record.hasSessionId ? 'with a session' : 'without a session';
  return { finding: ok(check, `${http}${server}, ${revision}, ${sessionText}`), facts };
}

const HANDSHAKE_REMEDY =
  "The server itself turned the handshake down: its words and its log tell why. Check that the endpoint's path is that of an MCP server.";

/** An error answer: the proxy's own errors say what to do about them. */
function refused(check: string, http: string, answer: Response, remedy: string): Finding {
  const error = isObject(answer.json.error) ? answer.json.error : {};
  const data = isObject(error.data) ? error.data : {};
  if (data.source !== ERROR_SOURCE) return failed(check, `${http}${errorTextOf(answer)}`, remedy);
  const verdict = typeof data.verdict === 'string' ? ` (${data.verdict})` : '';
  return failed(check, `${http}${String(data.reason)}${verdict}`, errorTextOf(answer));
}

/**
 * This machine's clock beside the server's: signatures are refused when the two differ by five
 * minutes.
 */
export function clockFinding(record: Record): Finding {
  const check = 'clock';
  const [first] = record.responses;
  if (!first) return skipped(check, 'needs an answer of the server');
  const { aheadMs } = first;
  if (aheadMs === undefined) return skipped(check, 'the server tells no date');
  if (Math.abs(aheadMs) < SKEW_WORTH_TELLING_MS) {
    return ok(check, "within a minute of the server's");
  }
  return warning(
    check,
    `${durationText(aheadMs)} ${aheadMs > 0 ? 'behind' : 'ahead of'} the server's`,
    "Set this machine's clock (NTP). AWS refuses signatures that are 5 minutes off; the proxy corrects its own after a first refusal.",
  );
}

/** Lists the tools, over all pages. */
export async function toolsFinding(
  { client, settings, clock = systemClock }: ServerCheck & { readonly settings: Settings },
  facts: ServerFacts,
): Promise<Finding> {
  const check = 'tools/list';
  if (!facts.offersTools) return skipped(check, 'the server declares no tools');
  const list = await settleWithin(clock, LIST_LIMIT_MS, listTools(client));
  const remedy = "The server's log tells more; until it can list its tools, clients show none.";
  switch (list?.kind) {
    case undefined:
      return failed(check, `no end within ${LIST_LIMIT_MS / 1000} s`, remedy);
    case 'refused':
      return refused(check, '', list.answer, remedy);
    case 'unusable':
      return failed(check, list.what, remedy);
    case 'tools': {
      const { texts, pages } = list;
      if (texts.length === 0 && !isUnfiltered(settings)) {
        return warning(
          check,
          noTools(settings),
          'Name the tools that you trust with --allow-tool, or look at the globs of --deny-tool: clients show no tools now.',
        );
      }
      const count = texts.length === 1 ? '1 tool' : `${texts.length} tools`;
      return ok(check, `${count} on ${pages === 1 ? '1 page' : `${pages} pages`}`);
    }
  }
}

/** Whether the second request found the first one's connection. */
export function reuseFinding(record: Record, { keepConnections }: Settings): Finding {
  const check = 'connection reuse';
  if (keepConnections === 0) return skipped(check, 'none is kept (--max-keepalive-connections 0)');
  if (record.opened <= 1) return ok(check, 'the second request went over the connection of the first');
  return warning(
    check,
    `${record.opened} connections for requests that came one after the other`,
    'The server, or what stands in front of it, closes connections after an answer: each call pays for a new one. Ask whoever runs it to keep them open.',
  );
}

/**
 * How many requests go out at once: a client that calls more tools than that in parallel waits, and
 * nothing else shows it.
 */
export function parallelFinding(record: Record, { maxConnections, keepConnections }: Settings): Finding {
  const check = 'parallel calls';
  const detail = `${maxConnections} at once for each profile, ${keepConnections} of the connections kept; more calls wait in order`;
  const remedy = 'Raise --max-connections, as far as the server takes requests at once.';
  if (record.hasWaited) return warning(check, `${detail}, and some have waited`, remedy);
  return ok(check, `${detail} (--max-connections)`);
}

/** What the server said to the end of the session. */
export function closedFinding({ hasSessionId, sessionClosed }: Record): Finding {
  const check = 'session closed';
  if (!hasSessionId) return skipped(check, 'the server gave no session id');
  const [, status = ''] = /^HTTP (\d+)/.exec(sessionClosed ?? '') ?? [];
  if (/^2\d\d$/.test(status)) return ok(check, sessionClosed ?? '');
  if (status === '405') return ok(check, 'the server ends sessions itself (HTTP 405 to DELETE)');
  return warning(
    check,
    sessionClosed ?? 'nothing was heard of it',
    'The server keeps the session until it expires. Calls are not affected; its log may tell why.',
  );
}
