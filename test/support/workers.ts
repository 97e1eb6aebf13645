import * as http from 'node:http';
import type { BinDriver } from './bin-driver.ts';
import { afterThisTest } from './cleanup.ts';
import { type HttpAnswer, type HttpQuestion, send } from './http-client.ts';
import { type ListeningBefore, type ListeningOptions, startListening } from './listening.ts';

interface LogLine {
  readonly msg: string;
  readonly pid: number;
  readonly worker?: number;
  readonly workerPid?: number;
}

/** The log lines of all processes, of one type. */
export const logged = (bin: BinDriver, type: string): LogLine[] =>
  bin.stderr
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => (line.includes(`"${type}"`) ? [JSON.parse(line) as LogLine] : []));

/** Waits until so many lines of a type were logged by all processes together. */
export async function untilLogged(bin: BinDriver, type: string, count: number): Promise<LogLine[]> {
  await bin.stderrMatching(new RegExp(`(?:"${type.replace('.', '\\.')}"[\\s\\S]*?\\n[\\s\\S]*?){${count}}`));
  return logged(bin, type);
}

export interface Workers extends ListeningBefore {
  /** The process ids in the order of their start. */
  readonly pids: readonly number[];
}

/** The spawned bin with two workers, of which both listen. */
export async function startWorkers({ args = [], ...options }: ListeningOptions = {}): Promise<Workers> {
  const listening = await startListening({
    ...options,
    args: ['--workers', '2', '--max-connections', '32', ...args],
  });
  await untilLogged(listening.bin, 'listener.opened', 2);
  const pids = logged(listening.bin, 'worker.started').map(({ workerPid = 0 }) => workerPid);
  return { ...listening, pids };
}

/** One connection that stays open: all its requests reach the same worker. */
export type Connection = (question: HttpQuestion) => Promise<HttpAnswer>;

export function connectTo(url: string): Connection {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  afterThisTest(() => agent.destroy());
  return (question) => send(url, question, agent);
}

/** Two connections to different workers: connections are given to the workers in turn. */
export async function connectToBoth(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly [Connection, Connection]> {
  const both = [connectTo(url), connectTo(url)] as const;
  for (const connection of both)
    await connection({ headers, body: { jsonrpc: '2.0', id: 0, method: 'ping' } });
  return both;
}
