import type { Client, VersionNegotiationMode } from '@modelcontextprotocol/client';
import { isObject, METHOD_NOT_FOUND } from '../core/jsonrpc/message.ts';
import { MAX_PAGES, readPages } from '../core/tools/list-pages.ts';
import type { McpProxy } from '../proxy.ts';
import { VERSION } from '../version.ts';
import { SigV4ClientTransport } from './transport.ts';

/** A tool of the server, as `tools/list` describes it. */
export interface ToolDefinition {
  /** Its name at the server. */
  readonly name: string;
  /** Its description for the model. */
  readonly description?: string | undefined;
  /** The JSON Schema of its arguments. */
  readonly inputSchema?: object | undefined;
}

/** The result of a tool, as the server returned it. */
export interface ToolResult {
  /** The blocks of the result. */
  readonly content?: readonly object[] | undefined;
  /** The result as JSON, where the tool has an output schema. */
  readonly structuredContent?: unknown;
  /** True where the tool ran and failed. */
  readonly isError?: boolean | undefined;
}

/** The options of one call of a tool. */
export interface ToolCallOptions {
  /** Cancels the call when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** Lists and calls tools: a pool of sessions, or another client. */
export interface ToolSource {
  /** Returns all tools. */
  listTools(): Promise<readonly ToolDefinition[] | { readonly tools: readonly ToolDefinition[] }>;
  /**
   * Calls a tool and returns its `ToolResult`. Rejects where the call failed; a tool that ran and
   * failed has a result.
   */
  callTool(name: string, args: Record<string, unknown>, options?: ToolCallOptions): Promise<unknown>;
}

/** The longest timer of Node.js, so that only the limits of the proxy apply. */
const MAX_TIMER_MS = 2_147_483_647;
/** Errors of servers that know only the revision without sessions. */
const NO_SESSIONS_CODES: readonly unknown[] = [-32020, -32022, METHOD_NOT_FOUND];
const STATELESS_REVISION = '2026-07-28';
/** Accepts any result, because a model reads it. */
const ANY_RESULT = {
  '~standard': { version: 1, vendor: 'mcp-sigv4-proxy', validate: (value: unknown) => ({ value }) },
} as const;

/** A client of a proxy. It connects with its first call; the proxy closes its session. */
export function toolSourceOf(proxy: McpProxy): ToolSource {
  let connecting: Promise<Client> | undefined;
  const connected = (): Promise<Client> => {
    connecting ??= connect(proxy).catch((error: unknown) => {
      connecting = undefined;
      throw error;
    });
    return connecting;
  };
  const request = async (method: string, params: Record<string, unknown>, signal?: AbortSignal) => {
    const client = await connected();
    const options = { timeout: MAX_TIMER_MS, ...(signal ? { signal } : {}) };
    const result: unknown = await client.request({ method, params }, ANY_RESULT, options);
    return isObject(result) ? result : {};
  };
  return {
    listTools: async () => {
      const tools: ToolDefinition[] = [];
      const end = await readPages({
        fetch: (cursor) => request('tools/list', cursor === undefined ? {} : { cursor }),
        nextCursorOf: ({ nextCursor }) => nextCursor,
        take: ({ tools: page }) => {
          if (Array.isArray(page)) tools.push(...(page as ToolDefinition[]));
          return true;
        },
      });
      if (end === 'circle' || end === 'too-many')
        throw new Error(`the list of tools has no end within ${MAX_PAGES} pages`);
      return tools;
    },
    callTool: (name, args, { signal } = {}) => request('tools/call', { name, arguments: args }, signal),
  };
}

/** Connects with `initialize`, or without a session if the server requires the stateless era. */
async function connect(proxy: McpProxy): Promise<Client> {
  const { Client, ProtocolError } = await import('./mcp-client.ts');
  const connectWith = async (mode: VersionNegotiationMode): Promise<Client> => {
    const info = { name: 'mcp-sigv4-proxy', version: VERSION };
    const client = new Client(info, { capabilities: {}, versionNegotiation: { mode } });
    await client.connect(new SigV4ClientTransport(proxy), { timeout: MAX_TIMER_MS });
    return client;
  };
  try {
    return await connectWith('legacy');
  } catch (error) {
    if (!(error instanceof ProtocolError) || !NO_SESSIONS_CODES.includes(error.code)) throw error;
    return connectWith({ pin: STATELESS_REVISION });
  }
}
