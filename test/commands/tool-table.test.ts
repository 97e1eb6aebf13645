import { describe, expect, it } from 'vitest';
import { toolTable } from '../../src/commands/tool-table.ts';

describe('toolTable', () => {
  const tools = [
    { name: 'echo', description: '\n  Says it   again.\nAnd more.', annotations: { readOnlyHint: true } },
    { name: 'remove', title: 'Removes', annotations: { destructiveHint: true } },
    { name: 'add_to_list', description: 'Adds.', annotations: { destructiveHint: false } },
    { name: 'odd', annotations: 'none' },
  ];

  it('the tool table prints one line per tool: name, hint of the server, first line of the description', () => {
    expect(toolTable(tools, undefined)).toBe(
      [
        'NAME         HINT             DESCRIPTION',
        'echo         read-only        Says it again.',
        'remove       destructive      Removes',
        'add_to_list  not destructive  Adds.',
        'odd          -',
        '',
      ].join('\n'),
    );
  });

  it('the tool table cuts descriptions to the width of the terminal', () => {
    const long = [{ name: 'echo', description: 'x'.repeat(200) }];
    const lines = toolTable(long, 60).trimEnd().split('\n');
    expect(lines[1]).toBe(`echo  -     ${'x'.repeat(45)}...`);
    expect(lines[1]).toHaveLength(60);
    // Too narrow for anything: the terminal may wrap it.
    expect(toolTable(long, 5)).toContain(`${'x'.repeat(17)}...\n`);
  });

  it('the tool table prints list entries that are not tools without failing', () => {
    const lines = toolTable([null, 7, {}, { name: 1, description: {} }], 80).split('\n');
    expect(lines.slice(1, 5)).toEqual([
      '?           not an object',
      '?           not an object',
      '?     -',
      '?     -',
    ]);
  });

  it('the tool table removes control characters of the server', () => {
    const evil = [{ name: 'a\u001b[2Jb', description: '\u001b]0;title\u0007Hello\u0008\u009b31m' }];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(toolTable(evil, 80)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(toolTable(evil, 80)).toContain('ab ');
  });
});
