/// <reference types="node" preserve="true" />
/** `mcp-sigv4-proxy/backpressure`: limits the calls that an MCP server runs at once. */

export { Backpressure, type BackpressureServer, withBackpressure } from '../backpressure.ts';
export type {
  BackpressureLimits,
  BackpressureMetrics,
  BackpressureOptions,
  Overload,
} from '../backpressure-options.ts';
export { type OptionProblem, OptionsError } from '../options-error.ts';
