// Turns measurements into the page that the docs show. A ratio is computed within a round, and the page shows the median of the
// rounds: other work on the machine slows both sides of a round.
import { availableParallelism, loadavg } from 'node:os';
import { median } from './median.mjs';

const OURS = 'mcp-sigv4-proxy';
const FLOOR = 'smallest';

export const machine = () => ({
  cores: availableParallelism(),
  node: process.version,
  system: `${process.platform} ${process.arch}`,
  load: loadavg()[0],
});

const ms = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
const us = (value) => `${(value * 1_000).toFixed(0)} us`;
const us1 = (value) => `${(value * 1_000).toFixed(1)} us`;
const percent = (value) => `${(value * 100).toFixed(2)} %`;
const times = (value) => `${value.toFixed(2)} x`;
const rate = (value) => `${Math.round(value).toLocaleString('en')}/s`;
const mb = (value) => `${value.toFixed(0)} MB`;
const mb1 = (value) => `${value.toFixed(1)} MB`;
const kb = (value) => `${value.toFixed(1)} kB`;
const bytes = (value) => `${(value / 1024).toFixed(1)} kB`;
const count = (value) => value.toFixed(0);
const yesNo = (value) => (value > 0 ? 'yes' : 'no');

const COLD_CODE =
  'The calls run before V8 has optimized the code, which takes thousands of calls, and ours has more of it than the smallest proxy: checks, signature, retries, limits. Later calls come nearer to it.';
const TRACES =
  'A call whose trace is not sampled still gets its context, with ids of its own. The next rows show the cost of that, and of a constant context, which needs no ids, no decision and no objects. The one call in a hundred is three spans more.';

/**
 * The targets of the project. `against` makes a row a ratio to that subject; `most` and `least` are the limits.
 * A row that can miss its limit has a `reason`; the page shows the reason if the row missed. It may be computed from measured times.
 */
const TARGETS = [
  {
    title: 'Spawn to the answer to `initialize`, against `node -e 0`',
    of: ['start', 'ms'],
    against: 'node',
    show: times,
    most: 3,
  },
  {
    title: 'One call at a time, p50, against direct',
    of: ['one-at-a-time', 'p50'],
    against: 'direct',
    show: times,
    most: 1.2,
    reason: COLD_CODE,
  },
  {
    title: 'Calls/s with 32 in flight, against direct',
    of: ['throughput', 'at32'],
    against: 'direct',
    show: times,
    least: 1,
  },
  {
    title: 'Bursts of 8 calls of 50 ms, p50',
    of: ['bursts', 'p50'],
    show: ms,
    most: 56,
    reason: 'The calls take 50 ms at the server, and direct needs as long on this machine.',
  },
  { title: 'Connections that the bursts opened', of: ['bursts', 'connections'], show: count, most: 8 },
  {
    title: '8 MB result, against direct',
    of: ['results', 'mb8'],
    against: 'direct',
    show: times,
    most: 1.5,
    reason: (timeOf) =>
      `Only JSON-RPC may reach the client, so each answer is checked before it is passed on. Direct takes ${timeOf('results', 'mb8', 'direct')}, the smallest proxy ${timeOf('results', 'mb8', FLOOR)}, and ${timeOf('results', 'parsed8', FLOOR)} if it parses each answer with JSON.parse first. mcp-sigv4-proxy takes ${timeOf('results', 'mb8', OURS)}.`,
  },
  { title: 'Memory, idle', of: ['memory', 'idle'], show: mb, most: 60 },
  { title: 'Memory after 5,000 calls', of: ['memory', 'loaded'], show: mb, most: 140 },
  { title: 'Exit after stdin closes', of: ['leaving', 'ms'], show: ms, most: 100 },
  { title: 'Session deleted at the exit', of: ['leaving', 'deleted'], show: yesNo, least: 1 },
];

