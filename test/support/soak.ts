import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { FaultServer } from './fault-server.ts';
import { randomFaults, seededRandom } from './faults.ts';
import type { Rpc } from './mcp-answers.ts';
import { parseJson } from './scripted-server.ts';
import { signingArgs, signingEnv, TEST_KEY } from './signing.ts';
import { judge, type Row, type Sample, type Tally } from './soak-verdict.ts';
import { combined, type SoakWayName } from './soak-ways.ts';
import { makeTempHome } from './temp-home.ts';

const IN_FLIGHT = 16;
/** Longer than any deadline of the proxy's own: what is not answered by then never will be. */
const HANG_MS = 40_000;
/**
 * How long the proxy may take to come to rest when the faults are over: its longest wait before the
 * stream comes back.
 */
const REST_MS = 35_000;
const SAMPLE_MS = 500;
/** A call that hangs keeps the session that a SIGHUP has replaced, for as long as it may take. */
const SIGNALS_AT_ONCE = 8;

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly binPath: string;
  /** Beside the plain settings: see `SOAK_WAYS`. */
  readonly ways?: readonly SoakWayName[];
  readonly progress?: (text: string) => void;
}

const OVERLOADED = -32001;

type Outcome = 'result' | 'hang' | { readonly reason: string; readonly mayHaveRun: boolean };

/**
 * A client that keeps nothing but what it waits for, so that ten minutes of it weigh as much as
 * one.
 */
class SoakClient {
  readonly child;
  readonly exited: Promise<number | null>;
  /** Answers to no request, or to one that was answered before. */
  strays = 0;
  stderr = '';
  readonly #waiting = new Map<number | string, (answer: Rpc) => void>();
  /** Their answers may already have been on the way. */
  readonly #cancelled = new Set<number | string>();
  #made = -2;

