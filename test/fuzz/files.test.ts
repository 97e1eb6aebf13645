import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import v8 from 'node:v8';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readTokens } from '../../src/client/http/token-file.ts';
import { Events } from '../../src/core/pipeline/events.ts';
import { CodeCache } from '../../src/snapshot/code-cache.ts';
import { SnapshotFiles } from '../../src/snapshot/files.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { FUZZ_TIMEOUT, fuzz } from '../support/fuzz.ts';

const name = fc.constantFrom('ci', 'a.b', 'x@y', 'a b', '', 'n'.repeat(65), '#c', '__proto__', 'é');
const secret = fc.constantFrom(
  'sixteen-characters',
  'sixteen-characters-2',
  'short',
  'with=equals-signs=in-it',
  'a blank in the middle of it',
  'é-is-no-ascii-character',
  '',
);
const tokenLine = fc.oneof(
  fc.tuple(name, fc.constantFrom('=', ' = ', '\t=', ''), secret).map((parts) => parts.join('')),
  fc.constantFrom('', ' ', '# a comment', '#', '=', '\uFEFF'),
);
const tokenFile = fc
  .array(fc.tuple(tokenLine, fc.constantFrom('\n', '\r\n', '\n\n')), { maxLength: 6 })
  .map((lines) => lines.flat().join(''));

/** The tokens of a file, or undefined if any line is invalid: by regular expression over the lines. */
function tokensIn(text: string): { name: string; secret: string }[] | undefined {
  const lines = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line) => line.trim());
  const wanted = lines.filter((line) => !/^(?:#|$)/.test(line));
  const read = wanted.map((line) => /^([A-Za-z0-9_.@-]{1,64})\s*=\s*([!-~]{16,})$/.exec(line));
  if (wanted.length === 0 || read.some((each) => !each)) return undefined;
  const tokens = read.map((each) => ({ name: each?.[1] ?? '', secret: each?.[2] ?? '' }));
  const twice = tokens.some((one) =>
    tokens.some((two) => one.secret === two.secret && one.name !== two.name),
  );
  return twice ? undefined : tokens;
}

it(
  'a token file is read as another reader reads it, and no error repeats any of its secrets',
  async () => {
    await fuzz(
      fc.property(tokenFile, (text) => {
        const read = readTokens(text);
        expect('tokens' in read ? read.tokens : undefined).toEqual(tokensIn(text));
        if (!('problem' in read)) return;
        for (const word of ['sixteen', 'equals', 'middle', 'ascii-character']) {
          expect(read.problem).not.toContain(word);
        }
      }),
      2_000,
    );
  },
  FUZZ_TIMEOUT,
);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function folderOf(prefix: string): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const part = fc.oneof(
  fc.constantFrom(
    '{"tools":[]}',
    '{"tools":{}}',
    '[]',
    'null',
    '{',
    '{"protocolVersion":"x","capabilities":{}}',
  ),
  fc.constantFrom<unknown>(null, 1, {}, []),
);
const validPage = fc.constantFrom('{"tools":[]}', '{"tools":[{"name":"a"}]}');
const almostValid = fc.record({
  format: fc.constant<unknown>(1),
  opening: fc.constant<unknown>('{"protocolVersion":"x","capabilities":{}}'),
  pages: fc.dictionary(fc.constantFrom('null', '""', '__proto__'), fc.oneof(validPage, part)),
});
const snapshot = fc
  .oneof(
    almostValid,
    fc.record(
      {
        format: fc.constantFrom<unknown>(1, 2, '1', null),
        opening: part,
        pages: fc.oneof(fc.dictionary(fc.constantFrom('null', '""', '__proto__', 'toString'), part), part),
        by: fc.constantFrom<unknown>('x', 1, null),
      },
      { requiredKeys: [] },
    ),
    fc.json().map((text) => JSON.parse(text) as unknown),
  )
  .map((value) => Buffer.from(JSON.stringify(value) ?? ''));
const cutAnywhere = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: snapshot }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) }),
    fc.nat(400),
  )
  .map(([bytes, cut]) => (cut > 200 ? bytes : bytes.subarray(0, cut)));

it(
  'a snapshot file of any bytes gives a valid opening and lists of tools, or nothing',
  async () => {
    const folder = folderOf('mcp-fuzz-snapshot-');
    const files = new SnapshotFiles({ folder, identity: 'one', events: new Events() });
    await files.save('r', { opening: '{"protocolVersion":"r","capabilities":{}}', pages: {} });
    const [file = ''] = readdirSync(folder);
    let used = 0;
    await fuzz(
      fc.asyncProperty(cutAnywhere, async (bytes) => {
        writeFileSync(join(folder, file), bytes, { mode: 0o600 });
        const found = await files.load('r');
        if (!found) return;
        used++;
        const opening = JSON.parse(found.opening) as unknown;
        expect(isObject(opening) && typeof opening.protocolVersion === 'string').toBe(true);
        for (const page of Object.values(found.pages)) {
          const list = JSON.parse(page) as unknown;
          expect(isObject(list) && Array.isArray(list.tools)).toBe(true);
        }
      }),
      400,
    );
    // The generator reaches what is used, too.
    expect(used).toBeGreaterThan(0);
  },
  FUZZ_TIMEOUT,
);

const cached = fc.oneof(
  fc
    .array(
      fc.tuple(
        fc.constantFrom<unknown>('a', 'b', 1, null),
        fc.oneof(fc.uint8Array({ maxLength: 16 }), fc.string(), fc.integer()),
      ),
    )
    .map((entries) => v8.serialize(new Map(entries))),
  fc.anything({ withMap: true, withSet: true, withDate: true }).map((value) => {
    try {
      return v8.serialize(value);
    } catch {
      return Buffer.alloc(0);
    }
  }),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
);

it(
  'a code cache of any bytes gives bytes or nothing for each script',
  async () => {
    const folder = folderOf('mcp-fuzz-code-');
    mkdirSync(folder, { recursive: true });
    await fuzz(
      fc.property(cached, fc.nat(200), (bytes, cut) => {
        writeFileSync(join(folder, 'key.bin'), cut > 100 ? bytes : bytes.subarray(0, cut), { mode: 0o600 });
        const cache = new CodeCache(folder, 'key');
        for (const script of ['a', 'b', '1', 'constructor']) {
          const code: unknown = cache.get(script);
          expect(code === undefined || code instanceof Uint8Array).toBe(true);
        }
      }),
      400,
    );
  },
  FUZZ_TIMEOUT,
);
