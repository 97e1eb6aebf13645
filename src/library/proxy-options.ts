// Made by `npm run docs` from the option tables.

/** The options of a proxy, with the names and units of the command line: seconds and bytes. */
export interface ProxyOptions {
  /** AWS service name in the signature (default: from the host) */
  readonly service?: string | undefined;
  /**
   * AWS region in the signature (default: from the host, then AWS_REGION, AWS_DEFAULT_REGION,
   * the profile)
   */
  readonly region?: string | undefined;
  /**
   * AWS regions in which the signatures of auth sigv4a are valid; * at the end of a name matches
   * any ending (default: *)
   */
  readonly regionSet?: string | readonly string[] | undefined;
  /**
   * AWS profile whose credentials sign the requests. With several, the first is the default, and
   * a call may name another. Quote a name with blanks, unless a profile of exactly this name
   * exists (default: AWS_PROFILE, read as one name)
   */
  readonly profile?: string | readonly string[] | undefined;
  /** tools that take an aws_profile argument if profile names several profiles (default: *) */
  readonly profileTools?: string | readonly string[] | undefined;
  /**
   * role to assume with the credentials of each profile; only the role's credentials sign
   * requests
   */
  readonly roleArn?: string | undefined;
  /**
   * session name for roleArn, visible to the server and in CloudTrail (default:
   * AWS_ROLE_SESSION_NAME, or a name that stays the same while the process runs)
   */
  readonly roleSessionName?: string | undefined;
  /** external id for roleArn, if the trust policy of the role requires one */
  readonly externalId?: string | undefined;
  /**
   * metadata merged into params._meta of every request; a key that the client sent wins
   * (default: AWS_REGION=<operating region>, if one is known)
   */
  readonly metadata?: string | readonly string[] | undefined;
  /**
   * header sent with every request, not signed; ${NAME} is replaced by the environment variable
   * NAME
   */
  readonly header?: string | readonly string[] | undefined;
  /**
   * send requests unsigned if no credentials are configured; a credential provider that fails is
   * still an error (default: off)
   */
  readonly skipAuth?: boolean | undefined;
  /**
   * how requests are authenticated: sigv4 = signed with AWS credentials, sigv4a = the same for
   * several regions, oauth = with the OAuth access token of a login (mcp-sigv4-proxy login),
   * bearer = with a token of one of the --bearer options, auto = as the first refusal of the
   * server demands, none = never (one of sigv4, sigv4a, oauth, bearer, auto, none; default:
   * sigv4)
   */
  readonly auth?: 'sigv4' | 'sigv4a' | 'oauth' | 'bearer' | 'auto' | 'none' | undefined;
  /**
   * client id for auth oauth, or the https URL of a client id metadata document, which is used
   * where the authorization server supports such documents (default: the proxy registers itself
   * at the authorization server)
   */
  readonly oauthClientId?: string | undefined;
  /** name of the environment variable with the client secret for auth oauth */
  readonly oauthClientSecretEnv?: string | undefined;
  /**
   * file with the private key (PEM, PKCS #8) with which the client authenticates
   * (private_key_jwt), for auth oauth
   */
  readonly oauthPrivateKey?: string | undefined;
  /**
   * scope to request with auth oauth; scopes that the server requests later are added (default:
   * the scopes that the server requests)
   */
  readonly oauthScope?: string | readonly string[] | undefined;
  /**
   * the only authorization server that auth oauth may use; required with a client secret
   * (default: the one that the server names)
   */
  readonly oauthIssuer?: string | undefined;
  /**
   * how auth oauth obtains tokens: code = login in a browser, device = login in a browser of
   * another device, client-credentials = no login, the client itself is authorized (one of code,
   * client-credentials, device; default: code)
   */
  readonly oauthFlow?: 'code' | 'client-credentials' | 'device' | undefined;
  /**
   * URL that the browser returns to after the login; without a port, a free port is used. Must
   * be a URL that is registered for oauthClientId (default: http://127.0.0.1/callback)
   */
  readonly oauthRedirectUri?: string | undefined;
  /**
   * where the tokens of a login are stored: in the keychain of the system, which needs the
   * package @napi-rs/keyring beside the proxy, or in a file that only the user can read; auto =
   * the keychain if it can be used (one of auto, keychain, file; default: auto)
   */
  readonly oauthStore?: 'auto' | 'keychain' | 'file' | undefined;
  /** environment variable that contains the token for auth bearer */
  readonly bearerTokenEnv?: string | undefined;
  /** file that contains the token for auth bearer; read again when it changes */
  readonly bearerTokenFile?: string | undefined;
  /**
   * command that prints the token for auth bearer: a line for the shell, or a JSON array that
   * runs without one; it runs again before the exp of a JWT, or when the server rejects the
   * token
   */
  readonly bearerCommand?: string | undefined;
  /**
   * add a read-only tool whoami that returns profile, account, caller ARN, region and endpoint;
   * named proxy_whoami if the server has a tool whoami (default: off)
   */
  readonly whoamiTool?: boolean | undefined;
  /**
   * PEM file with the certificates to trust, for the endpoint and for credential requests
   * (default: AWS_CA_BUNDLE, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, the profile's ca_bundle)
   */
  readonly caBundle?: string | undefined;
  /**
   * URL of an HTTP proxy; loopback addresses are always reached directly (default: HTTPS_PROXY,
   * HTTP_PROXY, NO_PROXY)
   */
  readonly proxy?: string | undefined;
  /** text added to the User-Agent header */
  readonly userAgent?: string | undefined;
  /** leave the client's name and version out of the User-Agent header (default: off) */
  readonly disableTelemetry?: boolean | undefined;
  /**
   * maximum number of connections for requests; further requests wait in order (an integer >= 1;
   * default: 5)
   */
  readonly maxConnections?: number | undefined;
  /**
   * maximum number of idle connections kept open between calls (an integer >= 0; default: 1, or
   * the value of maxConnections if given)
   */
  readonly maxKeepaliveConnections?: number | undefined;
  /**
   * how long an idle connection stays open; a shorter Keep-Alive hint of the server wins (a
   * number of seconds > 0; default: 30)
   */
  readonly keepaliveTimeout?: number | undefined;
  /**
   * age at which a connection is closed after its current response, so that DNS is resolved
   * again; 0 = no limit (a number of seconds >= 0; default: 0)
   */
  readonly connectionLifetime?: number | undefined;
  /**
   * address to connect to in place of the endpoint's host; URL, Host header, TLS server name and
   * signature keep the endpoint (for VPC endpoints, SSM and SSH tunnels)
   */
  readonly connectTo?: string | undefined;
  /**
   * transport of the server: http = Streamable HTTP, sse = HTTP+SSE of revision 2024-11-05, auto
   * = Streamable HTTP, or HTTP+SSE if the server refuses the POST of initialize as the
   * specification describes (one of auto, http, sse; default: auto)
   */
  readonly transport?: 'auto' | 'http' | 'sse' | undefined;
  /**
   * time limit for opening a connection, including HTTP proxy and TLS; 0 = no limit (a number of
   * seconds >= 0; default: 10)
   */
  readonly connectTimeout?: number | undefined;
  /**
   * time limit of every request except tools/call, tasks/result and subscriptions/listen; 0 = no
   * limit (a number of seconds >= 0; default: 180)
   */
  readonly timeout?: number | undefined;
  /**
   * time limit of initialize and server/discover, because clients give up after 30 s without a
   * reason; 0 = the value of timeout (a number of seconds >= 0; default: 25)
   */
  readonly initializeTimeout?: number | undefined;
  /**
   * time limit of tools/call and tasks/result; progress notifications restart it; 0 = no limit
   * (a number of seconds >= 0; default: 300)
   */
  readonly toolTimeout?: number | undefined;
  /** longest pause within one response; 0 = no limit (a number of seconds >= 0; default: 0) */
  readonly readTimeout?: number | undefined;
  /**
   * send progress for a call with a progress token after each silence of this length, until the
   * server reports progress itself; 0 = never (a number of seconds >= 0; default: 0)
   */
  readonly progressHeartbeat?: number | undefined;
  /**
   * longest line written to the client, and longest answer that is read for it, decompressed; at
   * least 65536; 0 = no limit for the line, and 268435456 for what is read (a whole number of
   * bytes >= 0; default: 10420224)
   */
  readonly maxLine?: number | undefined;
  /**
   * show and call only tools with readOnlyHint: true, and tools that allowTool names (default:
   * off)
   */
  readonly readOnly?: boolean | undefined;
  /**
   * show and call only tools that match; with readOnly, matching tools are allowed in addition
   * to read-only tools (default: all)
   */
  readonly allowTool?: string | readonly string[] | undefined;
  /** never show or call tools that match; wins over allowTool and readOnly (default: none) */
  readonly denyTool?: string | readonly string[] | undefined;
  /**
   * merge: return all pages of a list at once if the client asks without a cursor, because many
   * clients read only the first page; pass: return each page as the server sends it (one of
   * merge, pass; default: merge on stdio, pass at the listener)
   */
  readonly pages?: 'merge' | 'pass' | undefined;
  /**
   * time for which tools/list is answered from the cache; 0 = never. If the server fails, the
   * last list is returned (a number of seconds >= 0; default: the server's ttl; otherwise 300
   * while an open stream announces changes of the list, else 0)
   */
  readonly toolCacheTtl?: number | undefined;
  /**
   * maximum number of tools/call running at once per profile; further calls queue or are refused
   * (an integer >= 1; default: no limit)
   */
  readonly maxConcurrent?: number | undefined;
  /**
   * maximum number of tools/call that queue for maxConcurrent, per profile; 0 = refuse at once
   * (an integer >= 0; default: 0)
   */
  readonly queueSize?: number | undefined;
  /**
   * longest wait of a call in the queue of maxConcurrent; the wait does not count towards
   * toolTimeout (a number of seconds > 0; default: 30)
   */
  readonly queueTimeout?: number | undefined;
  /** JSON-RPC error code of a call that maxConcurrent refuses (an integer; default: -32001) */
  readonly overloadErrorCode?: number | undefined;
  /**
   * maximum number of requests per second and profile, retries included; further requests wait
   * in order, up to 30 s (a number > 0; default: off)
   */
  readonly rateLimit?: number | undefined;
  /**
   * maximum number of requests that rateLimit allows at once after a pause (an integer >= 1;
   * default: what rateLimit allows in one second, at least 1)
   */
  readonly rateBurst?: number | undefined;
  /**
   * URL of a Redis or Valkey server through which all processes with this URL share rateLimit
   * and maxConcurrent: redis:// or rediss:// (TLS), redis+cluster:// or redis+sentinel://. Set a
   * URL with a password by the variable: process lists show flags (default: each process has
   * limits of its own)
   */
  readonly limits?: string | undefined;
  /**
   * which calls share one rateLimit and one maxConcurrent. account: calls signed for the same
   * AWS account, by any profile; profile: calls of the same AWS profile; identity: calls of the
   * same client of listen, by the name of its token; tool: calls of the same tool and profile
   * (one of account, profile, identity, tool; default: profile)
   */
  readonly limitKey?: 'account' | 'profile' | 'identity' | 'tool' | undefined;
  /**
   * minimum number of processes that share limits. While Redis cannot be used, each process
   * takes this fraction of every limit; while it can, further processes are counted (an integer
   * from 1 to 10000; default: 1)
   */
  readonly limitReplicas?: number | undefined;
  /**
   * maximum number of retries of a request that did not run or is safe to repeat; 0 = none (an
   * integer from 0 to 10; default: 2)
   */
  readonly retries?: number | undefined;
  /**
   * adaptive: retry throttled requests within their time limit, at the rate that the server
   * accepts; standard: retry at most retries times (one of adaptive, standard; default:
   * adaptive)
   */
  readonly retryMode?: 'adaptive' | 'standard' | undefined;
  /**
   * longest wait before the first retry; the limit doubles with each retry, and the wait is
   * random up to the limit (a number of seconds >= 0; default: 0.1)
   */
  readonly retryBaseDelay?: number | undefined;
  /**
   * longest wait before any retry; a Retry-After of up to 20 s from the server is obeyed instead
   * (a number of seconds >= 0; default: 2)
   */
  readonly retryMaxDelay?: number | undefined;
  /**
   * consecutive failures to open a session after which the circuit breaker opens and refuses
   * further attempts (an integer >= 1; default: 5)
   */
  readonly breakerThreshold?: number | undefined;
  /**
   * how long the circuit breaker stays open before one attempt decides whether to close it (a
   * number of seconds > 0; default: 30)
   */
  readonly breakerReset?: number | undefined;
  /**
   * minimum number of sessions kept open from the client's initialize on, at most maxSessions
   * (an integer >= 0; default: 0)
   */
  readonly minSessions?: number | undefined;
  /**
   * maximum number of sessions per client and profile, plus one while a session is replaced. Use
   * more than 1 only for servers that run one call at a time per session; only tools/call is
   * spread (an integer >= 1; default: 1)
   */
  readonly maxSessions?: number | undefined;
  /**
   * maximum number of tool calls at once in one session (an integer >= 1; default: no limit with
   * one session, else 1)
   */
  readonly callsPerSession?: number | undefined;
  /**
   * longest wait of a call for a session. A call waits at least 1 s for a session that is being
   * opened; with 0, it waits only for such a session, up to 30 s (a number of seconds >= 0;
   * default: 10)
   */
  readonly sessionWait?: number | undefined;
  /**
   * age at which a session accepts no further calls and is closed; the only session of a client
   * is closed only if this option is given; 0 = no limit (a number of seconds >= 0; default: 0;
   * 3600 with minSessions above 0 or maxSessions above 1; 3540 at an AgentCore gateway)
   */
  readonly sessionLifetime?: number | undefined;
  /**
   * time before the end of sessionLifetime over which the replacement of sessions is spread;
   * less than sessionLifetime (a number of seconds >= 0; default: 30, or 300 at an AgentCore
   * gateway; at most half of sessionLifetime)
   */
  readonly sessionRecycleWindow?: number | undefined;
  /**
   * idle time after which a session above minSessions is closed, except the only session; 0 =
   * never (a number of seconds >= 0; default: 600)
   */
  readonly sessionIdle?: number | undefined;
  /**
   * idle time after which a session is probed with healthCheck; the only session is probed only
   * if this option is given; 0 = off (a number of seconds >= 0; default: 0, or 60 with
   * minSessions above 0 or maxSessions above 1)
   */
  readonly healthInterval?: number | undefined;
  /**
   * methods that probe an idle session, in order, until the server supports one; skip = assume a
   * healthy session without a request (default: ping tools/list skip)
   */
  readonly healthCheck?: string | readonly string[] | undefined;
  /** time limit of each request of healthCheck (a number of seconds > 0; default: 5) */
  readonly healthTimeout?: number | undefined;
  /**
   * maximum number of sessions over all profiles and clients, the first session of each
   * included; further sessions are refused (an integer >= 1; default: no limit)
   */
  readonly maxTotalSessions?: number | undefined;
  /**
   * time that calls in flight get when the client disconnects or the listener stops (a number of
   * seconds > 0; default: 1.5, or 30 for clients of listen)
   */
  readonly drainTimeout?: number | undefined;
  /**
   * start without the server: answer initialize and tools/list from the last snapshot, or with
   * no tools and the reason, and connect as soon as possible (default: off)
   */
  readonly lazy?: boolean | undefined;
  /**
   * CloudWatch namespace that metrics are published to, with the proxy's own credentials (needs
   * cloudwatch:PutMetricData)
   */
  readonly cloudwatchNamespace?: string | undefined;
  /** dimensions of every CloudWatch metric, at most 28, such as Service=checkout */
  readonly cloudwatchDimensions?: string | readonly string[] | undefined;
}

