import { expect, it } from 'vitest';
import { sourceFiles, sourceText } from './source-tree.ts';

/** A longer file is split, or has a reason here. */
const MAX_LINES = 300;

/**
 * Files over the limit, with the reason and the most lines that they may have: none of them grows
 * without a decision.
 */
const REASONS: Readonly<Record<string, { readonly max: number; readonly reason: string }>> = {
  'auth/credentials/caching-provider.ts': {
    max: 320,
    reason: 'the credentials of one profile: each way to refresh them changes the one entry in use',
  },
  'client/http/handler.ts': {
    max: 680,
    reason: 'one request of an HTTP client from body to response: its parts share the state of the call',
  },
  'client/http/server.ts': {
    max: 500,
    reason: 'the node:http server: its events, sockets and time limits refer to each other',
  },
  'commands/config/clients.ts': {
    max: 400,
    reason: 'the table of the files and formats of all clients',
  },
  'core/pipeline/events.ts': {
    max: 450,
    reason: 'the union of all events: nothing else than their fields',
  },
  'library/proxy-options.ts': {
    max: 500,
    reason: 'made from the option tables: one member per option',
  },
  'library/session-pool/session-pool.ts': {
    max: 430,
    reason: 'the public class of the session pool: a third of the lines is TSDoc',
  },
  'pool/pool.ts': {
    max: 590,
    reason: 'every decision of the pool is synchronous and must see the same state',
  },
  'proxy.ts': {
    max: 430,
    reason: 'the order of all layers with the reasons, and the class that the library exports',
  },
  'settings.ts': {
    max: 350,
    reason: 'all option tables, and the one function that reads and checks them together',
  },
  'upstream/exchange/exchange.ts': {
    max: 440,
    reason: 'one POST and its answers: every message that comes may settle the requests that wait',
  },
  'upstream/session/session-pool.ts': {
    max: 450,
    reason: 'the sessions of one initialize: their replacement, their calls and their end share one state',
  },
  'upstream/session/session.ts': {
    max: 530,
    reason: 'one MCP session: its requests, its standalone stream and its end depend on each other',
  },
  'upstream/sse-2024/sse-session.ts': {
    max: 330,
    reason: 'one session: its stream, the requests that wait on it and its readers share their state',
  },
  'upstream/transport/answer.ts': {
    max: 420,
    reason: 'most lines are texts: what each failed response means, and what to do',
  },
  'upstream/transport/signed-transport.ts': {
    max: 700,
    reason: 'one attempt: connection, credentials, signature and the one re-send use each other',
  },
};

interface LongFile {
  readonly file: string;
  readonly lines: number;
}

/** The files that are longer than their limit. */
function tooLong(files: readonly LongFile[], reasons: typeof REASONS): LongFile[] {
  return files.filter(({ file, lines }) => lines > (reasons[file]?.max ?? MAX_LINES));
}

/** Reasons that no file needs any more. */
function needless(files: readonly LongFile[], reasons: typeof REASONS): string[] {
  return Object.keys(reasons).filter(
    (name) => !files.some(({ file, lines }) => file === name && lines > MAX_LINES),
  );
}

const files = sourceFiles().map((file) => ({ file, lines: sourceText(file).trimEnd().split('\n').length }));

it('the check of file sizes finds files over 300 lines, and reasons that no file needs', () => {
  const reasons = { 'long.ts': { max: 400, reason: 'a table' }, 'gone.ts': { max: 400, reason: 'a table' } };
  const seen = [
    { file: 'short.ts', lines: 300 },
    { file: 'new.ts', lines: 301 },
    { file: 'long.ts', lines: 400 },
  ];
  expect(tooLong(seen, reasons)).toEqual([{ file: 'new.ts', lines: 301 }]);
  expect(tooLong([{ file: 'long.ts', lines: 401 }], reasons)).toHaveLength(1);
  expect(needless(seen, reasons)).toEqual(['gone.ts']);
  expect(needless([{ file: 'long.ts', lines: 300 }], reasons)).toEqual(['long.ts', 'gone.ts']);
});

it('no file in src has more than 300 lines without a reason', () => {
  expect(files.length).toBeGreaterThan(200);
  expect(tooLong(files, REASONS)).toEqual([]);
});

it('no reason for a long file is left over', () => {
  expect(needless(files, REASONS)).toEqual([]);
});
