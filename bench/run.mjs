// Measures the proxy beside undici + smithy without any proxy, and beside the proxies from npm.
//   node bench/run.mjs            everything; writes docs/bench.md
//   node bench/run.mjs --quick    a smoke run in some two minutes; prints only
//   node bench/run.mjs --only start,throughput [--also <checkout>] [--no-peers]   a part; prints only
//   node bench/run.mjs --against <checkout or revision>   compares two builds in under three minutes; prints only
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildOf, COMPARED, COMPARED_ROUNDS, comparisonTable } from './comparison.mjs';
import { machine, page } from './report.mjs';
import { direct, listSubjects } from './subjects.mjs';

const SCENARIOS = [
  ...['start', 'one-at-a-time', 'throughput', 'bursts', 'results', 'memory', 'leaving'],
  ...[
    'dropped-session',
    'layers-cost',
    'tracing-cost',
    'trace-context-cost',
    'metrics-cost',
    'second-profile',
    'tool-list',
    'warm-cold',
  ],
  ...['cancelled-queue', 'session-pool', 'transport'],
  ...['waiting-calls', 'waiting-progress', 'stream-results'],
  ...['listener', 'eras', 'distance'],
];
/** Far above the slowest: a subject that hangs costs this much once, and is not measured again. */
const WORKER_LIMIT_MS = 120_000;
/** The whole run: what has not begun by then is shown as not measured. */
const RUN_LIMIT_MS = 18 * 60_000;
const DOCUMENT = fileURLToPath(new URL('../docs/bench.md', import.meta.url));

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const say = (text) => process.stdout.write(text);

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    also: { type: 'string', multiple: true, default: [] },
    'no-peers': { type: 'boolean', default: false },
    against: { type: 'string' },
  },
});
const comparing = flags.against !== undefined;
const size = flags.quick || comparing ? 'quick' : 'full';
const chosen = flags.only ? flags.only.split(',') : comparing ? COMPARED : SCENARIOS;
const unknown = chosen.filter((name) => !SCENARIOS.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`--only takes ${SCENARIOS.join(', ')}; not ${unknown.join(', ')}\n`);
  process.exit(2);
}

const facts = machine();
const began = performance.now();
const workspace = await mkdtemp(join(tmpdir(), 'mcp-bench-'));
const server = fork(here('server.mjs'), { env: { PATH: process.env.PATH } });
try {
  const [{ url }] = await once(server, 'message');
  const also = comparing ? [buildOf(flags.against, workspace)] : flags.also;
  const subjects = (await listSubjects(url, workspace, also)).filter(({ peer, key }) =>
    comparing ? key === 'mcp-sigv4-proxy' || key === 'also-1' : !(peer && flags['no-peers']),
  );
  const results = await measureAll(url, subjects);
  if (comparing) say(`\n${comparisonTable(results, 'mcp-sigv4-proxy', 'also-1')}\n`);
  else await report(subjects, results);
} finally {
  server.kill();
  await rm(workspace, { recursive: true, force: true });
}

async function report(subjects, results) {
  const text = page({ facts, subjects, results, seconds: (performance.now() - began) / 1_000 });
  const whole = !flags.quick && !flags.only && flags.also.length === 0 && !flags['no-peers'];
  if (whole) {
    await mkdir(dirname(DOCUMENT), { recursive: true });
    await writeFile(DOCUMENT, text);
  }
  say(`\n${text}`);
}

/** @returns per scenario and subject: its rounds' numbers, and what went wrong. */
async function measureAll(url, subjects) {
  const results = {};
  for (const scenario of chosen) {
    const { rounds, kinds, onlyOurs } = await import(`./scenarios/${scenario}.mjs`);
    const taking = subjects.filter(({ kind, peer }) => kinds.includes(kind) && !(peer && onlyOurs));
    const cells = Object.fromEntries(
      taking.map(({ key, problem }) => [key, { rounds: [], ...(problem && { problem }) }]),
    );
    results[scenario] = cells;
    say(`${scenario}:`);
    // A B C, A B C: what else the machine does falls on everybody alike.
    const times = comparing ? COMPARED_ROUNDS : rounds[size];
    for (let round = 0; round < times; round++) {
      for (const subject of taking) {
        const cell = cells[subject.key];
        if (cell.problem) continue;
        if (performance.now() - began > RUN_LIMIT_MS) cell.problem = 'the run took too long to get here';
        else await measure(scenario, subject, url, cell);
      }
      say(` ${round + 1}`);
    }
    say('\n');
  }
  return results;
}

async function measure(scenario, subject, url, cell) {
  await askServer('reset');
  // In a group of its own, so that a subject which outlives its worker is ended with it.
  const worker = fork(here('worker.mjs'), { env: subject.env, detached: true });
  const outcome = await new Promise((resolve) => {
    const overdue = setTimeout(
      () => resolve({ problem: `no end after ${WORKER_LIMIT_MS / 1_000} s` }),
      WORKER_LIMIT_MS,
    );
    worker.on('message', async (message) => {
      if (message === 'counts' || message === 'forget') {
        worker.send(await askServer(message));
        return;
      }
      clearTimeout(overdue);
      resolve(message);
    });
    worker.once('exit', (code) => {
      clearTimeout(overdue);
      resolve({ problem: `the worker exited with code ${code}` });
    });
    worker.send({ scenario, subject, url, size, direct });
  });
  try {
    process.kill(-worker.pid, 'SIGKILL');
  } catch {
    // All gone already.
  }
  if (outcome.problem) cell.problem = outcome.problem;
  else cell.rounds.push(outcome.numbers);
}

async function askServer(question) {
  const answer = once(server, 'message');
  server.send(question);
  const [counts] = await answer;
  return counts;
}
