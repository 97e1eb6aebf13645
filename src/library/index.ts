/// <reference types="node" preserve="true" />
/**
 * The public API of the library. A guard test pins this list, and another one requires TSDoc of
 * each name and of each member.
 */

export {
  type CredentialProvider,
  type CredentialProviderOptions,
  createCredentialProvider,
} from '../auth/credentials/caching-provider.ts';
export type { Credentials, RoleOptions } from '../auth/credentials/credentials.ts';
export type { CredentialIdentity, CredentialSource } from '../auth/credentials/source.ts';
export {
  type Signable,
  type SignedHeaders,
  type SigningScope,
  type SigningTarget,
  signingTarget,
} from '../auth/signing.ts';
export { signRequest } from '../auth/sigv4.ts';
export type { Send } from '../client/stdio/client-writer.ts';
export type { Relay } from '../client/stdio/relay.ts';
export type { Arguments } from '../config/argv.ts';
export { ERROR_CODES, type ErrorReason, type Fault } from '../core/errors/error-table.ts';
export { ERROR_SOURCE, type ErrorFacts, ProxyError, type Sent } from '../core/errors/errors.ts';
export type {
  Id,
  JsonObject,
  Message,
  Notification as NotificationMessage,
  Request as RequestMessage,
  Response as ResponseMessage,
} from '../core/jsonrpc/message.ts';
export type {
  Call,
  Deadline,
  Emit,
  Handler,
  HttpFacts,
  Layer,
  Origin,
  Reply,
  RequestHeaders,
  SendOptions,
} from '../core/pipeline/call.ts';
export type { Client, KnownSession } from '../core/pipeline/call-record.ts';
export {
  Events,
  type Observer,
  type ObserverOptions,
  type ProxyEvent,
  type SessionCloseReason,
  type SessionOpenReason,
} from '../core/pipeline/events.ts';
export type { OverloadReason } from '../core/pipeline/limits.ts';
export type {
  ConnectionState,
  ListenerState,
  ProfileState,
  ProxyState,
  SessionState,
  UserState,
} from '../core/pipeline/proxy-state.ts';
export { type Clock, systemClock, type Timer } from '../core/time/clock.ts';
export { DEFAULT_ENDPOINT, type ReadEndpoint, readEndpoint, scopeOfHost } from '../endpoint/endpoint.ts';
export type { ProxyHooks } from '../observe/hooks.ts';
export type { SnapshotPublisher } from '../observe/metrics/proxy-metrics.ts';
export type {
  MetricsSnapshot,
  ProfileSnapshot,
  WaitSnapshot,
} from '../observe/metrics/snapshot.ts';
export type { ToolSnapshot } from '../observe/metrics/tool-snapshots.ts';
export type { LogFunction, Logger } from '../observe/program-logger.ts';
export type { UserLayers } from '../proxy.ts';
export { parseArguments, readSettings, type Settings, type SettingsOutcome } from '../settings.ts';
export { VERSION } from '../version.ts';
export * from './entries/backpressure.ts';
export * from './entries/fetch.ts';
export * from './entries/listener.ts';
export * from './entries/pool.ts';
export * from './entries/transport.ts';
export { withReadableAnswer, withResult } from './layer-edits.ts';
export {
  type MetricsReader,
  ObservedProxy as McpProxy,
  type ObservedProxyDeps as ProxyDeps,
} from './observed-proxy.ts';