const NUMBERS = [
  { title: 'Spawn to the answer to `initialize`', of: ['start', 'ms'], show: ms },
  { title: 'The same at the first start of all, without a code cache', of: ['start', 'firstMs'], show: ms },
  { title: 'One call at a time, p50', of: ['one-at-a-time', 'p50'], show: ms },
  { title: 'One call at a time, p99', of: ['one-at-a-time', 'p99'], show: ms },
  { title: 'Calls/s right after the start, 32 in flight', of: ['throughput', 'cold'], show: rate },
  { title: 'Calls/s, 8 in flight', of: ['throughput', 'at8'], show: rate },
  { title: 'Calls/s, 32 in flight', of: ['throughput', 'at32'], show: rate },
  { title: 'Calls/s, 128 in flight', of: ['throughput', 'at128'], show: rate },
  { title: 'Bursts of 8 calls of 50 ms, p50', of: ['bursts', 'p50'], show: ms },
  { title: 'Connections that the bursts opened', of: ['bursts', 'connections'], show: count },
  { title: '1 MB result', of: ['results', 'mb1'], show: ms },
  { title: '8 MB result', of: ['results', 'mb8'], show: ms },
  { title: 'Memory, idle', of: ['memory', 'idle'], show: mb },
  { title: 'Memory after 5,000 calls', of: ['memory', 'loaded'], show: mb },
  { title: 'Memory after five 8 MB results more', of: ['memory', 'large'], show: mb },
  { title: 'Exit after stdin closes', of: ['leaving', 'ms'], show: ms },
];

/** The cost of faults, and the cost of the layers for them when there are none. */
const TROUBLE = [
  { title: '32 calls at once, the session known', of: ['dropped-session', 'known'], show: ms },
  { title: '32 calls at once, the session just forgotten', of: ['dropped-session', 'forgotten'], show: ms },
  { title: 'Sessions opened for them', of: ['dropped-session', 'initializes'], show: count, most: 1 },
  { title: 'CPU per call, no limits', of: ['layers-cost', 'without'], show: us },
  { title: 'CPU per call, every limit on', of: ['layers-cost', 'with'], show: us },
  {
    title: 'CPU per call, on against none, median of the pairs',
    of: ['layers-cost', 'cpu'],
    show: times,
    most: 1.1,
  },
  { title: 'CPU per call, the pair with the least', of: ['layers-cost', 'least'], show: times },
  { title: 'CPU per call, the pair with the most', of: ['layers-cost', 'most'], show: times },
  { title: 'Time per call, on against none', of: ['layers-cost', 'time'], show: times },
  {
    title: 'CPU per call, every call traced against none',
    of: ['tracing-cost', 'all'],
    show: times,
    most: 1.25,
    reason: TRACES,
  },
  {
    title: 'CPU per call, one in a hundred traced against none',
    of: ['tracing-cost', 'hundredth'],
    show: times,
    most: 1.05,
    reason: TRACES,
  },
  {
    title: 'CPU per call, tracing with no call sampled against none',
    of: ['tracing-cost', 'none'],
    show: times,
  },
  {
    title: 'CPU per call, a constant trace context in header and `_meta` against none',
    of: ['trace-context-cost', 'cpu'],
    show: times,
  },
  { title: 'CPU per call, --status against none', of: ['metrics-cost', 'cpu'], show: times, most: 1.05 },
  { title: 'A scrape of the metrics of 1,000 tools', of: ['metrics-cost', 'scrape'], show: ms, most: 20 },
  { title: 'A call that names no profile, p50', of: ['second-profile', 'first'], show: ms },
  { title: 'A call that names another profile, p50', of: ['second-profile', 'second'], show: ms },
  { title: 'Another profile against none', of: ['second-profile', 'ratio'], show: times, most: 1.1 },
  { title: 'tools/list from the cache, p25', of: ['tool-list', 'cached'], show: ms },
  { title: 'A call that the proxy refuses itself, p25', of: ['tool-list', 'refused'], show: ms },
  { title: 'The list against the refusal', of: ['tool-list', 'cachedRatio'], show: times, most: 1.2 },
  { title: '`JSON.parse` of a list of 1,000 tools, p25', of: ['tool-list', 'parse'], show: ms },
  { title: 'Filtering it, and an argument in each tool, p25', of: ['tool-list', 'edit'], show: ms },
  { title: 'The editing against the parsing', of: ['tool-list', 'editRatio'], show: times, most: 2 },
  { title: 'First call after `initialize`', of: ['warm-cold', 'first'], show: ms },
  { title: 'Second call', of: ['warm-cold', 'second'], show: ms },
  {
    title: 'First above second',
    of: ['warm-cold', 'overSecond'],
    show: ms,
    most: 5,
    reason:
      'The first call runs the code for calls before V8 has compiled it. Compiling it earlier would delay the answer to `initialize`.',
  },
  { title: '20th call', of: ['warm-cold', 'twentieth'], show: ms },
  { title: 'First against 20th', of: ['warm-cold', 'ratio'], show: times },
  {
    title: '`SessionPool`: borrow and return of an open session',
    of: ['session-pool', 'warm'],
    show: us1,
    most: 0.005,
  },
  { title: '`SessionPool`: borrow that opens a session', of: ['session-pool', 'cold'], show: ms },
  { title: 'The one against the other', of: ['session-pool', 'warmShare'], show: percent, most: 0.01 },
  { title: '8 calls at once on open sessions', of: ['session-pool', 'pooled'], show: ms },
  { title: '8 calls at once that open a session each', of: ['session-pool', 'unpooled'], show: ms },
  { title: 'The ones against the others', of: ['session-pool', 'pooledShare'], show: times, most: 0.6 },
  { title: 'Borrow and return with 1 session', of: ['session-pool', 'few'], show: us1 },
  { title: 'Borrow and return with 1,000 sessions', of: ['session-pool', 'many'], show: us1 },
  { title: 'The one against the other', of: ['session-pool', 'growth'], show: times, most: 2 },
  { title: "CPU per call through the library's lines", of: ['transport', 'line'], show: us },
  { title: '`SigV4ClientTransport` in their place', of: ['transport', 'transport'], show: us },
  { title: 'The one against the other', of: ['transport', 'ratio'], show: times, most: 1.2 },
  {
    title: '10,000 queued calls cancelled, until a ping is answered',
    of: ['cancelled-queue', 'ms'],
    show: ms,
  },
  { title: 'Live objects before these calls', of: ['cancelled-queue', 'liveBefore'], show: mb1 },
  { title: 'Live objects after the last such burst', of: ['cancelled-queue', 'liveAfter'], show: mb1 },
  { title: 'Growth of the live objects', of: ['cancelled-queue', 'grown'], show: mb1, most: 2 },
  { title: 'Memory before these calls', of: ['cancelled-queue', 'before'], show: mb },
  { title: 'Memory 2 s after the first burst', of: ['cancelled-queue', 'first'], show: mb },
  { title: 'Memory 2 s after the last burst', of: ['cancelled-queue', 'last'], show: mb },
  { title: 'Memory at the peak', of: ['cancelled-queue', 'peak'], show: mb },
];

