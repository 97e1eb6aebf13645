import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { SessionPool, type SessionPoolOptions } from '../../../src/library/index.ts';
import type { PoolTransport, TransportContext } from '../../../src/library/session-pool/session.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { FakeClock } from '../../support/fake-clock.ts';

export type MemoryTransport = InMemoryTransport & PoolTransport;

/** One session at a `MemoryServer`. */
export interface MemorySession {
  readonly number: number;
  readonly server: Server;
  readonly context: TransportContext;
  isOpen: boolean;
}

/** A server of the SDK in this process, with one instance per session. */
export class MemoryServer {
  readonly sessions: MemorySession[] = [];
  /** Attempts to open a session. */
  attempts = 0;
  /** Runs before each session is opened: throws where the server is down, waits where it is slow. */
  gate: (context: TransportContext) => unknown = () => undefined;
  /** Runs before a list of tools is returned; returns the page. */
  list: (cursor: string | undefined) => unknown = () => ({
    tools: [{ name: 'echo', inputSchema: { type: 'object' } }],
  });
  /** Runs in each call of a tool. */
  call: (name: string, session: MemorySession) => unknown = () => undefined;
  lists = 0;
  pings = 0;

  readonly transportFactory = async (context: TransportContext): Promise<MemoryTransport> => {
    this.attempts++;
    await this.gate(context);
    const [near, far] = InMemoryTransport.createLinkedPair();
    const server = new Server(
      { name: 'memory', version: '1' },
      { capabilities: { tools: { listChanged: true } } },
    );
    const session: MemorySession = { number: this.sessions.length, server, context, isOpen: true };
    this.sessions.push(session);
    server.setRequestHandler(ListToolsRequestSchema, async ({ params }) => {
      this.lists++;
      return (await this.list(params?.cursor)) as never;
    });
    server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
      await this.call(params.name, session);
      return { content: [{ type: 'text', text: `${session.number} ${params.name}` }] };
    });
    server.onclose = () => {
      session.isOpen = false;
    };
    await server.connect(far);
    return near as MemoryTransport;
  };

  /** Sessions that are open. */
  get open(): number[] {
    return this.sessions.filter(({ isOpen }) => isOpen).map(({ number }) => number);
  }
}

export const clientFactory = (): Client => new Client({ name: 'test', version: '1' });

/** A pool of sessions at a server in this process, on a clock that the test moves. */
export function memoryPool(options: Partial<SessionPoolOptions<Client>> = {}, server = new MemoryServer()) {
  const clock = new FakeClock();
  const { transportFactory } = server;
  const pool = new SessionPool<Client>({
    transportFactory,
    clientFactory,
    clock,
    minSessions: 0,
    ...options,
  });
  afterThisTest(async () => {
    const ended = pool.shutdown();
    await clock.advance(60_000);
    await ended;
  });
  return { pool, server, clock };
}

/** The same, started. */
export async function startedPool(
  options: Partial<SessionPoolOptions<Client>> = {},
  server = new MemoryServer(),
) {
  const rig = memoryPool(options, server);
  await rig.pool.start();
  return rig;
}

export const text = (result: unknown): unknown =>
  (result as { content: { text: string }[] }).content[0]?.text;
