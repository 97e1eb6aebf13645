// Made by `npm run docs` from the option tables.

/** The options of the requests that a listener serves, with the names of the command line. */
export interface HandlerOptions {
  /** path at which the listener serves MCP, with and without a trailing slash (default: /mcp) */
  readonly listenPath?: string | undefined;
  /** bearer token that clients of the listener must send */
  readonly listenToken?: string | readonly string[] | undefined;
  /**
   * file of further tokens for the listener, one name=secret per line, read again when the file
   * changes; logs and limits use the names
   */
  readonly listenTokenFile?: string | undefined;
  /**
   * authorization server whose access tokens (JWTs) clients of the listener must present; its
   * metadata and keys are read when the first token arrives, and again while the listener runs.
   * Tokens of listenToken and listenTokenFile stay valid
   */
  readonly listenIssuer?: string | undefined;
  /**
   * audience that access tokens of listenIssuer must name; of several audiences, at least one.
   * Usually the URL at which clients reach the listener, which its protected resource metadata
   * then contains. For tokens of Amazon Cognito, which have no audience: the client id
   */
  readonly listenAudience?: string | readonly string[] | undefined;
  /**
   * scope that access tokens of listenIssuer must contain; of several scopes, each one. The
   * protected resource metadata names the required scopes
   */
  readonly listenScope?: string | readonly string[] | undefined;
  /**
   * JSON file with comments that maps each token or user of the listener to a profile, a role
   * and its limits; users without a rule have no access. Read again when it changes
   */
  readonly identityMap?: string | undefined;
  /**
   * Host header that the listener accepts in addition to the default, with or without port; * =
   * any (default: loopback names and the host of the listener)
   */
  readonly allowedHost?: string | readonly string[] | undefined;
  /**
   * origin of web pages that may use the listener in addition to the default, such as
   * https://app.example.com; * = any (default: pages on loopback addresses)
   */
  readonly allowedOrigin?: string | readonly string[] | undefined;
  /**
   * header passed between clients of the listener and the server, in both directions and in
   * addition to the default; never a header that the proxy owns (default: headers of MCP,
   * traceparent, tracestate, baggage)
   */
  readonly forwardHeader?: string | readonly string[] | undefined;
  /**
   * maximum number of client connections, and of requests in flight, at the listener; further
   * ones are answered with 503 (an integer from 1 to 65536; default: 1024)
   */
  readonly maxClients?: number | undefined;
  /**
   * maximum number of open GET streams and subscriptions at the listener; further ones are
   * answered with 503 (an integer from 1 to 65536; default: 512)
   */
  readonly maxStreams?: number | undefined;
  /**
   * longest request body that the listener accepts; a longer body is answered with 413 (a whole
   * number of bytes from 1024 to 268435456; default: 16777216)
   */
  readonly maxBody?: number | undefined;
  /**
   * send a comment on an event stream of the listener after each silence of this length, so that
   * load balancers keep the stream open; 0 = never (a number of seconds >= 0; default: 25)
   */
  readonly sseKeepalive?: number | undefined;
}

/** The members of `HandlerOptions`. */
export const HANDLER_OPTION_KEYS = [
  'listenPath',
  'listenToken',
  'listenTokenFile',
  'listenIssuer',
  'listenAudience',
  'listenScope',
  'identityMap',
  'allowedHost',
  'allowedOrigin',
  'forwardHeader',
  'maxClients',
  'maxStreams',
  'maxBody',
  'sseKeepalive',
] as const;