/** Costs that must not grow with the calls that wait, and the memory of large answers. */
const GROWTH = [
  {
    title: 'Memory of a call that waits for a connection',
    of: ['waiting-calls', 'queued'],
    show: bytes,
    most: 4 * 1024,
  },
  {
    title: 'Memory of a call that waits for the server',
    of: ['waiting-calls', 'sent'],
    show: bytes,
    most: 4 * 1024,
    reason:
      'undici needs a client with a parser and a socket for each request in flight; the next rows show both parts.',
  },
  {
    title: 'Memory of a bare undici client with one request at the server',
    of: ['waiting-calls', 'bare'],
    show: bytes,
  },
  {
    title: 'The call at the server without that',
    of: ['waiting-calls', 'sentOverBare'],
    show: bytes,
    most: 4 * 1024,
  },
  {
    title: 'How often a 10 kB argument is held behind connections',
    of: ['waiting-calls', 'queuedArguments'],
    show: times,
    most: 1.1,
  },
  {
    title: 'How often a 10 kB argument is held at the server',
    of: ['waiting-calls', 'sentArguments'],
    show: times,
    most: 1.1,
  },
  { title: 'CPU of a progress event', of: ['waiting-progress', 'alone'], show: us },
  { title: 'CPU of a progress event while 4,000 calls wait', of: ['waiting-progress', 'crowded'], show: us },
  { title: 'The one against the other', of: ['waiting-progress', 'ratio'], show: times, most: 1.25 },
  { title: 'CPU of a cancelled call', of: ['waiting-progress', 'cancelAlone'], show: us },
  {
    title: 'CPU of a cancelled call while 4,000 calls wait',
    of: ['waiting-progress', 'cancelCrowded'],
    show: us,
  },
  { title: 'The one against the other', of: ['waiting-progress', 'cancelRatio'], show: times, most: 1.25 },
  { title: '64 MB result as JSON', of: ['stream-results', 'json'], show: ms },
  { title: '64 MB result as an event stream', of: ['stream-results', 'stream'], show: ms },
  { title: 'The stream against JSON', of: ['stream-results', 'ratio'], show: times, most: 1.3 },
  {
    title: 'Memory at the peak of JSON, against the size of the result',
    of: ['stream-results', 'jsonPeak'],
    show: times,
  },
  {
    title: 'Memory at the peak of the stream, against the size of the result',
    of: ['stream-results', 'streamPeak'],
    show: times,
    most: 3,
  },
];

