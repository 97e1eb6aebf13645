// biome-ignore lint/suspicious/noTsIgnore: a checkout has the package in test/peers only, if at all.
// @ts-ignore: an optional peer, which a program without LangChain has not installed.
import type { DynamicStructuredTool } from '@langchain/core/tools';
import { isObject } from '../core/jsonrpc/message.ts';
import { McpProxy } from '../proxy.ts';
import { contentOf } from './langchain-content.ts';
import { loadPeer } from './peers.ts';
import { type ToolDefinition, type ToolResult, type ToolSource, toolSourceOf } from './tool-source.ts';

interface ToolFields {
  readonly name: string;
  readonly description: string;
  readonly schema: object;
  readonly responseFormat: 'content_and_artifact';
  readonly func: (
    args: Record<string, unknown>,
    runManager?: unknown,
    config?: { readonly signal?: AbortSignal },
  ) => Promise<unknown>;
}

interface LangchainTools {
  readonly DynamicStructuredTool: new (fields: ToolFields) => DynamicStructuredTool;
}

/**
 * Returns the tools of a server as tools of LangChain, for an agent or a model. Each call goes
 * through the proxy or the pool. A tool that ran and failed throws, so that LangChain tells the
 * model. The server's whole result is the artifact of the tool message.
 * @throws PeerError where `@langchain/core` is missing or has another major version.
 */
export async function langchainTools(source: McpProxy | ToolSource): Promise<DynamicStructuredTool[]> {
  const { DynamicStructuredTool: Tool } = await loadPeer<LangchainTools>(
    'langchainTools',
    '@langchain/core',
    '/tools',
  );
  const tools = source instanceof McpProxy ? toolSourceOf(source) : source;
  const listed = await tools.listTools();
  const definitions = 'tools' in listed ? listed.tools : listed;
  return definitions.map((definition) => new Tool(fieldsOf(definition, tools)));
}

const fieldsOf = (
  { name, description = '', inputSchema }: ToolDefinition,
  tools: ToolSource,
): ToolFields => ({
  name,
  description,
  // OpenAI refuses a schema without properties.
  schema: { type: 'object', properties: {}, ...inputSchema },
  responseFormat: 'content_and_artifact',
  func: async (args, _runManager, config) => {
    const called = await tools.callTool(name, args, { signal: config?.signal });
    const result: ToolResult = isObject(called) ? called : {};
    const content = contentOf(result);
    if (result.isError) throw new Error(typeof content === 'string' ? content : JSON.stringify(content));
    return [content, result];
  },
});
