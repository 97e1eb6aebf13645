/** The library's public face: every name here is public API, and a guard test pins the list. */

export { type CredentialSource, type Credentials, createCredentialSource } from './aws/credentials/source.ts';
export { DEFAULT_ENDPOINT, readEndpoint, scopeOfHost } from './aws/endpoint.ts';
export { signingTarget, signRequest } from './aws/sigv4.ts';
export type { Call, Handler, Layer, Reply } from './core/call.ts';
export { type Clock, systemClock } from './core/clock.ts';
export { ERROR_CODES, ERROR_SOURCE, type ErrorReason, ProxyError } from './core/errors.ts';
export { Events, type ProxyEvent } from './core/events.ts';
export { McpProxy } from './proxy.ts';
export { parseArguments, readSettings, type Settings } from './settings.ts';
export { VERSION } from './version.ts';
