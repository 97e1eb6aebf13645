import type { ProbeResult } from '../../pool/health.ts';
import type { PoolClient } from './session.ts';
import { isUnknownMethod } from './session-fault.ts';

type Method = 'ping' | 'listTools' | 'listPrompts' | 'listResources' | 'listResourceTemplates';

interface ProbeMethod {
  readonly member: Method;
  /** The SDK answers by itself if the server lacks this capability. */
  readonly capability?: 'tools' | 'prompts' | 'resources';
}

const METHODS: Readonly<Record<string, ProbeMethod>> = {
  ping: { member: 'ping' },
  'tools/list': { member: 'listTools', capability: 'tools' },
  'prompts/list': { member: 'listPrompts', capability: 'prompts' },
  'resources/list': { member: 'listResources', capability: 'resources' },
  'resources/templates/list': { member: 'listResourceTemplates', capability: 'resources' },
};

interface ProbedClient {
  getServerCapabilities?(): Readonly<Record<string, unknown>> | undefined;
}

/** Without this option, SDK 2.x answers lists from its cache. */
const UNCACHED = { cacheMode: 'bypass' };

/** Probes a session by one method. @throws where the server answers with another error, or none. */
export async function probeBy(client: PoolClient, method: string, signal: AbortSignal): Promise<ProbeResult> {
  const entry = METHODS[method];
  const call = entry && (client as unknown as Record<string, unknown>)[entry.member];
  if (!entry || typeof call !== 'function') return 'unknown-method';
  const capabilities = (client as ProbedClient).getServerCapabilities?.();
  if (entry.capability && capabilities && !capabilities[entry.capability]) return 'unknown-method';
  const options = { ...UNCACHED, signal };
  try {
    await (entry.member === 'ping' ? call.call(client, options) : call.call(client, undefined, options));
    return 'answered';
  } catch (error) {
    if (isUnknownMethod(error)) return 'unknown-method';
    throw error;
  }
}

/** Lists one page of tools, past the cache of the SDK. */
export const listToolsOf = (
  client: PoolClient,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<unknown> => {
  const params = cursor === undefined ? undefined : { cursor };
  return client.listTools(params, { ...UNCACHED, signal } as never);
};

/** Calls a tool with the arguments that each generation of the SDK expects. */
export function callToolOf(
  client: PoolClient,
  params: { name: string; arguments?: Record<string, unknown> },
  options: { readonly signal?: AbortSignal },
): Promise<unknown> {
  // SDK 1.x takes a schema of the result before the options.
  const isSecond = typeof (client as { getProtocolEra?: unknown }).getProtocolEra === 'function';
  const rest: unknown[] = isSecond ? [options] : [undefined, options];
  return client.callTool(params, ...(rest as never[]));
}
