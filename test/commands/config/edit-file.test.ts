import { parse } from '@decimalturn/toml-patch';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { editFile, newFile } from '../../../src/commands/config/edit-file.ts';
import { changedLines } from '../../../src/commands/config/write-file.ts';

const ENTRY = { command: 'npx', args: ['-y', 'x'], env: { A: '1' } };

async function edited(...given: Parameters<typeof editFile>): Promise<string> {
  const result = await editFile(...given);
  if ('problem' in result) throw new Error(result.problem);
  return result.text;
}

describe('editFile, JSON', () => {
  const edits = [{ path: ['mcpServers', 'aws'], value: ENTRY }];

  it('editFile keeps the comments, the order and the indentation of a JSON file', async () => {
    const before = `// mine\n{\n    "z": 1, /* two */\n    "mcpServers": {\n        // another\n        "other": { "url": "https://x" },\n    },\n    "a": [1,2]\n}\n`;
    const text = await edited(before, 'json', edits);
    expect(changedLines(before, text)).not.toContain('- //');
    for (const kept of ['// mine\n', '"z": 1, /* two */', '        // another\n', '"a": [1,2]\n'])
      expect(text).toContain(kept);
    expect(text).toContain('        "aws": {\n            "command": "npx"');
    expect(text.indexOf('"z"')).toBeLessThan(text.indexOf('"aws"'));
  });

  it('editFile replaces the entry of a JSON file that has the same name, and changes nothing the second time', async () => {
    const once = await edited('{"mcpServers":{"aws":{"command":"old"}}}', 'json', edits);
    expect(JSON.parse(once)).toEqual({ mcpServers: { aws: ENTRY } });
    expect(await edited(once, 'json', edits)).toBe(once);
  });

  it('editFile keeps tabs and CRLF of a JSON file, and accepts a byte order mark', async () => {
    const text = await edited('\uFEFF{\r\n\t"a": 1\r\n}\r\n', 'json', edits);
    expect(text).toContain('\r\n\t"mcpServers": {\r\n\t\t"aws": {');
  });

  it('editFile adds list entries by their key, and sets a value only where the file is new', async () => {
    const more = [
      { path: ['inputs'], value: [{ id: 'b', n: 2 }], addBy: 'id' },
      { path: ['$schema'], value: 's', ifAbsent: true as const },
    ];
    const before = '{"inputs":[{"id":"a"},{"id":"b","n":1}]}';
    expect(JSON.parse(await edited(before, 'json', more))).toEqual({
      inputs: [{ id: 'a' }, { id: 'b', n: 2 }],
    });
    expect(JSON.parse(await newFile('json', more))).toEqual({ inputs: [{ id: 'b', n: 2 }], $schema: 's' });
  });

  it.each<[text: string, problem: string]>([
    ['{"a":1', 'is no valid JSON: CloseBraceExpected in line 1'],
    ['{\n"a":1,\n"b" 2}', 'is no valid JSON: ColonExpected in line 3'],
    ['[]', 'does not contain an object'],
    ['{"mcpServers":[]}', 'has no object at mcpServers'],
  ])('editFile refuses the JSON file %j, because it %s', async (text, problem) => {
    expect(await editFile(text, 'json', edits)).toEqual({ problem });
  });
});

describe('editFile, TOML and YAML', () => {
  it('editFile keeps the comments and tables of a TOML file', async () => {
    const before = `# mine\nmodel = "o3" # best\n\n[mcp_servers.other]\ncommand = "x"\n\n[profiles.dev]\nmodel = 'y'\n`;
    const text = await edited(before, 'toml', [{ path: ['mcp_servers', 'aws'], value: ENTRY }]);
    for (const kept of ['# mine\n', 'model = "o3" # best\n', "[profiles.dev]\nmodel = 'y'\n"])
      expect(text).toContain(kept);
    expect(parse(text)).toEqual({
      model: 'o3',
      mcp_servers: { other: { command: 'x' }, aws: ENTRY },
      profiles: { dev: { model: 'y' } },
    });
    expect(await edited(text, 'toml', [{ path: ['mcp_servers', 'aws'], value: ENTRY }])).toBe(text);
  });

  it('newFile writes a new TOML file with the entry as a table', async () => {
    const text = await newFile('toml', [{ path: ['mcp_servers', 'aws'], value: ENTRY }]);
    expect(text).toMatch(/^\[mcp_servers\.aws\]\n/m);
    expect(parse(text)).toEqual({ mcp_servers: { aws: ENTRY } });
  });

  it('editFile keeps the comments of a YAML file', async () => {
    const before =
      '# mine\nGOOSE_MODEL: x # best\nextensions:\n  # builtin\n  developer:\n    enabled: true\n';
    const text = await edited(before, 'yaml', [{ path: ['extensions', 'aws'], value: ENTRY }]);
    for (const kept of ['# mine\n', 'GOOSE_MODEL: x # best\n', '  # builtin\n']) expect(text).toContain(kept);
    expect(parseYaml(text).extensions).toEqual({ developer: { enabled: true }, aws: ENTRY });
    const created = await newFile('yaml', [{ path: ['extensions', 'aws'], value: ENTRY }]);
    expect(created).toMatch(/^extensions:\n {2}aws:\n/);
  });

  it.each([
    ['toml', 'a = ', 'is no valid TOML: '],
    ['yaml', 'a: [1', 'is no valid YAML: '],
  ] as const)('editFile refuses a file that is no valid %s', async (syntax, text, problem) => {
    expect(await editFile(text, syntax, [])).toEqual({ problem: expect.stringContaining(problem) });
  });
});

it.each<[before: string, after: string, lines: string]>([
  ['', 'a\n', '+ a\n'],
  ['a\n', 'a\n', ''],
  ['a\nb\nc\n', 'a\nx\nc\n', '- b\n+ x\n'],
  ['a\r\nb\r\n', 'a\r\nx\r\nb\r\n', '+ x\n'],
  ['a\na\n', 'a\na\na\n', '+ a\n'],
])('changedLines from %j to %j shows %j', (before, after, lines) => {
  expect(changedLines(before, after)).toBe(lines);
});
