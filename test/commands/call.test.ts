import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { COMMANDS } from '../../src/command-table.ts';
import { run } from '../../src/commands/call.ts';
import { Output } from '../../src/commands/output.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { settingsIn } from '../support/settings.ts';
import { makeTempHome } from '../support/temp-home.ts';

it('call --args - ends when it is interrupted while it reads stdin, and sends nothing', async () => {
  const server = await ScriptedServer.start((_request, response) => void response.end());
  const args = parseArguments(['call', 'echo', server.url, '--auth', 'none', '--args', '-'], COMMANDS);
  const settings = settingsIn(await readSettings(args, (await makeTempHome()).env));
  const written: string[] = [];
  const write = (text: string): void => void written.push(text);
  const output = new Output({ write, isTerminal: false, columns: 80 });
  const stdin = new PassThrough();
  const interrupt = new AbortController();
  const over = run({ args, settings, stdin, stdout: output, stderr: output, signal: interrupt.signal });
  stdin.write('{"text":');
  interrupt.abort(new Error('SIGINT'));
  expect(await over).toBe(1);
  expect(written).toEqual([]);
  expect(server.requests).toEqual([]);
});
