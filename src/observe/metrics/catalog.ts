import type { AnyFamily } from './exposition.ts';
import { counter, gauge, histogram, OPERATION_BOUNDS, WAIT_BOUNDS } from './families.ts';

const P = 'mcp_sigv4_proxy';
const OPERATION = ['profile', 'mcp_method_name', 'gen_ai_tool_name', 'error_type'] as const;

/** Creates the metrics of one proxy. Names follow OpenTelemetry and Prometheus. */
export function createMetrics() {
  return {
    buildInfo: gauge({ name: `${P}_build_info`, help: 'Version of the proxy.', labels: ['version'] }),
    clientOperation: histogram(
      {
        name: 'mcp_client_operation_duration_seconds',
        help: 'Duration of requests to the server, retries included, queue excluded.',
        labels: OPERATION,
      },
      OPERATION_BOUNDS,
    ),
    serverOperation: histogram(
      {
        name: 'mcp_server_operation_duration_seconds',
        help: 'Duration of requests of clients, from arrival to answer.',
        labels: ['profile', 'mcp_method_name', 'network_transport', 'error_type'],
      },
      OPERATION_BOUNDS,
    ),
    clientSession: histogram(
      {
        name: 'mcp_client_session_duration_seconds',
        help: 'Age of sessions with the server when they ended.',
        labels: ['profile'],
      },
      OPERATION_BOUNDS,
    ),
    serverSession: histogram(
      {
        name: 'mcp_server_session_duration_seconds',
        help: 'Duration of sessions of clients when they ended.',
        labels: ['network_transport'],
      },
      OPERATION_BOUNDS,
    ),
    calls: counter({
      name: `${P}_calls_total`,
      help: 'Requests of clients by outcome.',
      labels: ['profile', 'method', 'tool', 'outcome'],
    }),
    callErrors: counter({
      name: `${P}_call_errors_total`,
      help: 'Requests of clients that ended with an error of the proxy or the server, by reason.',
      labels: ['profile', 'reason'],
    }),
    callsInFlight: gauge({
      name: `${P}_calls_in_flight`,
      help: 'Requests of clients without an answer yet.',
    }),
    callWait: histogram(
      {
        name: `${P}_call_wait_seconds`,
        help: 'Waits of calls that had to wait, by what they waited for.',
        labels: ['profile', 'wait'],
      },
      WAIT_BOUNDS,
    ),
    serverDuration: histogram(
      {
        name: `${P}_server_duration_seconds`,
        help: 'The part of calls that the server and the network took.',
        labels: ['profile'],
      },
      OPERATION_BOUNDS,
    ),
    clientBytes: counter({
      name: `${P}_client_bytes_total`,
      help: 'Bytes of the messages of clients and of their answers.',
      labels: ['profile', 'direction'],
    }),
    httpRequests: counter({
      name: `${P}_http_requests_total`,
      help: 'HTTP requests to the server.',
      labels: ['profile', 'method', 'lane'],
    }),
    httpResponses: counter({
      name: `${P}_http_responses_total`,
      help: 'HTTP responses of the server by class of status.',
      labels: ['profile', 'status_class'],
    }),
    httpFailures: counter({
      name: `${P}_http_failures_total`,
      help: 'HTTP requests without a whole response.',
      labels: ['profile'],
    }),
    httpBytes: counter({
      name: `${P}_http_bytes_total`,
      help: 'Bytes of HTTP bodies to and from the server.',
      labels: ['profile', 'direction'],
    }),
    signatures: counter({ name: `${P}_signatures_total`, help: 'Signed requests.', labels: ['profile'] }),
    authRejections: counter({
      name: `${P}_auth_rejections_total`,
      help: 'Requests whose signature or credentials the server rejected, by verdict.',
      labels: ['profile', 'verdict'],
    }),
    connections: gauge({
      name: `${P}_connections`,
      help: 'Connections to the server, by lane and state.',
      labels: ['profile', 'lane', 'state'],
    }),
    connectionsWaiting: gauge({
      name: `${P}_connection_waiters`,
      help: 'Requests that wait for a connection.',
      labels: ['profile', 'lane'],
    }),
    connectionsOpened: counter({
      name: `${P}_connections_opened_total`,
      help: 'Connections that were opened to the server.',
      labels: ['profile', 'lane'],
    }),
    connectionsClosed: counter({
      name: `${P}_connections_closed_total`,
      help: 'Connections to the server that were closed.',
      labels: ['profile', 'lane'],
    }),
    sessions: gauge({
      name: `${P}_sessions`,
      help: 'Open sessions with the server by state.',
      labels: ['profile', 'state'],
    }),
    sessionsOpened: counter({
      name: `${P}_sessions_opened_total`,
      help: 'Sessions that were opened, by reason.',
      labels: ['profile', 'reason'],
    }),
    sessionsClosed: counter({
      name: `${P}_sessions_closed_total`,
      help: 'Sessions that ended, by reason.',
      labels: ['profile', 'reason'],
    }),
    sessionOpenFailures: counter({
      name: `${P}_session_open_failures_total`,
      help: 'Failed attempts of the proxy to open a session.',
      labels: ['profile'],
    }),
    sessionBorrows: counter({
      name: `${P}_session_borrows_total`,
      help: 'Calls that got a session of the pool.',
      labels: ['profile'],
    }),
    sessionReturns: counter({
      name: `${P}_session_returns_total`,
      help: 'Calls that returned a session to the pool.',
      labels: ['profile'],
    }),
    sessionBorrowWait: histogram(
      {
        name: `${P}_session_borrow_wait_seconds`,
        help: 'Waits of calls for a session of the pool, opening included.',
        labels: ['profile'],
      },
      WAIT_BOUNDS,
    ),
    healthChecks: counter({
      name: `${P}_health_checks_total`,
      help: 'Health checks of sessions by result.',
      labels: ['profile', 'result'],
    }),
    breakerState: gauge({
      name: `${P}_breaker_state`,
      help: '1 for the state of the circuit breaker, 0 for the others.',
      labels: ['profile', 'state'],
    }),
    breakerTransitions: counter({
      name: `${P}_breaker_transitions_total`,
      help: 'Changes of the state of the circuit breaker.',
      labels: ['profile', 'to'],
    }),
    breakerRefusals: counter({
      name: `${P}_breaker_refusals_total`,
      help: 'Attempts to open a session that the circuit breaker refused.',
      labels: ['profile'],
    }),
    retries: counter({
      name: `${P}_retries_total`,
      help: 'Retries by the kind of failure before them.',
      labels: ['profile', 'kind'],
    }),
    throttled: counter({
      name: `${P}_throttled_total`,
      help: 'Requests that the server throttled.',
      labels: ['profile'],
    }),
    rateLimited: counter({
      name: `${P}_rate_limited_total`,
      help: 'Requests that waited for their turn under a rate limit, by limit and outcome.',
      labels: ['profile', 'by', 'outcome'],
    }),
    limitsShared: gauge({
      name: `${P}_limits_shared`,
      help: '1 while --limits are shared through Redis, 0 while this process has a share of its own; absent without them.',
      labels: [],
    }),
    rateWaiting: gauge({
      name: `${P}_rate_waiters`,
      help: 'Requests that wait for their turn under a rate limit.',
      labels: ['profile'],
    }),
    toolLists: counter({
      name: `${P}_tool_lists_total`,
      help: 'Answers to tools/list by source: server and another-call are cache misses.',
      labels: ['profile', 'source'],
    }),
    toolRefreshFailures: counter({
      name: `${P}_tool_list_refresh_failures_total`,
      help: 'Failed requests for a tool list of which an older copy is known.',
      labels: ['profile'],
    }),
    backpressureActive: gauge({
      name: `${P}_backpressure_active`,
      help: 'Tool calls that hold a place of --max-concurrent.',
      labels: ['profile'],
    }),
    backpressureQueued: gauge({
      name: `${P}_backpressure_queued`,
      help: 'Tool calls that wait for a place of --max-concurrent.',
      labels: ['profile'],
    }),
    overloads: counter({
      name: `${P}_overloads_total`,
      help: 'Tool calls that --max-concurrent refused, by reason.',
      labels: ['profile', 'reason'],
    }),
    credentialsInfo: gauge({
      name: `${P}_credentials_info`,
      help: 'The provider of the credentials in use.',
      labels: ['profile', 'provider'],
    }),
    credentialsExpiry: gauge({
      name: `${P}_credentials_expiry_seconds`,
      help: 'Seconds until the credentials expire. Absent where they do not expire.',
      labels: ['profile'],
    }),
    credentialResolutions: counter({
      name: `${P}_credential_resolutions_total`,
      help: 'Attempts to resolve credentials by result.',
      labels: ['profile', 'result'],
    }),
    listenerConnections: gauge({
      name: `${P}_listener_connections`,
      help: 'Open connections of clients of --listen.',
    }),
    listenerRequests: gauge({
      name: `${P}_listener_requests`,
      help: 'Requests of clients of --listen that are being served.',
    }),
    listenerStreams: gauge({
      name: `${P}_listener_streams`,
      help: 'Open streams of clients of --listen.',
    }),
    listenerRefusals: counter({
      name: `${P}_listener_refusals_total`,
      help: 'Requests to --listen that were refused before they were read, by reason.',
      labels: ['reason'],
    }),
    cpu: counter({ name: 'process_cpu_seconds_total', help: 'CPU time of the process.' }),
    memory: gauge({ name: 'process_resident_memory_bytes', help: 'Resident memory of the process.' }),
    startTime: gauge({
      name: 'process_start_time_seconds',
      help: 'Start of the process in seconds since 1970.',
    }),
    heap: gauge({ name: `${P}_heap_used_bytes`, help: 'JavaScript heap in use.' }),
    loopDelay: gauge({
      name: `${P}_event_loop_delay_seconds`,
      help: 'Delay of the event loop since the last reading.',
      labels: ['stat'],
    }),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

export const familiesOf = (metrics: Metrics): readonly AnyFamily[] => Object.values(metrics);
