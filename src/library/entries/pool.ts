/// <reference types="node" preserve="true" />
/** `mcp-sigv4-proxy/pool`: a pool of MCP sessions for programs that serve many callers. */

export type { ExpositionFormat } from '../../observe/metrics/exposition.ts';
export { type OptionProblem, OptionsError } from '../options-error.ts';
export type { BorrowOptions, CallerOptions } from '../session-pool/borrow.ts';
export { SessionPoolError, type SessionPoolFacts, type SessionPoolReason } from '../session-pool/errors.ts';
export type {
  PoolCloseReason,
  PoolOpenReason,
  PoolSessionEvent,
  PoolUseEvent,
  SessionPoolHooks,
} from '../session-pool/hooks.ts';
export { type IdentityHeaders, type IdentityOptions, jwtIdentity } from '../session-pool/identity.ts';
export type { PoolLease } from '../session-pool/lease.ts';
export type { MeterAttributes, MeterResult, PoolMeter } from '../session-pool/meter.ts';
export type { PoolKeyMetrics, PoolSessionState, SessionPoolMetrics } from '../session-pool/metrics.ts';
export type {
  AutoscaleOptions,
  PoolAuth,
  PoolRateLimit,
  SessionPoolOptions,
  TenantLimit,
} from '../session-pool/options.ts';
export { PoolManager, type PoolManagerOptions, type PoolStrategy } from '../session-pool/pool-manager.ts';
export type { PoolSizeOptions } from '../session-pool/pool-size.ts';
export type { PoolClient, PoolTransport, TransportContext } from '../session-pool/session.ts';
export { SessionPool } from '../session-pool/session-pool.ts';
export type { PoolTool } from '../session-pool/tool-list.ts';