/** In front of HTTP clients: the listener beside a bare reverse proxy, which signs nothing, and no proxy at all. */
const LISTENING = [
  ...[1, 32, 256, 1_024].map((inFlight) => ({
    title: `A call with ${inFlight.toLocaleString('en')} in flight, p50`,
    metric: `P50At${inFlight}`,
    ratio: `ratioAt${inFlight}`,
    show: ms,
  })),
  ...[32, 256].map((inFlight) => ({
    title: `Calls/s, ${inFlight} in flight`,
    metric: `RateAt${inFlight}`,
    show: rate,
  })),
  { title: 'First byte of a stream', metric: 'FirstByte', show: ms },
];
const STREAMS = [
  {
    title: 'Memory of a stream, 1,000 just opened',
    metrics: ['perStream', 'barePerStream'],
    show: kb,
  },
  {
    title: 'Memory of a stream, idle for 30 s',
    metrics: ['perIdleStream', 'barePerIdleStream'],
    show: kb,
    most: 40,
  },
];
const MAX_OF_BARE = 1.2;
const LISTENER_REASON =
  'Host, origin, token, limits and message are checked for each request, and the request is signed. The bare reverse proxy does none of this.';

/** Over TLS, through a delayed network: round trips are what a person waits for. */
const DISTANCE = [0, 20, 100].flatMap((roundTrip) => [
  [`Spawn to the answer to \`initialize\`, ${roundTrip} ms`, `start${roundTrip}`],
  [`First call, ${roundTrip} ms`, `first${roundTrip}`],
  [`Next call, ${roundTrip} ms`, `next${roundTrip}`],
]);

const ERAS = [
  ['Calls/s over stdio, 32 in flight', 'stdio'],
  ['Calls/s through the listener, 32 in flight', 'http'],
];

/** The median over the rounds, as such or against another subject's same round; undefined where it was not measured. */
function numberOf(results, [scenario, metric], key, against) {
  const cells = results[scenario];
  const rounds = cells?.[key]?.rounds ?? [];
  if (cells?.[key]?.problem || rounds.length === 0) return undefined;
  if (!against) return median(rounds.map((round) => round[metric]));
  const base = cells[against]?.rounds ?? [];
  const pairs = rounds.flatMap((round, at) => (base[at] ? [round[metric] / base[at][metric]] : []));
  return pairs.length > 0 ? median(pairs) : undefined;
}

/** The rows that missed their limit, each with its reason. */
class Verdicts {
  #missed = [];

  of({ title, show, most, least, reason }, value) {
    // By the digits that the page shows: 1.204 is not above 1.20.
    const judged = show === times ? Number(value?.toFixed(2)) : value;
    const met = value !== undefined && (most === undefined ? judged >= least : judged <= most);
    const limit = show === yesNo ? 'yes' : most === undefined ? `>= ${show(least)}` : `<= ${show(most)}`;
    if (met) return [limit, 'met'];
    this.#missed.push({ title, value: value === undefined ? 'none' : show(value), limit, reason });
    return [limit, `missed (${letterOf(this.#missed.length)})`];
  }

