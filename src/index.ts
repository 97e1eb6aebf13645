/// <reference types="node" preserve="true" />
/**
 * The library's public face: every name here is public API, and a guard test pins the list. The types are those that who calls it
 * has to name.
 */

export type { RoleOptions } from './aws/credentials/chain.ts';
export {
  type CredentialSource,
  type CredentialSourceOptions,
  type Credentials,
  createCredentialSource,
} from './aws/credentials/source.ts';
export { DEFAULT_ENDPOINT, type ReadEndpoint, readEndpoint, scopeOfHost } from './aws/endpoint.ts';
export {
  type Signable,
  type SigningKeys,
  type SigningScope,
  type SigningTarget,
  signingTarget,
  signRequest,
} from './aws/sigv4.ts';
export type { Arguments } from './core/arguments.ts';
export type { Call, Handler, Layer, Reply } from './core/call.ts';
export { type Clock, systemClock, type Timer } from './core/clock.ts';
export {
  ERROR_CODES,
  ERROR_SOURCE,
  type ErrorFacts,
  type ErrorReason,
  ProxyError,
  type Sent,
} from './core/errors.ts';
export { Events, type Interests, type Observer, type ProxyEvent } from './core/events.ts';
export { McpProxy, type ProxyDeps } from './proxy.ts';
export type { Send } from './relay/outlet.ts';
export type { Relay } from './relay/relay.ts';
export { parseArguments, readSettings, type Settings, type SettingsOutcome } from './settings.ts';
export { VERSION } from './version.ts';
