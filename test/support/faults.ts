import type { ServerResponse } from 'node:http';
import { EventWriter, type Rpc, sendJson } from './mcp-answers.ts';
import { errorOf } from './mcp-behaviours.ts';

/** How a server may say that it does not know a session (any more). */
export type LostForm =
  | '404'
  | '404 without a body'
  | '-30001 with 404'
  | '-30001 with 400'
  | '-30001 with 403'
  | '-30001 with 200'
  | '-30001 in an event stream'
  | '400 no valid session id'
  | '400 session not found'
  | '400 unknown session, as text';

/** FIN as a process that ends in order, RST as one that is killed. */
export type CutBy = 'fin' | 'rst';

export type ResetAt = 'before-headers' | 'in-headers' | 'in-body' | 'between-events' | 'in-event';

/**
 * The fault of one request. If the tool could have run before the fault, it has run.
 */
export type Fault =
  | { readonly kind: 'none' }
  /** Sessions are dropped first; the request then meets a server that does not know it. */
  | { readonly kind: 'forget'; readonly which: 'this' | 'all' }
  | { readonly kind: 'lost'; readonly form: LostForm }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  | { readonly kind: 'reset'; readonly at: ResetAt; readonly by: CutBy }
  /** Silence, and a cut when the time is over. */
  | { readonly kind: 'hang'; readonly ms: number }
  | { readonly kind: 'slow-headers'; readonly ms: number }
  /** The answer, and then the end of the connection, which nothing announced. */
  | { readonly kind: 'close-after' }
  /**
   * An event stream that breaks off `pieces` times before the answer, which it holds ready where
   * the events have ids.
   */
  | {
      readonly kind: 'stream';
      readonly ids: boolean;
      readonly pieces: number;
      readonly by: CutBy;
      readonly retryMs?: number;
    }
  | { readonly kind: 'restart' };

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NONE: Fault = { kind: 'none' };
const RESETS: readonly ResetAt[] = ['before-headers', 'in-headers', 'in-body', 'between-events', 'in-event'];

export const LOST_FORMS: readonly LostForm[] = [
  '404',
  '404 without a body',
  '-30001 with 404',
  '-30001 with 400',
  '-30001 with 403',
  '-30001 with 200',
  '-30001 in an event stream',
  '400 no valid session id',
  '400 session not found',
  '400 unknown session, as text',
];

/**
 * The fault of the next request, by what it is: a JSON-RPC method, `GET`, `DELETE` or `response`.
 */
export type FaultPlan = (what: string) => Fault;

/**
 * Faults at random: of every hundred calls some thirty, of other requests a few, and the session
 * often enough that recovery is always somewhere under way.
 */
export function randomFaults(random: () => number): FaultPlan {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const by = (): CutBy => pick<CutBy>(['fin', 'rst']);
  const ofCalls: readonly (() => Fault)[] = [
    () => ({ kind: 'status', status: 429 }),
    () => ({ kind: 'status', status: 429, retryAfter: '0' }),
    () => ({ kind: 'status', status: pick([500, 502, 503, 504]) }),
    () => ({ kind: 'reset', at: pick(RESETS), by: by() }),
    () => ({ kind: 'hang', ms: 50 + random() * 300 }),
    () => ({ kind: 'slow-headers', ms: random() * 300 }),
    () => ({ kind: 'close-after' }),
    () => ({ kind: 'stream', ids: true, pieces: 1 + Math.floor(random() * 3), by: by(), retryMs: 20 }),
    () => ({ kind: 'stream', ids: false, pieces: 1, by: by() }),
  ];
  const ofOthers: readonly (() => Fault)[] = [
    () => ({ kind: 'status', status: pick([429, 500, 503]) }),
    () => ({ kind: 'reset', at: 'before-headers', by: by() }),
    () => ({ kind: 'slow-headers', ms: random() * 100 }),
    () => ({ kind: 'close-after' }),
  ];
  return (what) => {
    const die = random();
    if (what === 'tools/call') {
      if (die < 0.002) return { kind: 'forget', which: 'all' };
      if (die < 0.004) return { kind: 'lost', form: pick(LOST_FORMS) };
      if (die < 0.0045) return { kind: 'restart' };
      return die < 0.3 ? pick(ofCalls)() : NONE;
    }
    // A DELETE that fails leaves a session behind, which is the server's to clear.
    if (what === 'DELETE') return NONE;
    return die < 0.05 ? pick(ofOthers)() : NONE;
  };
}

export function cut(response: ServerResponse, by: CutBy): void {
  const { socket } = response;
  if (!socket) response.destroy();
  else if (by === 'rst') socket.resetAndDestroy();
  else {
    // Only a FIN that is sent after the last byte leaves that byte readable.
    socket.end(() => socket.destroy());
  }
}

const PASSING = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'on it' } };

/** Begins to answer, and breaks off. */
export function resetAt(response: ServerResponse, at: ResetAt, by: CutBy, answer: Rpc): void {
  const text = JSON.stringify(answer);
  const half = text.slice(0, text.length / 2);
  switch (at) {
    case 'before-headers':
      cut(response, by);
      return;
    case 'in-headers':
      response.socket?.write('HTTP/1.1 200 OK\r\ncontent-ty', () => cut(response, by));
      return;
    case 'in-body':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
      response.write(half, () => cut(response, by));
      return;
    default: {
      const events = new EventWriter(response);
      events.send(PASSING);
      const rest = at === 'in-event' ? `data: ${half}` : ': \n\n';
      response.write(rest, () => cut(response, by));
    }
  }
}

export function sendLost(response: ServerResponse, form: LostForm, id: unknown): void {
  const aws = errorOf(id ?? null, -30001, 'SessionId was not found or has expired');
  switch (form) {
    case '404':
      sendJson(response, 404, errorOf(null, -32001, 'Session not found'));
      return;
    case '404 without a body':
      response.writeHead(404).end();
      return;
    case '-30001 with 404':
    case '-30001 with 400':
    case '-30001 with 403':
    case '-30001 with 200':
      sendJson(response, Number(form.slice(-3)), aws);
      return;
    case '-30001 in an event stream': {
      const events = new EventWriter(response);
      events.send(aws);
      events.end();
      return;
    }
    case '400 no valid session id':
      sendJson(response, 400, errorOf(null, -32000, 'Bad Request: No valid session ID provided'));
      return;
    case '400 session not found':
      sendJson(response, 400, errorOf(null, -32001, 'Session not found'));
      return;
    case '400 unknown session, as text':
      response.writeHead(400, { 'content-type': 'text/plain' }).end('unknown session');
  }
}
