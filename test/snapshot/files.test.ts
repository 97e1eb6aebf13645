import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { SnapshotFiles } from '../../src/snapshot/files.ts';
import { afterThisTest } from '../support/cleanup.ts';

const OPENING = '{"protocolVersion":"2025-11-25","capabilities":{},"n":12345678901234567890}';
const SNAPSHOT = { opening: OPENING, pages: { null: '{"tools":[],"nextCursor":""}', '""': '{"tools":[]}' } };

function make(identity: unknown = 'one') {
  const base = mkdtempSync(join(tmpdir(), 'mcp-snapshots-'));
  afterThisTest(() => rmSync(base, { recursive: true, force: true }));
  const folder = join(base, 'deep', 'down');
  const emitted: ProxyEvent[] = [];
  const events = new Events();
  events.subscribe((event) => emitted.push(event));
  const filesFor = (who: unknown) => new SnapshotFiles({ folder, identity: who, events });
  return { folder, emitted, files: filesFor(identity), filesFor };
}

describe('a snapshot file', () => {
  it('a snapshot file returns what was saved, text for text, to the same identity and revision only', async () => {
    const { files, filesFor, emitted } = make(['https://example.com/mcp', 'eu-west-1']);
    await files.save('2025-11-25', SNAPSHOT);
    expect(await files.load('2025-11-25')).toEqual(SNAPSHOT);
    expect(await files.load('')).toBeUndefined();
    expect(await filesFor(['https://example.com/mcp', 'eu-west-2']).load('2025-11-25')).toBeUndefined();
    expect(emitted).toEqual([]);
  });

  it('a snapshot file holds the last of several concurrent saves, and leaves no draft behind', async () => {
    const { files, folder } = make();
    for (let at = 0; at < 10; at++) {
      void files.save('', { ...SNAPSHOT, opening: `{"protocolVersion":"${at}","capabilities":{}}` });
    }
    await files.written();
    expect((await files.load(''))?.opening).toContain('"9"');
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it('a snapshot file is used only if it names the principal that reads it, as far as that is known', async () => {
    const { folder, emitted } = make();
    const events = new Events();
    events.subscribe((event) => emitted.push(event));
    const filesOf = (foreseen: string | undefined, now = foreseen) =>
      new SnapshotFiles({
        folder,
        identity: 'one',
        principal: { foreseen: async () => foreseen, now: () => now },
        events,
      });
    await filesOf('me').save('', SNAPSHOT);
    expect(await filesOf('me').load('')).toEqual(SNAPSHOT);
    expect(await filesOf(undefined).load('')).toEqual(SNAPSHOT);
    expect(await filesOf('you').load('')).toBeUndefined();
    const [file = ''] = readdirSync(folder);
    expect(readFileSync(join(folder, file), 'utf8')).not.toContain('me"');
    await filesOf(undefined).save('', SNAPSHOT);
    expect(await filesOf('you').load('')).toBeUndefined();
    expect(await filesOf(undefined).load('')).toEqual(SNAPSHOT);
    expect(emitted).toEqual([]);
  });

  it('snapshot files of killed processes and unused ones are removed', async () => {
    const { files, folder } = make();
    mkdirSync(folder, { recursive: true });
    const write = (name: string, minutesAgo: number): void => {
      writeFileSync(join(folder, name), '{');
      const at = new Date(Date.now() - minutesAgo * 60_000);
      utimesSync(join(folder, name), at, at);
    };
    const hash = (at: number): string => at.toString(16).padStart(64, '0');
    const uuid = '01234567-89ab-cdef-0123-456789abcdef';
    write(`${hash(0)}.json.${uuid}`, 61);
    write(`${hash(1)}.json.${uuid}`, 5);
    write('notes.txt', 10_000);
    for (let at = 0; at < 205; at++) write(`${hash(at)}.json`, at + 1);
    await files.save('', SNAPSHOT);
    const left = readdirSync(folder);
    expect(left.filter((name) => !/^[0-9a-f]{64}\.json$/.test(name)).sort()).toEqual([
      `${hash(1)}.json.${uuid}`,
      'notes.txt',
    ]);
    // The one of now, and the newest of the others.
    expect(left).toHaveLength(202);
    expect(left).toContain(`${hash(198)}.json`);
    expect(left).not.toContain(`${hash(199)}.json`);
    expect(await files.load('')).toEqual(SNAPSHOT);
  });

  it.each([
    ['without JSON', '{'],
    ['of another version', JSON.stringify({ ...SNAPSHOT, format: 0 })],
    ['with an invalid opening', JSON.stringify({ ...SNAPSHOT, format: 1, opening: '{}' })],
    ['without pages', JSON.stringify({ format: 1, opening: OPENING })],
    [
      'with a page that is not a list',
      JSON.stringify({ format: 1, opening: OPENING, pages: { null: '{}' } }),
    ],
    ['with a page that is not text', JSON.stringify({ format: 1, opening: OPENING, pages: { null: {} } })],
  ])('a snapshot file %s is ignored, and named', async (_what, text) => {
    const { files, folder, emitted } = make();
    await files.save('', SNAPSHOT);
    const [file = ''] = readdirSync(folder);
    writeFileSync(join(folder, file), text);
    expect(await files.load('')).toBeUndefined();
    expect(emitted).toEqual([{ type: 'snapshot.unusable', message: expect.stringContaining(file) }]);
  });

  it('a snapshot file that cannot be written is named, and has no effect on calls', async () => {
    const { files, folder, emitted } = make();
    writeFileSync(join(folder, '..', '..', 'deep'), 'a file stands in the way');
    await files.save('', SNAPSHOT);
    expect(await files.load('')).toBeUndefined();
    expect(emitted).toEqual([{ type: 'snapshot.unusable', message: expect.stringContaining('written') }]);
  });
});
