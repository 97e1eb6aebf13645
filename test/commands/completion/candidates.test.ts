import { expect, it } from 'vitest';
import { CLIENTS, COMMANDS } from '../../../src/command-table.ts';
import { candidatesFor, type Sources } from '../../../src/commands/completion/candidates.ts';

const SOURCES: Sources = {
  profiles: async () => ['dev', 'prod'],
  tools: async () => [
    { name: 'echo', description: 'Echoes', inputSchema: { properties: { text: { description: 'a text' } } } },
    { name: 'wait' },
  ],
  prompts: async () => [{ name: 'review', arguments: [{ name: 'language' }] }],
};

const words = async (...line: string[]) => (await candidatesFor(line, SOURCES)).map(({ word }) => word);

it.each<[line: string[], found: string[]]>([
  [[''], Object.keys(COMMANDS)],
  [['co'], ['config', 'completion']],
  [['config', ''], [...CLIENTS]],
  [
    ['config', 'cl'],
    ['claude-code', 'claude-desktop', 'cline'],
  ],
  [['init', 'z'], ['zed']],
  [['completion', 'z'], ['zsh']],
  [
    ['login', ''],
    ['dev', 'prod'],
  ],
  [
    ['--profile', ''],
    ['dev', 'prod'],
  ],
  [['--profile', 'dev', 'p'], ['prod']],
  [['--profile=p'], ['--profile=prod']],
  [['--log-level', 's'], ['silent']],
  [['--log-level=s'], ['--log-level=silent']],
  [['--log-level', 'silent', 'too'], ['tools']],
  [['--lazy=t'], ['--lazy=true']],
  [['--max-connections', ''], []],
  [['--ca-bundle', ''], [':files']],
  [['call', 'e'], ['echo']],
  [['call', 'echo', ''], ['text=']],
  [['call', 'echo', '--deny-tool', 'w'], ['wait']],
  [['call', 'wait', ''], []],
  [
    ['tools', ''],
    ['echo', 'wait'],
  ],
  [['prompt', ''], ['review']],
  [['prompt', 'review', ''], ['language=']],
  [['call', 'echo', '--outp'], ['--output']],
  [['tools', '--outp'], []],
  [['config', 'kiro', ''], []],
])('the line %j is completed by %j', async (line, found) => {
  expect(await words(...line)).toEqual(found);
});

it('a candidate has the description of its option, command or tool', async () => {
  expect(await candidatesFor(['call', 'ec'], SOURCES)).toEqual([{ word: 'echo', description: 'Echoes' }]);
  expect(await candidatesFor(['--lazy'], SOURCES)).toEqual([
    { word: '--lazy', description: expect.stringContaining('start without the server') },
  ]);
});
