import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { FaultServer } from './fault-server.ts';
import { randomFaults, seededRandom } from './faults.ts';
import type { Rpc } from './mcp-answers.ts';
import { signingArgs, signingEnv, TEST_KEY } from './signing.ts';
import { type SoakPeer, StdioSoakClient } from './soak-client.ts';
import { HTTP_CLIENTS, HttpSoakClient } from './soak-http-client.ts';
import { judge, type Row, type Sample, type Tally } from './soak-verdict.ts';
import { combined, type SoakWayName } from './soak-ways.ts';
import { makeTempHome } from './temp-home.ts';

const IN_FLIGHT = 16;
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
  /** True: clients of the listener in place of one client on stdio. */
  readonly listener?: boolean;
  readonly progress?: (text: string) => void;
}

const OVERLOADED = -32001;

type Outcome = 'result' | 'hang' | { readonly reason: string; readonly mayHaveRun: boolean };

function outcomeOf(answer: Rpc | undefined): Outcome {
  if (!answer) return 'hang';
  if (answer.error === undefined) return 'result';
  const { code, data } = answer.error as { code: number; data?: { reason?: string; mayHaveRun?: boolean } };
  // A refused call has the seven keys of the older contract, and did not run.
  return { reason: data?.reason ?? String(code), mayHaveRun: data?.mayHaveRun ?? code !== OVERLOADED };
}

/** Random faults at 16 in flight for so many seconds; then peace, and a look at what is left. */
export async function soak({
  seconds,
  seed,
  binPath,
  ways = [],
  listener = false,
  progress,
}: SoakOptions): Promise<Row[]> {
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
  const start = listener ? HttpSoakClient.start : StdioSoakClient.start;
  const client: SoakPeer = await start(binPath, args, {
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
    await client.shakeHands();
    server.plan = randomFaults(random);
    sampling = setInterval(() => samples.push(sample(client, server)), SAMPLE_MS);
    if (way.signalMs !== undefined) {
      signalling = setInterval(() => client.signal('SIGHUP'), way.signalMs);
    }
    const end = performance.now() + seconds * 1_000;
    let received = 0;
    const worker = async (): Promise<void> => {
      while (performance.now() < end) {
        await oneRequest(client, random, tally, way);
        const passed = Math.floor((seconds * 1_000 - (end - performance.now())) / 30_000);
        if (passed > received) {
          received = passed;
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
    client.end();
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
      mostSessions: listener
        ? HTTP_CLIENTS
        : way.signalMs !== undefined && way.sessions === 1
          ? 2 + SIGNALS_AT_ONCE
          : way.sessions,
      // SIGHUP, lifetime and recycling keep a session until its successor works.
      overlap: way.sessions > 1 ? 1 : 0,
      isListener: listener,
    });
  } finally {
    clearInterval(sampling);
    clearInterval(signalling);
    client.signal('SIGKILL');
    await server.close();
    await home.cleanup();
  }
}

async function oneRequest(
  client: SoakPeer,
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
async function isUsable(client: SoakPeer, withinMs: number): Promise<boolean> {
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

function sample({ pid }: SoakPeer, server: FaultServer): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    sockets: server.openSockets,
    sessions: server.liveSessions.length,
  };
}
