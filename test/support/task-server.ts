import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';

type Json = Record<string, unknown>;

const EXTENSION = 'io.modelcontextprotocol/tasks';
const CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities';
const MISSING_CAPABILITY = -32_021;
const INVALID_PARAMS = -32_602;

/** The states that a tool's task shows one after the other; it stays in the last. */
export type TaskStates = readonly Json[];

export interface TaskServer {
  readonly url: string;
  /** The requests about tasks in order: the method, and whether a header names the task. */
  readonly received: readonly { readonly method: string; readonly isNamed: boolean }[];
  readonly cancelled: readonly string[];
}

class RpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const params = fromJsonSchema<Json>({ type: 'object' });
const anyResult = fromJsonSchema<Json>({ type: 'object' });

/**
 * A server of revision 2026-07-28 on the SDK, with the Tasks extension on top of it: the SDK has no
 * tasks in this revision, but accepts handlers for them. Each tool answers with a task.
 */
export async function startTaskServer(tools: Readonly<Record<string, TaskStates>>): Promise<TaskServer> {
  const received: { method: string; isNamed: boolean }[] = [];
  const cancelled: string[] = [];
  const tasks = new Map<string, { readonly states: TaskStates; at: number }>();
  const stateOf = (taskId: string): Json => {
    const task = tasks.get(taskId);
    if (!task) throw new RpcError(INVALID_PARAMS, 'Failed to retrieve task: Task not found');
    const now = '2026-07-28T00:00:00Z';
    const state = task.states[Math.min(task.at, task.states.length - 1)];
    return { taskId, createdAt: now, lastUpdatedAt: now, ttlMs: null, pollIntervalMs: 50, ...state };
  };
  const requireExtension = (meta: unknown): void => {
    const declared = JSON.stringify((meta as Json | undefined)?.[CAPABILITIES_KEY] ?? {});
    if (!declared.includes(EXTENSION))
      throw new RpcError(MISSING_CAPABILITY, 'Missing required client capability');
  };
  const makeServer = (): McpServer => {
    const server = new McpServer(
      { name: 'task-server', version: '0.0.0' },
      { capabilities: { tools: {}, extensions: { [EXTENSION]: {} } } },
    );
    for (const [name, states] of Object.entries(tools)) {
      server.registerTool(name, { description: 'Runs as a task' }, ({ mcpReq }) => {
        requireExtension(mcpReq.envelope);
        const taskId = randomUUID();
        tasks.set(taskId, { states, at: 0 });
        return { resultType: 'task', ...stateOf(taskId) } as never;
      });
    }
    const handle = (method: string, act: (taskId: string) => Json): void =>
      server.server.setRequestHandler(
        method,
        { params, result: anyResult },
        async ({ taskId }, { mcpReq, http: web }) => {
          received.push({ method, isNamed: web?.req?.headers.get('mcp-name') === taskId });
          requireExtension(mcpReq.envelope);
          return act(String(taskId));
        },
      );
    handle('tasks/get', (taskId) => {
      const task = tasks.get(taskId);
      if (task) task.at += 1;
      return stateOf(taskId);
    });
    handle('tasks/cancel', (taskId) => {
      stateOf(taskId);
      cancelled.push(taskId);
      return {};
    });
    return server;
  };
  const handler = createMcpHandler(makeServer, { legacy: 'reject' });
  const serve = toNodeHandler(handler);
  const server = http.createServer((incoming, response) => {
    const request = Object.assign(incoming, { method: incoming.method ?? 'GET', url: incoming.url ?? '/' });
    serve(request, response).catch(() => response.destroy());
  });
  const connections = new Connections(server);
  const port = await listenOnLoopback(server);
  afterThisTest(async () => {
    await handler.close();
    await shut(server, connections);
  });
  return { url: `http://127.0.0.1:${port}/mcp`, received, cancelled };
}
