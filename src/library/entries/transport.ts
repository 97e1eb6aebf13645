/// <reference types="node" preserve="true" />
/** `mcp-sigv4-proxy/transport`: the client transport for the `Client` of the MCP SDK. */

export { type CreateProxyOptions, createProxy } from '../create-proxy.ts';
export type { ObservedProxy as McpProxy } from '../observed-proxy.ts';
export { type OptionProblem, OptionsError } from '../options-error.ts';
export type { ProxyOptions } from '../proxy-options.ts';
export {
  SigV4ClientTransport,
  type SigV4ClientTransportOptions,
  type TransportSendOptions,
  type TransportSessionOptions,
} from '../transport.ts';
