import { describe, expect, it } from 'vitest';
import { FOLDER_RANKS, RANKS } from './ranks.ts';
import { circlesIn, importsOf, sourceFiles } from './source-tree.ts';

const roomOf = (file: string): string => file.split('/')[0] ?? file;
const rankOf = (file: string): number => RANKS.findIndex((rooms) => rooms.includes(roomOf(file)));

describe('the imports of src', () => {
  const files = sourceFiles();
  const arrows = files.flatMap((from) => importsOf(from).map((to) => ({ from, to })));

  it('the walker of imports finds static, type-only, dynamic and re-exported ones', () => {
    expect(files.length).toBeGreaterThan(40);
    expect(arrows).toContainEqual({ from: 'proxy.ts', to: 'client/stdio/relay.ts' });
    expect(arrows).toContainEqual({ from: 'core/pipeline/call.ts', to: 'core/jsonrpc/message.ts' });
    expect(arrows).toContainEqual({ from: 'cli.ts', to: 'commands/demo.ts' });
    expect(arrows).toContainEqual({ from: 'library/observed-proxy.ts', to: 'proxy.ts' });
  });

  it('imports lead only to folders that have a rank', () => {
    expect(files.filter((file) => rankOf(file) < 0)).toEqual([]);
  });

  it('imports go down only', () => {
    const upward = arrows.filter(({ from, to }) => roomOf(from) !== roomOf(to) && rankOf(from) <= rankOf(to));
    expect(upward).toEqual([]);
  });

  it('imports never lead from one layer to another', () => {
    const layerOf = (file: string): string | undefined => /^layers\/([^/.]+)/.exec(file)?.[1];
    expect(arrows).toContainEqual({ from: 'layers/retry/retry.ts', to: 'layers/retry/decision.ts' });
    const between = arrows.filter(({ from, to }) => {
      const [one, other] = [layerOf(from), layerOf(to)];
      return one !== undefined && other !== undefined && one !== other;
    });
    expect(between).toEqual([]);
  });

  it.each(Object.keys(FOLDER_RANKS))(
    'imports go down only within src/%s, and never between equal folders',
    (folder) => {
      const ranks = FOLDER_RANKS[folder] ?? [];
      const prefix = `${folder}/`;
      const inside = arrows
        .filter(({ from, to }) => from.startsWith(prefix) && to.startsWith(prefix))
        .map(({ from, to }) => ({ from: from.slice(prefix.length), to: to.slice(prefix.length) }));
      const rank = (file: string): number => ranks.findIndex((rooms) => rooms.includes(roomOf(file)));
      expect(inside.length).toBeGreaterThan(5);
      expect(inside.filter(({ from, to }) => rank(from) < 0 || rank(to) < 0)).toEqual([]);
      const upward = inside.filter(({ from, to }) => roomOf(from) !== roomOf(to) && rank(from) <= rank(to));
      expect(upward).toEqual([]);
    },
  );

  it('imports form no circle, and a circle would be found', () => {
    expect(circlesIn(arrows)).toEqual([]);
    const ring = [
      { from: 'a', to: 'b' },
      { from: 'b', to: 'c' },
      { from: 'c', to: 'a' },
    ];
    expect(circlesIn(ring)).not.toEqual([]);
  });
});

describe('the folders of src', () => {
  it('the files of src are not called utils, helpers, common or types', () => {
    expect(
      sourceFiles().filter((file) => /(^|\/)(utils?|helpers?|common|types)(\/|\.ts$)/.test(file)),
    ).toEqual([]);
  });
});
