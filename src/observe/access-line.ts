import { idText, type Request, toOneLine, valueTextAt } from '../core/jsonrpc/message.ts';
import type { CallOutcome, CallRecord } from '../core/pipeline/call-record.ts';

/** Characters of a name, id or user agent: their sender may choose any length. */
const MAX_TEXT = 256;
/** Characters of the arguments in one line. */
const MAX_ARGUMENTS = 16 * 1024;

/** The AWS identity that signed a call, as far as it is known without a request. */
export interface SigningIdentity {
  readonly account?: string | undefined;
  readonly role?: string | undefined;
}

/** The parts of a line besides the record of the call. */
export interface AccessFacts {
  /** The request id as JSON text. */
  readonly id: string;
  readonly userAgent: string | undefined;
  readonly traceId: string | undefined;
  readonly identity: SigningIdentity | undefined;
  /** As JSON text; undefined where the arguments are not logged. */
  readonly argumentsText: string | undefined;
}

const LEVEL_OF: Readonly<Record<CallOutcome, 'info' | 'warn'>> = {
  ok: 'info',
  cancelled: 'info',
  tool_error: 'warn',
  error: 'warn',
};

const bounded = (text: string | undefined): string | undefined =>
  text !== undefined && text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;

/** Milliseconds with microseconds: a cached answer takes less than one. */
const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

const wait = (ms: number): number | undefined => (ms > 0 ? rounded(ms) : undefined);

/** The line of a call in the access log, with its line end. Pure. */
export function accessLine(record: CallRecord, facts: AccessFacts): string {
  const { client, method, target, outcome, code, reason } = record;
  const { argumentsText } = facts;
  const line = JSON.stringify({
    time: new Date(record.startedAt).toISOString(),
    level: LEVEL_OF[outcome],
    transport: record.transport,
    address: client.address,
    token: client.token,
    userAgent: bounded(facts.userAgent),
    session: client.inSession ? client.id.replace(/^http-session-/, '') : undefined,
    method: bounded(method),
    [method === 'prompts/get' ? 'prompt' : 'tool']: bounded(target),
    profile: record.profile === '' ? undefined : record.profile,
    account: facts.identity?.account,
    role: facts.identity?.role,
    outcome,
    code,
    reason,
    durationMs: rounded(record.ms),
    serverMs: rounded(record.serverMs),
    queueMs: wait(record.queueMs),
    rateMs: wait(record.rateMs),
    sessionMs: wait(record.sessionMs),
    connectionMs: wait(record.connectionMs),
    credentialsMs: wait(record.credentialsMs),
    backoffMs: wait(record.backoffMs),
    attempts: record.attempts,
    requestBytes: record.requestBytes,
    responseBytes: record.responseBytes,
    traceId: facts.traceId,
  });
  // Spliced as text: ids and arguments keep big integers.
  const id = facts.id.length > MAX_TEXT ? JSON.stringify(bounded(facts.id)) : facts.id;
  const args = argumentsText === undefined ? '' : `,"arguments":${argumentsText}`;
  return `${line.slice(0, -1)},"id":${id}${args}}\n`;
}

/** A request that the listener refused before it read a message. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  readonly address: string;
  readonly token: string | undefined;
}

/** The line of a refused HTTP request. */
export function refusalLine({ status, reason, message, address, token }: Refusal, now: number): string {
  const time = new Date(now).toISOString();
  const said = bounded(message);
  return `${JSON.stringify({ time, level: 'warn', transport: 'http', address, token, outcome: 'refused', status, reason, message: said })}\n`;
}

/** The id of a request as its client spelled it, without line ends. */
export const idTextOf = (request: Request): string => toOneLine(idText(request));

/** The arguments of a tool or prompt as JSON text; a long one becomes a string that is cut. */
export function argumentsTextOf(request: Request): string | undefined {
  const text = valueTextAt(request.text, ['params', 'arguments']);
  if (text === undefined) return undefined;
  return text.length > MAX_ARGUMENTS ? JSON.stringify(`${text.slice(0, MAX_ARGUMENTS)}...`) : toOneLine(text);
}
