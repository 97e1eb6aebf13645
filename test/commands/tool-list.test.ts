import { expect, it } from 'vitest';
import { noToolsText } from '../../src/commands/tool-list.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { settingsIn } from '../support/settings.ts';

const said = async (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
  return noToolsText(settingsIn(await readSettings(parseArguments(args), env)));
};

it.each<[string, readonly string[], NodeJS.ProcessEnv, string]>([
  ['the server has no tools', [], {}, ''],
  [
    'the server has no tools, and filter options are off',
    ['--read-only=false'],
    { MCP_PROXY_DENY_TOOL: '' },
    '',
  ],
  ['one filter option', ['--deny-tool', '*'], {}, ' that --deny-tool lets through'],
  ['a filter variable', [], { MCP_PROXY_READ_ONLY: '1' }, ' that MCP_PROXY_READ_ONLY lets through'],
  [
    'several filter options',
    ['--read-only', '--deny-tool', 'a', '--allow-tool', 'b'],
    {},
    ' that --read-only and --allow-tool and --deny-tool let through',
  ],
])('noToolsText explains an empty list by the cause: %s', async (_whose, args, env, why) => {
  expect(await said(args, env)).toBe(`The server offers no tools${why}`);
});
