// The CPU time of a call with --status against one without, and the time of a scrape with the metrics of 1,000 tools.
import { costRatio } from '../cost-ratio.mjs';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const TOOLS = 1_000;
const SCRAPES = 50;

export async function run({ open, size }) {
  const cpu = await costRatio({ args: ['--status', '127.0.0.1:0'] }, open, size);
  return { cpu, ...(await scrapes()) };
}

/** @returns the shortest time of a scrape: other work on the machine makes it longer, and nothing shorter. */
async function scrapes() {
  const { Events, McpProxy, parseArguments, readSettings } = await import('../../dist/index.js');
  const { settings } = await readSettings(parseArguments(['http://127.0.0.1:1/mcp', '--auth', 'none']), {});
  const events = new Events();
  const { metrics } = new McpProxy(settings, { events });
  for (let tool = 0; tool < TOOLS; tool++)
    events.emit({ type: 'call.ended', record: recordOf(`tool-${tool}`) });
  let scrape = Number.POSITIVE_INFINITY;
  for (let at = 0; at < SCRAPES; at++) {
    const began = performance.now();
    metrics.toPrometheus();
    scrape = Math.min(scrape, performance.now() - began);
  }
  return { scrape };
}

const recordOf = (target) => ({
  method: 'tools/call',
  target,
  profile: '',
  transport: 'stdio',
  outcome: 'ok',
  attempts: 1,
  ms: 20,
  upstreamMs: 20,
  serverMs: 19,
  endedAt: 1,
  waitedMs: 0,
  requestBytes: 100,
  responseBytes: 100,
});