  constructor(binPath: string, args: readonly string[], keys: NodeJS.ProcessEnv) {
    const env = { PATH: process.env.PATH ?? '', ...keys };
    this.child = spawn(process.execPath, [binPath, ...args], { env, stdio: 'pipe' });
    this.child.stdin.on('error', () => undefined);
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (this.stderr.length < 10_000) this.stderr += text;
    });
    createInterface(this.child.stdout).on('line', (line) => this.#read(line));
    this.exited = new Promise((resolve) => this.child.once('close', resolve));
  }

  #read(line: string): void {
    const message = parseJson(line) as Rpc | undefined;
    if (message?.method === 'elicitation/create') {
      const { message: token } = message.params as { message: string };
      this.send({ id: message.id, result: { action: 'accept', content: { token } } });
    }
    if (message?.method !== undefined) return;
    const id = message?.id;
    const known = typeof id === 'number' || typeof id === 'string';
    const settle = known ? this.#waiting.get(id) : undefined;
    if (message && known && settle) {
      this.#waiting.delete(id);
      settle(message);
    } else if (!known || !this.#cancelled.delete(id)) this.strays++;
  }

  send(message: Rpc): void {
    this.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  /** -1, 0, then numbers and strings in turn; the first string is empty. */
  nextId(): number | string {
    const made = ++this.#made;
    if (made === 1) return '';
    return made > 0 && made % 3 === 0 ? `s${made}` : made;
  }

  /** Resolves undefined where no answer comes. */
  async ask(method: string, params: object, id = this.nextId()): Promise<Rpc | undefined> {
    const answer = new Promise<Rpc>((resolve) => this.#waiting.set(id, resolve));
    this.send({ id, method, params });
    const late = new AbortController();
    const hung = wait(HANG_MS, undefined, { signal: late.signal }).catch(() => undefined);
    return Promise.race([answer, hung]).finally(() => late.abort());
  }

  cancel(id: number | string): void {
    const settle = this.#waiting.get(id);
    this.#waiting.delete(id);
    settle?.({});
    this.#cancelled.add(id);
    this.send({ method: 'notifications/cancelled', params: { requestId: id } });
    // All messages in flight have arrived by then.
    setTimeout(() => this.#cancelled.delete(id), HANG_MS).unref();
  }
}

function outcomeOf(answer: Rpc | undefined): Outcome {
  if (!answer) return 'hang';
  if (answer.error === undefined) return 'result';
  const { code, data } = answer.error as { code: number; data?: { reason?: string; mayHaveRun?: boolean } };
  // A refused call has the seven keys of the older contract, and did not run.
  return { reason: data?.reason ?? String(code), mayHaveRun: data?.mayHaveRun ?? code !== OVERLOADED };
}

/** Random faults at 16 in flight for so many seconds; then peace, and a look at what is left. */
export async function soak({ seconds, seed, binPath, ways = [], progress }: SoakOptions): Promise<Row[]> {
  const random = seededRandom(seed);
  const way = combined(ways);
  const server = await FaultServer.start();
  const home = await makeTempHome();
  const { accessKeyId, secretAccessKey, sessionToken } = TEST_KEY;
  // One key for all: it is the sessions that must not be mixed up.
  const keyLines = `aws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\naws_session_token = ${sessionToken}\n`;
  await home.config(way.profiles.map((name) => `[profile ${name}]\n${keyLines}`).join(''));
  const args = [
    server.url,
    ...signingArgs,
    '--max-connections',
    '16',
    '--tool-timeout',
    '10',
    '--timeout',
    '25',
    ...way.args,
    ...(way.profiles.length > 0 ? ['--profile', ...way.profiles] : []),
  ];
  const client = new SoakClient(binPath, args, {
    HOME: home.home,
    ...(way.profiles.length > 0 ? {} : signingEnv),
  });
  const tally: Tally = {
    requests: 0,
    results: 0,
    cancelled: 0,
    hangs: 0,
    refused: {},
    mixedUp: [],
    marked: [],
  };
  const samples: Sample[] = [];
  let sampling: NodeJS.Timeout | undefined;
  let signalling: NodeJS.Timeout | undefined;
  try {
    await shakeHands(client);
    server.plan = randomFaults(random);
    sampling = setInterval(() => samples.push(sample(client, server)), SAMPLE_MS);
    if (way.signalMs !== undefined) {
      signalling = setInterval(() => client.child.kill('SIGHUP'), way.signalMs);
    }
    const end = performance.now() + seconds * 1_000;
    let told = 0;
    const worker = async (): Promise<void> => {
      while (performance.now() < end) {
        await oneRequest(client, random, tally, way);
        const passed = Math.floor((seconds * 1_000 - (end - performance.now())) / 30_000);
        if (passed > told) {
          told = passed;
          progress?.(`${passed * 30} s: ${tally.requests} requests, ${samples.at(-1)?.rssMb.toFixed(0)} MB`);
        }
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
    clearInterval(sampling);
    clearInterval(signalling);
    server.plan = () => ({ kind: 'none' });
    const usable = await isUsable(client, REST_MS);
    const left = sample(client, server);
    client.child.stdin.end();
    const code = await Promise.race([client.exited, wait(5_000, 'none' as const, { ref: false })]);
    return judge({
      tally,
      samples,
      executions: server.executions,
      initializes: server.initializes,
      strays: client.strays,
      refusedSignatures: server.refusedSignatures,
      questions: way.asks ? { answered: server.questionsAnswered, misrouted: server.misrouted } : undefined,
      usable,
      left,
      sessionsAfterExit: server.liveSessions.length,
      exitCode: code,
      stderr: client.stderr,
      profiles: Math.max(1, way.profiles.length),
      // Where nothing bounds them, a signal has each session and its successor stand side by side
      // while calls run.
      mostSessions: way.signalMs !== undefined && way.sessions === 1 ? 2 + SIGNALS_AT_ONCE : way.sessions,
    });
  } finally {
    clearInterval(sampling);
    clearInterval(signalling);
    client.child.kill('SIGKILL');
    await server.close();
    await home.cleanup();
  }
}

async function shakeHands(client: SoakClient): Promise<void> {
  const clientInfo = { name: 'soak', version: '0.0.0' };
  await client.ask(
    'initialize',
    { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo },
    'handshake',
  );
  client.send({ method: 'notifications/initialized' });
  await client.ask('tools/list', {}, 'tools');
}

async function oneRequest(
  client: SoakClient,
  random: () => number,
  tally: Tally,
  { profiles, asks }: Pick<ReturnType<typeof combined>, 'profiles' | 'asks'>,
): Promise<void> {
  const at = tally.requests++;
  const die = random();
  if (die < 0.06) {
    count(tally, outcomeOf(await client.ask(die < 0.03 ? 'tools/list' : 'ping', {})));
    return;
  }
  const looks = die < 0.15;
  const token = `t${at}`;
  const padding = 'x'.repeat(random() < 0.02 ? 200_000 : random() * 500);
  const profile = profiles[Math.floor(random() * (profiles.length + 1))];
  const params = {
    name: looks ? 'look' : 'mark',
    arguments: {
      token,
      padding,
      ...(random() < 0.5 ? { ms: Math.floor(random() * 60) } : {}),
      ...(asks && random() < 0.2 ? { ask: true } : {}),
      ...(profile === undefined ? {} : { aws_profile: profile }),
    },
  };
  if (random() < 0.03) {
    const id = client.nextId();
    void client.ask('tools/call', params, id);
    await wait(random() * 60);
    client.cancel(id);
    tally.cancelled++;
    if (!looks) tally.marked.push({ token, ran: 'maybe' });
    return;
  }
  const answer = await client.ask('tools/call', params);
  const outcome = outcomeOf(answer);
  count(tally, outcome);
  if (outcome === 'result' && !JSON.stringify(answer).includes(`"${token}"`)) tally.mixedUp.push(token);
  if (looks || outcome === 'hang') return;
  if (outcome === 'result') tally.marked.push({ token, ran: 'once' });
  else tally.marked.push({ token, ran: outcome.mayHaveRun ? 'maybe' : 'never' });
}

function count(tally: Tally, outcome: Outcome): void {
  if (outcome === 'result') tally.results++;
  else if (outcome === 'hang') tally.hangs++;
  else tally.refused[outcome.reason] = (tally.refused[outcome.reason] ?? 0) + 1;
}

/** Full use, within a bounded time: the breaker may be open, the session under repair. */
async function isUsable(client: SoakClient, withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs;
  for (let round = 0; performance.now() < end; round++) {
    const calls = Array.from({ length: IN_FLIGHT }, (_, at) =>
      client.ask('tools/call', { name: 'mark', arguments: { token: `final ${round} ${at}` } }),
    );
    const answers = await Promise.all(calls);
    if (answers.every((answer) => outcomeOf(answer) === 'result')) {
      // The remains of a recent call, such as a draining stream, may go first.
      await wait(1_500);
      return true;
    }
    await wait(500);
  }
  return false;
}

function sample({ child: { pid } }: SoakClient, server: FaultServer): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    sockets: server.openSockets,
    sessions: server.liveSessions.length,
  };
}