  section() {
    if (this.#missed.length === 0) return 'Every target is met.';
    return this.#missed
      .map(
        ({ title, value, limit, reason = 'the reason is not known' }, at) =>
          `- (${letterOf(at + 1)}) ${title}: ${value}, target ${limit}. ${reason}`,
      )
      .join('\n');
  }
}

const letterOf = (number) => String.fromCharCode(96 + number);

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

export function page({ facts, subjects, results, seconds }) {
  const proxies = subjects.filter(({ kind }) => kind === 'proxy');
  const problems = [];
  const cell = ({ of, against, show }, key) => {
    const value = numberOf(results, of, key, against);
    if (value !== undefined) return show(value);
    const problem = results[of[0]]?.[key]?.problem;
    if (!problem) return '-';
    const note = `${key}, ${of[0]}: ${problem}`;
    if (!problems.includes(note)) problems.push(note);
    return `none (${problems.indexOf(note) + 1})`;
  };
  const measured = ({ of }) => of[0] in results;
  const timeOf = (scenario, metric, key) => {
    const value = numberOf(results, [scenario, metric], key);
    return value === undefined ? '-' : ms(value);
  };
  const verdicts = new Verdicts();
  const verdictOf = (row) =>
    row.most === undefined ? ['', ''] : verdicts.of(row, numberOf(results, row.of, OURS));

  const targets = TARGETS.filter(measured).map((row) => {
    const reason = typeof row.reason === 'function' ? row.reason(timeOf) : row.reason;
    const verdict = verdicts.of({ ...row, reason }, numberOf(results, row.of, OURS, row.against));
    return [row.title, ...verdict, cell(row, FLOOR), ...proxies.map(({ key }) => cell(row, key))];
  });
  const numbers = NUMBERS.filter(measured).map((row) => [
    row.title,
    cell(row, row.of[0] === 'start' ? 'node' : 'direct'),
    cell(row, FLOOR),
    ...proxies.map(({ key }) => cell(row, key)),
  ]);

  const trouble = TROUBLE.filter(measured).map((row) => {
    return [row.title, ...verdictOf(row), cell(row, 'direct'), ...proxies.map(({ key }) => cell(row, key))];
  });

  const growth = GROWTH.filter(measured).map((row) => {
    return [row.title, ...verdictOf(row), cell(row, OURS)];
  });

  const ofOurs = (scenario, metric, show) => {
    const value = numberOf(results, [scenario, metric], OURS);
    return value === undefined || Number.isNaN(value) ? '-' : show(value);
  };
  const listening = LISTENING.map(({ title, metric, ratio, show }) => {
    const row = {
      title: `${title}, through the listener`,
      show: times,
      most: MAX_OF_BARE,
      reason: LISTENER_REASON,
    };
    const verdict =
      ratio && 'listener' in results
        ? [
            ofOurs('listener', ratio, times),
            ...verdicts.of(row, numberOf(results, ['listener', ratio], OURS)),
          ]
        : ['', '', ''];
    const columns = ['listener', 'bare', 'direct'].map((who) => ofOurs('listener', `${who}${metric}`, show));
    return [title, ...columns, ...verdict];
  });
  if ('listener' in results) {
    for (const row of STREAMS) {
      const columns = row.metrics.map((metric) => ofOurs('listener', metric, kb));
      const value = numberOf(results, ['listener', row.metrics[0]], OURS);
      const verdict = row.most === undefined ? ['', ''] : verdicts.of(row, value);
      listening.push([row.title, ...columns, '-', '', ...verdict]);
    }
  }
  const eras = ERAS.map(([title, way]) => [
    title,
    ofOurs('eras', `${way}-session`, rate),
    ofOurs('eras', `${way}-stateless`, rate),
    ofOurs('eras', `${way}-ratio`, times),
  ]);

  const distance = DISTANCE.filter(([, metric]) => measured({ of: ['distance', metric] })).map(
    ([title, metric]) => [
      title,
      ...proxies.map(({ key }) => cell({ of: ['distance', metric], show: ms }, key)),
    ],
  );

  const names = proxies.map(({ key, version }) => (version ? `${key} ${version}` : key));
  return `# Benchmarks

Written by \`npm run bench\`; do not edit. Measured with Node ${facts.node} on ${facts.system} with ${facts.cores} cores, load average ${facts.load.toFixed(1)} at the start, in ${Math.round(seconds)} s.${facts.load > facts.cores / 2 ? ' The machine did other work at the same time, so compare columns, not runs.' : ''}

## Against the targets

${table(['', 'target', '', 'smallest proxy', ...names], targets)}

## In absolute numbers

${table(['', 'direct', 'smallest proxy', ...names], numbers)}

In the first row, "direct" is \`node -e 0\`, the shortest start of any Node.js program.

## Under trouble

${table(['', 'target', '', 'direct', ...names], trouble)}
${problems.length > 0 ? `\n${problems.map((problem, at) => `(${at + 1}) ${problem}`).join('  \n')}\n` : ''}
## Growth

${table(['', 'target', '', 'mcp-sigv4-proxy'], growth)}

## As an HTTP listener

${table(['', 'listener', 'bare reverse proxy', 'direct', 'against bare', 'target', ''], listening)}

## Over a slow network

${table(['TLS, by round trip', ...names], distance)}

## Both eras

${table(['', 'session revisions', '2026-07-28', 'ratio'], eras)}

## Missed targets

${verdicts.section()}

## What is measured

- All subjects use one MCP server on loopback. It runs in its own process and does little: sessions, JSON answers, no signature check.
- "direct" signs every call with \`@smithy/signature-v4\` and sends it with undici, in the process that makes the calls. mcp-sigv4-proxy signs every call too. The other npm proxies do not sign, which is less work.
- A proxy receives raw JSON-RPC lines over stdio from a process that does the same work as "direct": make the call, read the answer, parse it.
- "smallest proxy" is bench/smallest-proxy.mjs: it turns lines into unsigned requests by undici, and bodies into lines, and does nothing else. No proxy on Node.js and undici does less, so its column is the floor of a ratio against "direct".
- mcp-sigv4-proxy, the smallest proxy and "direct" have 8 connections (\`--max-connections 8\`); the others have no such setting.
- The command of mcp-proxy works in the other direction (stdio servers over HTTP), so its library function \`startStdioServer\` is measured.
- "Every limit on" is \`--max-concurrent 1000 --queue-size 1000 --rate-limit 1000000 --rate-burst 1000000 --retries 2\`, and no call reaches any of them. "No limits" is \`--retries 0\` alone. Two processes take turns with 32 calls in flight. Then another two do, because processes with the same code differ by some hundredths.
- \`--deny-tool\` removes one in ten of the 1,000 tools, and the others get an \`aws_profile\` argument. This runs the layers of the checkout in the process that also times \`JSON.parse\`. Cached lists and refused calls go through the command, one at a time.
- The queued calls wait behind \`--max-concurrent 1 --queue-size 10000\`. The time starts with the first cancellation; the server checks that none of the calls was sent. One process does this five times (twice in a quick run). Live objects are the heap after a garbage collection, before the first and after the last burst. Memory beyond them is garbage, or room for the next burst, which Node.js returns to the system at a later collection.
- Memory of waiting calls is the heap after a garbage collection with 4,000 of them, less the heap before, divided by their number. At the server, each has a connection of its own. The memory of a 64 MB result is the resident memory at the peak above that before, divided by 64 MB.
- Memory of a stream is the growth of the resident memory (VmRSS) with 1,000 streams, divided by their number. V8 enlarges its young generation while they open, by up to 32 MB, and gives that memory back some 10 to 20 s after the last work. The target applies to idle streams. Both processes are measured alike, and neither is asked to collect its garbage.
- The slow network is a TCP relay on loopback. It delays every byte by half a round trip, and a new connection by one more round trip for TCP's handshake. A TLS server behind it passes the requests on.
- The bare reverse proxy is \`node:http\` with a keep-alive agent. It forwards bytes without reading or signing them. HTTP clients, proxies and "direct" have as many connections as calls in flight.
- Every number is the median of several rounds. Each round starts fresh processes, and the subjects take turns. A ratio is computed within each round. Memory is VmRSS, in MB of 1024 kB.
`;
}
