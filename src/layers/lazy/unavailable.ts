import { type ErrorReason, ProxyError } from '../../core/errors/errors.ts';
import { isTemporary } from '../../core/errors/status-class.ts';
import { paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { Reply } from '../../core/pipeline/call.ts';
import { failureOfReply } from '../../core/pipeline/failure.ts';
import { plainText } from '../../core/system/plain-text.ts';
import { pageKey, type Snapshot } from '../../core/tools/snapshot.ts';
import { VERSION } from '../../version.ts';

/** Versions with a handshake; for others the newest is returned, as the protocol requires. */
const REVISIONS: ReadonlySet<unknown> = new Set(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']);
const NEWEST = '2025-11-25';

/** Failures that a later attempt would not resolve, beside bugs and faults of the request. */
const FINAL: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  'shutting-down',
  'restart-needed',
  'no-session',
]);

/**
 * Why the session cannot be opened now, as a sentence; undefined where the client should see the
 * failure itself. Pure.
 */
export function unavailability(outcome: { reply: Reply } | { error: unknown }): string | undefined {
  if ('error' in outcome) {
    const { error } = outcome;
    if (!(error instanceof ProxyError) || FINAL.has(error.reason)) return undefined;
    return error.fault === 'request' || error.fault === 'bug' ? undefined : error.message;
  }
  const failure = failureOfReply(outcome.reply, 0);
  const { status = 200, message = '' } = failure ?? {};
  // 401 and 403 may be resolved by the next login.
  const passes = status === 401 || status === 403 || isTemporary(status);
  return failure && passes ? `The server answered with HTTP ${status}: ${message}` : undefined;
}

/** The made-up snapshot for an unreachable server: no tools, and what to do. Pure. */
export function placeholder(request: Request, host: string, why: string): Snapshot {
  const { protocolVersion } = paramsOf(request);
  const opening = {
    protocolVersion: REVISIONS.has(protocolVersion) ? protocolVersion : NEWEST,
    // Every client reads its tools again on this notification.
    capabilities: { tools: { listChanged: true } },
    serverInfo: { name: 'mcp-sigv4-proxy', version: VERSION },
    instructions: plainText(
      `There is no connection to the MCP server at ${host} yet, so this server has no tools for now. ${/[.!?]$/.test(why) ? why : `${why}.`} Show this to the user. The proxy retries by itself: as soon as it is connected, the tools appear without a restart.`,
    ),
  };
  return { opening: JSON.stringify(opening), pages: { [pageKey(undefined)]: '{"tools":[]}' } };
}
