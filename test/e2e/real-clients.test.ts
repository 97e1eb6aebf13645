import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN_PATH } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { type EverythingServer, startEverythingServer } from '../support/everything-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const elicited = { action: 'accept' as const, content: { name: 'Ada' } };
const sampled = {
  model: 'none',
  role: 'assistant' as const,
  content: { type: 'text' as const, text: 'sampled' },
};
const rooted = { roots: [{ uri: 'file:///the/root', name: 'root' }] };
const info = { name: 'real-client', version: '1.0.0' };
const capabilities = { elicitation: {}, sampling: {}, roots: { listChanged: true } };

interface CallOptions {
  readonly onprogress?: (progress: { progress: number }) => void;
  readonly signal?: AbortSignal;
}

/** The methods of both generations of the SDK, under common names. */
interface RealClient {
  readonly stderr: () => string;
  toolNames(): Promise<string[]>;
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  ping(): Promise<unknown>;
  onError(listener: (error: Error) => void): void;
  close(): Promise<void>;
}

type Start = (args: readonly string[]) => Promise<RealClient>;

const commandOf = (args: readonly string[]) => ({
  command: process.execPath,
  args: [BIN_PATH, ...args],
  env: { ...signingEnv },
  stderr: 'pipe' as const,
});

function listening(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

const textOf = (result: unknown): string => JSON.stringify((result as { content?: unknown }).content);

const startV1: Start = async (args) => {
  const transport = new StdioV1(commandOf(args));
  const stderr = listening(transport.stderr as NodeJS.ReadableStream | null);
  const client = new ClientV1(info, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, () => elicited);
  client.setRequestHandler(CreateMessageRequestSchema, () => sampled);
  client.setRequestHandler(ListRootsRequestSchema, () => rooted);
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  return {
    stderr,
    toolNames: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args_, options) =>
      textOf(await client.callTool({ name, arguments: args_ }, undefined, options)),
    ping: () => client.ping(),
    onError: (listener) => {
      client.onerror = listener;
    },
    close: () => client.close(),
  };
};

const startV2: Start = async (args) => {
  const transport = new StdioV2(commandOf(args));
  const stderr = listening(transport.stderr as NodeJS.ReadableStream | null);
  const client = new ClientV2(info, { capabilities });
  client.setRequestHandler('elicitation/create', () => elicited);
  client.setRequestHandler('sampling/createMessage', () => sampled);
  client.setRequestHandler('roots/list', () => rooted);
  await client.connect(transport);
  return {
    stderr,
    toolNames: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args_, options) =>
      textOf(await client.callTool({ name, arguments: args_ ?? {} }, options)),
    ping: () => client.ping(),
    onError: (listener) => {
      client.onerror = listener;
    },
    close: () => client.close(),
  };
};

describe.each([
  ['the SDK of 2025 (v1)', startV1],
  ['the SDK of 2026 (v2)', startV2],
] as const)('a client on %s at the reference server, through the proxy', (_name, start) => {
  let everything: EverythingServer;
  beforeAll(async () => {
    everything = await startEverythingServer();
  });
  afterAll(() => everything.close());

  async function connect(
    ...args: string[]
  ): Promise<{ client: RealClient; gate: VerifyingProxy; errors: Error[] }> {
    const gate = await VerifyingProxy.start(everything.url, signingVerify);
    const client = await start([gate.url, ...signingArgs, ...args]);
    const errors: Error[] = [];
    client.onError((error) => errors.push(error));
    afterThisTest(() => client.close());
    return { client, gate, errors };
  }

  it('an SDK client lists, calls, answers an elicitation during a call, and leaves no session', async () => {
    const { client, gate, errors } = await connect();
    expect(await client.toolNames()).toContain('echo');
    expect(await client.call('echo', { message: 'hällo 😀' })).toContain('hällo 😀');
    expect(await client.call('trigger-elicitation-request')).toContain('Ada');
    expect(await client.call('trigger-sampling-request', { prompt: 'x' })).toContain('sampled');
    expect(await client.call('get-roots-list')).toContain('file:///the/root');
    await client.close();
    expect(gate.refused).toEqual([]);
    expect(gate.requests.filter(({ method }) => method === 'GET')).toHaveLength(1);
    expect(gate.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
    expect(errors).toEqual([]);
    expect(client.stderr()).toBe('');
  });

  it('an SDK client gets progress and can cancel a call', async () => {
    const { client } = await connect();
    const steps: number[] = [];
    await client.call(
      'trigger-long-running-operation',
      { duration: 0.2, steps: 4 },
      { onprogress: ({ progress }) => steps.push(progress) },
    );
    // The SDK drops its progress callback with the response: progress in the same chunk is too late.
    expect(steps).toEqual([1, 2, 3, 4].slice(0, steps.length));
    const controller = new AbortController();
    const long = client.call(
      'trigger-long-running-operation',
      { duration: 600, steps: 6_000 },
      { signal: controller.signal, onprogress: () => controller.abort('changed my mind') },
    );
    await expect(long).rejects.toThrow('changed my mind');
    expect(await client.ping()).toEqual({});
    expect(client.stderr()).toBe('');
  });

  it('an SDK client makes 16 parallel calls over 4 request connections', async () => {
    const { client, gate } = await connect('--max-connections', '4');
    const calls = Array.from({ length: 16 }, (_, a) => client.call('get-sum', { a, b: 1 }));
    const sums = await Promise.all(calls);
    sums.forEach((sum, a) => {
      expect(sum).toContain(` ${a + 1}`);
    });
    // Four for requests, one for the standalone stream, and two for control messages.
    expect(gate.connections.peak).toBeLessThanOrEqual(7);
  });
});
