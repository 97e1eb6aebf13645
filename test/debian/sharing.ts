import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { type Listening, startListener } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { type Behaviour, ScriptedServer } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';

export const callOf = (id: number, name = 'any') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
});

/** The most arrivals within any second. */
export function mostInOneSecond(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
}

export interface Stall {
  readonly from: number;
  readonly until: number;
}

/** A shorter delay of the event loop cannot move an arrival to another second. */
const MIN_STALL_MS = 30;

/**
 * The times in which this process did not run, because other programs used the processors: requests
 * of a whole stall seem to arrive together at its end.
 */
export function watchStalls(): readonly Stall[] {
  const stalls: Stall[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - last > MIN_STALL_MS) stalls.push({ from: last, until: now });
    last = now;
  }, 5);
  afterThisTest(() => clearInterval(timer));
  return stalls;
}

/**
 * The seconds with more arrivals than `rate` and `burst` allow, as texts. The stalls of this process
 * within a second lengthen it.
 */
export function excessiveSeconds(
  times: readonly number[],
  {
    rate,
    burst,
    stalls,
  }: { readonly rate: number; readonly burst: number; readonly stalls: readonly Stall[] },
): string[] {
  return times.flatMap((from) => {
    const until = from + 1_000;
    const count = times.filter((at) => at >= from && at < until).length;
    const stalledMs = stalls
      .filter((stall) => stall.until >= from && stall.from < until)
      .reduce((sum, stall) => sum + (stall.until - stall.from), 0);
    const allowed = rate + burst + Math.ceil((rate * stalledMs) / 1_000);
    return count > allowed ? [`${count} within a second, and ${allowed} are allowed`] : [];
  });
}

export interface CountingServer {
  readonly url: string;
  readonly arrivals: number[];
  /** The most calls that ran at once since the last read. */
  mostRunning(): number;
}

/** A server that counts: when calls arrive, and how many run at once. */
export async function startCounting(answerMs = 0, first?: Behaviour): Promise<CountingServer> {
  const arrivals: number[] = [];
  let running = 0;
  let most = 0;
  const server = await ScriptedServer.start(
    async (request, response) => {
      arrivals.push(performance.now());
      await first?.(request, response);
      if (response.headersSent) return;
      most = Math.max(most, ++running);
      if (answerMs > 0) await sleep(answerMs);
      running--;
      sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
    },
    { verify: signingVerify },
  );
  return {
    url: server.url,
    arrivals,
    mostRunning: () => {
      const seen = most;
      most = running;
      return seen;
    },
  };
}

export interface Replica extends Listening {
  /** Calls `count` times in parallel, and requires a result with the right id of each. */
  calls(count: number, name?: string): Promise<void>;
  /** How often the log has an event of this type. */
  logged(event: string): number;
}

let nextId = 0;

/** One listener of the spawned bin that shares its limits. */
export async function startReplica(
  endpoint: string,
  limits: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  listen = '127.0.0.1:0',
  program?: string,
): Promise<Replica> {
  const all = [...args, '--max-connections', '16'];
  const listening = await startListener(endpoint, {
    args: all,
    env: { MCP_PROXY_LIMITS: limits, ...env },
    listen,
    program,
  });
  return {
    ...listening,
    calls: async (count, name) => {
      const ids = Array.from({ length: count }, () => nextId++);
      const answers = await Promise.all(ids.map((id) => listening.ask({ body: callOf(id, name) })));
      expect(answers.map(({ json }) => json)).toEqual(ids.map((id) => ({ jsonrpc: '2.0', id, result: {} })));
    },
    logged: (event) => listening.bin.stderr.split('\n').filter((line) => line.includes(`"${event}"`)).length,
  };
}

/** A relay of TCP connections that can stop to forward, as a network that drops packets does. */
export async function startTcpRelay(port: number) {
  const sockets = new Set<Socket>();
  let isCut = false;
  let delayMs = 0;
  const link = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => undefined);
    from.on('data', (bytes) => {
      if (isCut) return;
      if (delayMs === 0) to.write(bytes);
      else setTimeout(() => to.write(bytes), delayMs);
    });
    from.on('close', () => {
      sockets.delete(from);
      if (!isCut) to.destroy();
    });
  };
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    link(client, upstream);
    link(upstream, client);
  });
  const own = await listenOnLoopback(server);
  afterThisTest(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: own,
    /** Bytes that arrive from now on are forwarded so much later, in each direction. */
    delay: (ms: number): void => {
      delayMs = ms;
    },
    /** Bytes that arrive from now on are lost. */
    cut: (): void => {
      isCut = true;
    },
    /** New connections work; those of before stay dead. */
    heal: (): void => {
      isCut = false;
      for (const socket of sockets) socket.destroy();
    },
  };
}
