/**
 * Where the cause of an error is. Retry, breaker, cache and lazy start decide by it, and name their
 * exceptions.
 */
export type Fault =
  /** The client's message. */
  | 'request'
  /** The way to the server. */
  | 'network'
  /** The server, or what answers for it. */
  | 'server'
  /** The user's AWS settings: a person has to act, and the next attempt may succeed at once. */
  | 'credentials'
  /** A limit or state of the proxy, or its end. */
  | 'proxy'
  /** A bug. */
  | 'bug';

interface ErrorRow {
  /** Its number, for ever: scripts match it. */
  readonly code: number;
  readonly fault: Fault;
  /**
   * The HTTP status beside it: 4xx for faults of the request, 502 and 504 for faults behind the
   * proxy, 503 and 429 for temporary ones. 200 where a call was refused: SDK clients read the
   * JSON-RPC error only there.
   */
  readonly httpStatus: number;
  /** Its text says what to do, also to a caller that waited for something else. */
  readonly actionable?: boolean;
}

/**
 * Every error the proxy itself can answer with. -32700, -32600 and -32603 mean what JSON-RPC says;
 * the proxy's own start at -31001, because MCP reserves -32768..-32000 for JSON-RPC, for the
 * specification and for what SDKs use locally.
 */
export const ERRORS = {
  'parse-error': { code: -32700, fault: 'request', httpStatus: 400 },
  'invalid-request': { code: -32600, fault: 'request', httpStatus: 400 },
  internal: { code: -32603, fault: 'bug', httpStatus: 500 },
  'connect-failed': { code: -31001, fault: 'network', httpStatus: 502 },
  'connection-lost': { code: -31002, fault: 'network', httpStatus: 502 },
  // `statusOf` returns the server's status instead.
  'http-status': { code: -31003, fault: 'server', httpStatus: 502 },
  'unusable-answer': { code: -31004, fault: 'server', httpStatus: 502 },
  // MCP: on 404 the client opens a new session.
  'session-lost': { code: -31005, fault: 'server', httpStatus: 404 },
  // Never 401: the credentials are the proxy's, and clients would start to log in.
  'no-credentials': { code: -31006, fault: 'credentials', httpStatus: 502, actionable: true },
  'auth-rejected': { code: -31007, fault: 'credentials', httpStatus: 502, actionable: true },
  timeout: { code: -31008, fault: 'server', httpStatus: 504 },
  'shutting-down': { code: -31009, fault: 'proxy', httpStatus: 503, actionable: true },
  'line-too-long': { code: -31010, fault: 'server', httpStatus: 502 },
  redirected: { code: -31011, fault: 'server', httpStatus: 502 },
  'too-many-waiting': { code: -31012, fault: 'proxy', httpStatus: 503 },
  'rate-limited': { code: -31013, fault: 'proxy', httpStatus: 429, actionable: true },
  'circuit-open': { code: -31014, fault: 'proxy', httpStatus: 503, actionable: true },
  'no-session': { code: -31015, fault: 'proxy', httpStatus: 503 },
  'tools-unknown': { code: -31016, fault: 'proxy', httpStatus: 503 },
  'tool-refused': { code: -31017, fault: 'request', httpStatus: 200 },
  'unknown-profile': { code: -31018, fault: 'request', httpStatus: 200 },
  'unknown-tool': { code: -31019, fault: 'request', httpStatus: 200 },
  'restart-needed': { code: -31020, fault: 'proxy', httpStatus: 502 },
  'not-opened': { code: -31021, fault: 'proxy', httpStatus: 502 },
  'client-refused': { code: -31022, fault: 'request', httpStatus: 403 },
  'message-too-large': { code: -31023, fault: 'request', httpStatus: 413 },
  'listener-full': { code: -31024, fault: 'proxy', httpStatus: 503 },
  'subscription-lost': { code: -31025, fault: 'server', httpStatus: 502 },
  // MCP's own number: clients of 2026-07-28 handle it, whether the server or the proxy detects it.
  'header-mismatch': { code: -32020, fault: 'request', httpStatus: 400 },
  'invalid-region': { code: -31026, fault: 'credentials', httpStatus: 502, actionable: true },
  'login-required': { code: -31027, fault: 'credentials', httpStatus: 502, actionable: true },
  'issuer-unreachable': { code: -31028, fault: 'network', httpStatus: 503 },
  // MCP's own number for a page that the user has to visit first. Clients read it from a 200 only.
  'url-elicitation': { code: -32042, fault: 'credentials', httpStatus: 200, actionable: true },
  // The one exception: programs that know this overload error match its number; an option sets
  // another.
  overloaded: { code: -32001, fault: 'proxy', httpStatus: 503 },
} as const satisfies Readonly<Record<string, ErrorRow>>;

/** The name of an error, as in `error.data.reason`. */
export type ErrorReason = keyof typeof ERRORS;

/** The row of a reason, with all its optional fields. */
export const errorRow = (reason: ErrorReason): ErrorRow => ERRORS[reason];

/** The JSON-RPC error code of each reason. A released code keeps its meaning. */
export const ERROR_CODES = Object.fromEntries(
  Object.entries(ERRORS).map(([reason, { code }]) => [reason, code]),
) as { readonly [R in ErrorReason]: (typeof ERRORS)[R]['code'] };
