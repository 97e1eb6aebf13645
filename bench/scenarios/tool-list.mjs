// The cost of answers to tools/list: one from the cache against an error that the proxy answers itself, through the command; and a
// list of 1,000 tools that is filtered and gets an argument in each tool, against JSON.parse of it, in this process: over pipes, what
// is written and read would be most of it. The compared subjects take turns.

import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { median, percentile } from '../median.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const TURNS = { full: 8, quick: 3 };
const ANSWERS = { full: 300, quick: 100 };
const WARM_UP = 300;
const LISTS = { full: 40, quick: 20 };
/** Enough for the code to be compiled: a proxy that lists so often has a cache. */
const LIST_WARM_UP = 300;
const TOOLS = 1_000;
/** Hides one tool in ten; all others get the argument. */
const DENIED = ['tool_?9', 'tool_??9'];

export async function run({ open, size }) {
  const cache = await open(['--tool-cache-ttl', '3600', '--deny-tool', 'denied']);
  const near = await inTurns(TURNS[size], ANSWERS[size], WARM_UP, {
    cached: () => cache.request('tools/list'),
    refused: () => cache.call('denied', {}).catch(() => undefined),
  });
  await cache.close();
  const text = listText();
  const edit = await editing(text);
  const far = await inTurns(TURNS[size], LISTS[size], LIST_WARM_UP, {
    parse: () => JSON.parse(text),
    edit,
  });
  return {
    cached: median(near.map(({ cached }) => cached)),
    refused: median(near.map(({ refused }) => refused)),
    cachedRatio: median(near.map(({ cached, refused }) => cached / refused)),
    parse: median(far.map(({ parse }) => parse)),
    edit: median(far.map((turn) => turn.edit)),
    editRatio: median(far.map((turn) => turn.edit / turn.parse)),
  };
}

function listText() {
  const object = (properties) => ({ type: 'object', properties });
  const text = (description) => ({ type: 'string', description });
  const tools = Array.from({ length: TOOLS }, (_, at) => ({
    name: `tool_${at}`,
    description: `Reads what is "number ${at}", and whatever else a person would write here to say what a tool is for.`,
    inputSchema: object({
      path: text('Where it is'),
      limit: { type: 'number', minimum: 0 },
      filter: object({ state: text('One of many'), tags: { type: 'array', items: { type: 'string' } } }),
    }),
    annotations: { readOnlyHint: true },
  }));
  return JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } });
}

/** The two layers that edit lists, of this checkout, over a server that says the list anew each time. */
async function editing(text) {
  const { profile, toolFilter, compose, ToolCatalog, Events, systemClock: clock } = await layers();
  const [tools, events] = [new ToolCatalog(), new Events()];
  const toolsOf = () => tools;
  const json = JSON.parse(text);
  tools.learn(json);
  const rules = { readOnly: false, allowTool: [], denyTool: DENIED };
  const handler = compose(
    [
      profile({ profiles: ['one', 'two'], globs: [], toolsOf, clock, events }),
      toolFilter({ rules, toolsOf, isIdentityInDoubt: () => false, clock, events }),
    ],
    async () => ({
      kind: 'answer',
      message: {
        kind: 'response',
        id: 1,
        outcome: 'result',
        text,
        json: { ...json, result: { ...json.result } },
      },
    }),
  );
  const request = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
  const call = {
    message: { kind: 'request', id: 1, method: 'tools/list', json: request, text: JSON.stringify(request) },
    client: { id: 'bench' },
    profile: 'one',
    signal: new AbortController().signal,
    emit: async () => undefined,
    deadline: { hold: () => () => undefined },
  };
  const edit = async () => Buffer.byteLength((await handler(call)).message.text);
  if ((await edit()) <= text.length) throw new Error('the list is not edited');
  return edit;
}

async function layers() {
  const src = fileURLToPath(new URL('../../src/', import.meta.url));
  const { outputFiles } = await build({
    stdin: {
      contents: [
        "export { compose } from './core/pipeline/call.ts';",
        "export { systemClock } from './core/time/clock.ts';",
        "export { Events } from './core/pipeline/events.ts';",
        "export { ToolCatalog } from './core/tools/catalog.ts';",
        "export { profile } from './layers/profile.ts';",
        "export { toolFilter } from './layers/tool-filter/tool-filter.ts';",
      ].join('\n'),
      resolveDir: src,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

/** @returns for each turn the first quartile of each kind, in milliseconds: other work on the machine hits what takes longer harder. */
async function inTurns(turnsWanted, often, warmUp, asks) {
  const names = Object.keys(asks);
  for (const name of names) await quartileOf(asks[name], warmUp);
  const turns = [];
  while (turns.length < turnsWanted) {
    const turn = {};
    // Each is first every other time.
    const order = turns.length % 2 === 0 ? names : [...names].reverse();
    for (const name of order) turn[name] = await quartileOf(asks[name], often);
    turns.push(turn);
  }
  return turns;
}

async function quartileOf(ask, often) {
  const times = [];
  for (let at = 0; at < often; at++) {
    const started = performance.now();
    await ask();
    times.push(performance.now() - started);
  }
  return percentile(times, 0.25);
}
