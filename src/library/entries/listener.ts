/// <reference types="node" preserve="true" />
/** `mcp-sigv4-proxy/listener`: serves MCP clients on an HTTP server of the program. */

export type { HandlerOptions } from '../handler-options.ts';
export {
  type CreateListenerOptions,
  createListener,
  type Listener,
  type ListenerHandler,
} from '../listener.ts';
export { type OptionProblem, OptionsError } from '../options-error.ts';
