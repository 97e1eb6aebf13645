import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { BIN_PATH } from './bin-driver.ts';
import { afterThisTest } from './cleanup.ts';
import { signingArgs, signingEnv } from './signing.ts';

export interface CallOptions {
  readonly onProgress?: (step: number) => void;
  readonly signal?: AbortSignal;
}

/** The methods of both generations of the SDK's client, under common names. */
export interface RealClient {
  toolNames(): Promise<string[]>;
  /** The text of the result's first content. */
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  read(uri: string): Promise<unknown>;
  subscribe(uri: string): Promise<unknown>;
  logLevel(level: 'debug' | 'error'): Promise<unknown>;
  ping(): Promise<unknown>;
  /**
   * Everything the server told without being asked: `log <data>`, `tools changed`, `updated <uri>`.
   */
  readonly received: readonly string[];
  hears(what: string | RegExp): Promise<void>;
  /** The revision that client and server agreed on. */
  revision(): string | undefined;
  close(): Promise<void>;
}

/** One that has started the bin. */
export interface SpawningClient extends RealClient {
  readonly pid: number;
}

const INFO = { name: 'real-client', version: '0.0.0' };
const CAPABILITIES = { elicitation: { form: {} }, sampling: {}, roots: { listChanged: true } };
const ELICITED = { action: 'accept' as const, content: { name: 'Ada' } };
const SAMPLED = {
  model: 'a-model',
  role: 'assistant' as const,
  content: { type: 'text' as const, text: 'sampled' },
};
const ROOTED = { roots: [{ uri: 'file:///the/root', name: 'root' }] };

/** Where the bin runs: started by a client, with credentials and a home of its own. */
function commandFor(url: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const home = mkdtempSync(join(tmpdir(), 'mcp-client-home-'));
  afterThisTest(() => rmSync(home, { recursive: true, force: true }));
  return {
    command: process.execPath,
    args: [BIN_PATH, url, ...signingArgs, ...args],
    env: { PATH: process.env.PATH ?? '', HOME: home, ...signingEnv, ...env },
    stderr: 'ignore' as const,
  };
}

class Heard {
  readonly all: string[] = [];
  #look: () => void = () => undefined;

  readonly add = (what: string): void => {
    this.all.push(what);
    this.#look();
  };

  async wait(what: string | RegExp): Promise<void> {
    const matches = (text: string) => (typeof what === 'string' ? text === what : what.test(text));
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`never received ${what}, but: ${this.all}`)), 20_000);
      this.#look = () => {
        if (!this.all.some(matches)) return;
        clearTimeout(late);
        resolve();
      };
      this.#look();
    });
  }
}

const textOf = (result: unknown): string => {
  const { content } = result as { content?: { text?: string }[] };
  return content?.[0]?.text ?? JSON.stringify(result);
};

export async function startClientV1(
  url: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<SpawningClient> {
  const transport = new StdioV1(commandFor(url, args, env));
  return { ...(await connectV1(transport)), pid: transport.pid ?? 0 };
}

/** The same over HTTP. */
export const connectClientV1 = (url: string): Promise<RealClient> =>
  connectV1(new HttpV1(new URL(url)) as TransportV1);

type TransportV1 = Parameters<ClientV1['connect']>[0];

async function connectV1(given: TransportV1): Promise<RealClient> {
  let agreed: string | undefined;
  // This generation states the version only to a transport that needs it for HTTP headers.
  const tell = given.setProtocolVersion?.bind(given);
  const transport = Object.assign(given, {
    setProtocolVersion: (revision: string) => {
      agreed = revision;
      tell?.(revision);
    },
  });
  const client = new ClientV1(INFO, { capabilities: CAPABILITIES });
  const received = new Heard();
  client.setRequestHandler(ElicitRequestSchema, () => ELICITED);
  client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLED);
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) =>
    received.add(`log ${JSON.stringify(params.data)}`),
  );
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => received.add('tools changed'));
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
    received.add(`updated ${params.uri}`),
  );
  await client.connect(transport);
  afterThisTest(() => client.close());
  return {
    toolNames: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, given = {}, { onProgress, signal } = {}) =>
      textOf(
        await client.callTool({ name, arguments: given }, undefined, {
          ...(onProgress ? { onprogress: ({ progress }) => onProgress(progress) } : {}),
          ...(signal ? { signal } : {}),
        }),
      ),
    read: (uri) => client.readResource({ uri }),
    subscribe: (uri) => client.subscribeResource({ uri }),
    logLevel: (level) => client.setLoggingLevel(level),
    ping: () => client.ping(),
    revision: () => agreed,
    received: received.all,
    hears: (what) => received.wait(what),
    close: () => client.close(),
  };
}

/**
 * @param mode - `legacy` knows sessions only, a pinned one only that revision, `auto` asks the
 * server.
 */
export async function startClientV2(
  url: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  mode: VersionNegotiationMode = 'legacy',
): Promise<SpawningClient> {
  const transport = new StdioV2(commandFor(url, args, env));
  return { ...(await connectV2(transport, mode)), pid: transport.pid ?? 0 };
}

/** The same over HTTP, in the revisions that the mode allows. */
export const connectClientV2 = (url: string, mode: VersionNegotiationMode): Promise<RealClient> =>
  connectV2(new HttpV2(new URL(url)), mode);

async function connectV2(
  transport: Parameters<ClientV2['connect']>[0],
  mode: VersionNegotiationMode,
): Promise<RealClient> {
  const received = new Heard();
  const onChanged = (): void => received.add('tools changed');
  const client = new ClientV2(INFO, {
    capabilities: CAPABILITIES,
    versionNegotiation: { mode },
    // Where there are no sessions it takes a subscription to hear of changes, and this option opens
    // it.
    ...(mode === 'legacy' ? {} : { listChanged: { tools: { autoRefresh: false, onChanged } } }),
  });
  client.setRequestHandler('elicitation/create', () => ELICITED);
  client.setRequestHandler('sampling/createMessage', () => SAMPLED);
  client.setRequestHandler('roots/list', () => ROOTED);
  client.setNotificationHandler('notifications/message', ({ params }) =>
    received.add(`log ${JSON.stringify(params.data)}`),
  );
  if (mode === 'legacy') client.setNotificationHandler('notifications/tools/list_changed', onChanged);
  client.setNotificationHandler('notifications/resources/updated', ({ params }) =>
    received.add(`updated ${params.uri}`),
  );
  await client.connect(transport);
  afterThisTest(() => client.close());
  return {
    toolNames: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, given = {}, { onProgress, signal } = {}) =>
      textOf(
        await client.callTool(
          { name, arguments: given },
          {
            ...(onProgress ? { onprogress: ({ progress }) => onProgress(progress) } : {}),
            ...(signal ? { signal } : {}),
          },
        ),
      ),
    read: (uri) => client.readResource({ uri }),
    subscribe: (uri) => client.subscribeResource({ uri }),
    logLevel: (level) => client.setLoggingLevel(level),
    ping: () => client.ping(),
    revision: () => client.getNegotiatedProtocolVersion(),
    received: received.all,
    hears: (what) => received.wait(what),
    close: () => client.close(),
  };
}
