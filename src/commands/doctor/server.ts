import { ERROR_SOURCE } from '../../core/errors/errors.ts';
import { isObject, type Response } from '../../core/jsonrpc/message.ts';
import { type Clock, systemClock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { isUnfiltered } from '../../layers/tool-filter/rules.ts';
import type { Settings } from '../../settings.ts';
import type { CommandClient } from '../command-client.ts';
import { errorTextOf, type ServerFacts, serverFactsOf } from '../server-answer.ts';
import { listTools, noToolsText } from '../tool-list.ts';
import { durationText, type Finding, failed, ok, skipped, warning } from './finding.ts';
import type { Observations } from './observations.ts';

/** `--timeout` limits each page; this limits the whole list. */
const MAX_LIST_MS = 60_000;
/** Smaller differences can come from the network and from the work of the server. */
const MIN_REPORTED_SKEW_MS = 60_000;

export interface ServerCheck {
  readonly client: CommandClient;
  readonly observations: Observations;
  readonly clock?: Clock;
}

export interface InitializeResult {
  readonly finding: Finding;
  /** Undefined if the handshake failed. */
  readonly facts: ServerFacts | undefined;
}

/** Opens a session, or a stateless connection. */
export async function checkInitialize({ client, observations }: ServerCheck): Promise<InitializeResult> {
  const check = 'initialize';
  const answer = await client.open();
  const status = observations.responses.at(-1)?.status;
  const http = status === undefined ? '' : `HTTP ${status}, `;
  if (answer.outcome === 'error') {
    return { finding: errorFinding(check, http, answer, INITIALIZE_REMEDY), facts: undefined };
  }
  const facts = serverFactsOf(answer);
  const server = [facts.name ?? 'a server without a name', facts.version].filter(Boolean).join(' ');
  const revision = `revision ${facts.protocolVersion ?? 'unknown'}`;
  const sessionText = observations.hasSessionId ? 'with a session' : 'without a session';
  return { finding: ok(check, `${http}${server}, ${revision}, ${sessionText}`), facts };
}

const INITIALIZE_REMEDY =
  'The server itself refused initialize: its error and its log contain the reason. Check that the path of the endpoint is that of an MCP server.';

/** The finding of an error answer. The texts of the proxy's own errors contain the remedy. */
function errorFinding(check: string, http: string, answer: Response, remedy: string): Finding {
  const error = isObject(answer.json.error) ? answer.json.error : {};
  const data = isObject(error.data) ? error.data : {};
  if (data.source !== ERROR_SOURCE) return failed(check, `${http}${errorTextOf(answer)}`, remedy);
  const verdict = typeof data.verdict === 'string' ? ` (${data.verdict})` : '';
  return failed(check, `${http}${String(data.reason)}${verdict}`, errorTextOf(answer));
}

/** Compares the clocks: AWS rejects signatures if they differ by five minutes. */
export function clockFinding(observations: Observations): Finding {
  const check = 'clock';
  const [first] = observations.responses;
  if (!first) return skipped(check, 'needs an answer from the server');
  const { aheadMs } = first;
  if (aheadMs === undefined) return skipped(check, 'the server sends no Date header');
  if (Math.abs(aheadMs) < MIN_REPORTED_SKEW_MS) {
    return ok(check, "within a minute of the server's");
  }
  return warning(
    check,
    `${durationText(aheadMs)} ${aheadMs > 0 ? 'behind' : 'ahead of'} the server's`,
    "Set this machine's clock (NTP). AWS rejects signatures that are 5 minutes off. The proxy corrects its signing clock after the first rejection.",
  );
}

/** Lists the tools of all pages. */
export async function checkTools(
  { client, settings, clock = systemClock }: ServerCheck & { readonly settings: Settings },
  facts: ServerFacts,
): Promise<Finding> {
  const check = 'tools/list';
  if (!facts.offersTools) return skipped(check, 'the server declares no tools');
  const list = await settleWithin(clock, MAX_LIST_MS, listTools(client));
  const remedy = "See the server's log. Clients show no tools until the server can list them.";
  switch (list?.kind) {
    case undefined:
      return failed(check, `not complete within ${MAX_LIST_MS / 1000} s`, remedy);
    case 'refused':
      return errorFinding(check, '', list.answer, remedy);
    case 'unusable':
      return failed(check, list.problem, remedy);
    case 'tools': {
      const { texts, pages } = list;
      if (texts.length === 0 && !isUnfiltered(settings)) {
        return warning(
          check,
          noToolsText(settings),
          'Allow the tools that you trust with --allow-tool, or check the globs of --deny-tool. Clients show no tools now.',
        );
      }
      const count = texts.length === 1 ? '1 tool' : `${texts.length} tools`;
      return ok(check, `${count} on ${pages === 1 ? '1 page' : `${pages} pages`}`);
    }
  }
}

/** Whether the second request reused the connection of the first. */
export function reuseFinding(observations: Observations, { keepConnections }: Settings): Finding {
  const check = 'connection reuse';
  if (keepConnections === 0)
    return skipped(check, 'connections are not kept alive (--max-keepalive-connections 0)');
  if (observations.opened <= 1) return ok(check, 'the second request used the connection of the first');
  return warning(
    check,
    `${observations.opened} connections for sequential requests`,
    'The server, or a load balancer in front of it, closes each connection after an answer, so each call opens a new one. Ask its operator to keep connections open.',
  );
}

/** Reports how many requests run in parallel. Nothing else shows users that calls wait. */
export function parallelFinding(
  observations: Observations,
  { maxConnections, keepConnections }: Settings,
): Finding {
  const check = 'parallel calls';
  const detail = `${maxConnections} requests at once per profile, further calls wait in order; connections kept alive: ${keepConnections}`;
  const remedy = 'Raise --max-connections, up to the number of parallel requests that the server accepts.';
  if (observations.hasWaited) return warning(check, `${detail}; some calls have waited`, remedy);
  return ok(check, `${detail} (--max-connections)`);
}

/** The server's answer to the deletion of the session. */
export function sessionClosedFinding({ hasSessionId, sessionClosed }: Observations): Finding {
  const check = 'session closed';
  if (!hasSessionId) return skipped(check, 'the server did not assign a session id');
  const [, status = ''] = /^HTTP (\d+)/.exec(sessionClosed ?? '') ?? [];
  if (/^2\d\d$/.test(status)) return ok(check, sessionClosed ?? '');
  if (status === '405') return ok(check, 'the server ends sessions itself (HTTP 405 to DELETE)');
  return warning(
    check,
    sessionClosed ?? 'the end of the session was not reported',
    'The server keeps the session until it expires. Calls are not affected. Its log may contain the reason.',
  );
}
