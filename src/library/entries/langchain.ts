/// <reference types="node" preserve="true" />
/** `mcp-sigv4-proxy/langchain`: the tools of a server as tools of LangChain. */

export { langchainTools } from '../langchain.ts';
export { PeerError, type PeerName } from '../peers.ts';
export type { ToolCallOptions, ToolDefinition, ToolResult, ToolSource } from '../tool-source.ts';
