/** The MCP half of the demo endpoint: answers messages, without HTTP. */
import type { Clock } from '../core/time/clock.ts';
import { sleep } from '../core/time/waits.ts';

const PROTOCOL_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const;
const MAX_WAIT_MS = 60_000;

export const knowsProtocolVersion = (version: string): boolean =>
  PROTOCOL_VERSIONS.some((known) => known === version);

/** The identity that signed the request, as `whoami` reports it. */
export interface DemoCaller {
  readonly accessKeyId: string;
  readonly scope: string;
}

export interface RpcMessage {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
}

export type DemoOutcome =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } };

const TOOLS = [
  {
    name: 'wait',
    description: 'Waits, then returns how long it waited.',
    inputSchema: {
      type: 'object',
      properties: { ms: { type: 'integer', minimum: 0, maximum: MAX_WAIT_MS } },
      required: ['ms'],
    },
    annotations: { readOnlyHint: true, idempotentHint: true },
  },
  {
    name: 'whoami',
    description: 'Returns the access key that signed the request, and its scope.',
    inputSchema: { type: 'object', properties: {} },
    annotations: { readOnlyHint: true },
  },
];

const fail = (code: number, message: string): DemoOutcome => ({ error: { code, message } });
const textResult = (text: string): DemoOutcome => ({ result: { content: [{ type: 'text', text }] } });

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function initialize(params: Record<string, unknown>): DemoOutcome {
  const wished = params.protocolVersion;
  const agreed = typeof wished === 'string' && knowsProtocolVersion(wished) ? wished : PROTOCOL_VERSIONS[0];
  return {
    result: {
      protocolVersion: agreed,
      capabilities: { tools: {} },
      serverInfo: { name: 'mcp-sigv4-proxy-demo', version: '1.0.0' },
      instructions: 'A server inside this machine that accepts signed requests only.',
    },
  };
}

async function callTool(
  params: Record<string, unknown>,
  caller: DemoCaller,
  clock: Clock,
  signal: AbortSignal,
): Promise<DemoOutcome> {
  if (params.name === 'whoami') return textResult(JSON.stringify(caller));
  if (params.name !== 'wait') return fail(-32602, `Unknown tool: ${String(params.name)}`);
  const ms = isObject(params.arguments) ? params.arguments.ms : undefined;
  if (typeof ms !== 'number' || !Number.isInteger(ms) || ms < 0 || ms > MAX_WAIT_MS) {
    return fail(-32602, `ms must be an integer from 0 to ${MAX_WAIT_MS}`);
  }
  await sleep(clock, ms, signal);
  return textResult(`waited ${ms} ms`);
}

/**
 * Answers one request.
 * @throws the signal's reason when it aborts in mid-call.
 */
export async function answerRequest(
  message: RpcMessage,
  { caller, clock, signal }: { caller: DemoCaller; clock: Clock; signal: AbortSignal },
): Promise<DemoOutcome> {
  const params = isObject(message.params) ? message.params : {};
  switch (message.method) {
    case 'initialize':
      return initialize(params);
    case 'ping':
      return { result: {} };
    case 'tools/list':
      return { result: { tools: TOOLS } };
    case 'tools/call':
      return callTool(params, caller, clock, signal);
    default:
      return fail(-32601, `Method not found: ${String(message.method)}`);
  }
}