/** The members of `ProxyOptions`. */
export const PROXY_OPTION_KEYS = [
  'service',
  'region',
  'regionSet',
  'profile',
  'profileTools',
  'roleArn',
  'roleSessionName',
  'externalId',
  'metadata',
  'header',
  'skipAuth',
  'auth',
  'oauthClientId',
  'oauthClientSecretEnv',
  'oauthPrivateKey',
  'oauthScope',
  'oauthIssuer',
  'oauthFlow',
  'oauthRedirectUri',
  'oauthStore',
  'bearerTokenEnv',
  'bearerTokenFile',
  'bearerCommand',
  'whoamiTool',
  'caBundle',
  'proxy',
  'userAgent',
  'disableTelemetry',
  'maxConnections',
  'maxKeepaliveConnections',
  'keepaliveTimeout',
  'connectionLifetime',
  'connectTo',
  'transport',
  'connectTimeout',
  'timeout',
  'initializeTimeout',
  'toolTimeout',
  'readTimeout',
  'progressHeartbeat',
  'maxLine',
  'readOnly',
  'allowTool',
  'denyTool',
  'pages',
  'toolCacheTtl',
  'maxConcurrent',
  'queueSize',
  'queueTimeout',
  'overloadErrorCode',
  'rateLimit',
  'rateBurst',
  'limits',
  'limitKey',
  'limitReplicas',
  'retries',
  'retryMode',
  'retryBaseDelay',
  'retryMaxDelay',
  'breakerThreshold',
  'breakerReset',
  'minSessions',
  'maxSessions',
  'callsPerSession',
  'sessionWait',
  'sessionLifetime',
  'sessionRecycleWindow',
  'sessionIdle',
  'healthInterval',
  'healthCheck',
  'healthTimeout',
  'maxTotalSessions',
  'drainTimeout',
  'lazy',
  'cloudwatchNamespace',
  'cloudwatchDimensions',
] as const;
