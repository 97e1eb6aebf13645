/// <reference types="node" preserve="true" />
/** `mcp-sigv4-proxy/fetch`: a `fetch` that signs. */

export { createSigV4Fetch, type SigV4Fetch, type SigV4FetchOptions } from '../fetch.ts';
export { type OptionProblem, OptionsError } from '../options-error.ts';
