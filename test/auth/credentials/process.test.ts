import { describe, expect, test } from 'vitest';
import { MAX_STDOUT_BYTES, runCredentialProcess } from '../../../src/auth/credentials/process.ts';
import { MAX_PROCESS_MS } from '../../../src/auth/run-command.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { failureOf, lifeLine } from './rig.ts';

async function run(source: string, { args = '', signal = new AbortController().signal } = {}) {
  const home = await makeTempHome();
  const clock = new FakeClock({ now: Date.now() });
  const command = await home.script('helper.mjs', source);
  return { clock, outcome: runCredentialProcess(`${command}${args}`, { env: home.env, clock, signal }) };
}

const printing = (value: unknown): string => `console.log(${JSON.stringify(JSON.stringify(value))})`;
const good = { Version: 1, AccessKeyId: 'AKID', SecretAccessKey: 'secret' };

describe('a credential_process', () => {
  test('a credential_process returns the credentials that it prints', async () => {
    const expiration = new Date(Date.now() + 3_600_000);
    const { outcome, clock } = await run(
      printing({ ...good, SessionToken: 'token', Expiration: expiration.toISOString() }),
    );
    expect(await outcome).toEqual({
      accessKeyId: 'AKID',
      secretAccessKey: 'secret',
      sessionToken: 'token',
      expiration,
    });
    expect(clock.timers).toBe(0);
  });

  test('a credential_process that reads stdin gets an empty one, because stdin carries the protocol', async () => {
    const { outcome } = await run(
      `let read = 0;
       process.stdin.on('data', (chunk) => { read += chunk.length; });
       process.stdin.on('end', () => console.log(JSON.stringify({ ...${JSON.stringify(good)}, SessionToken: 'read ' + read })));`,
    );
    expect(await outcome).toMatchObject({ sessionToken: 'read 0' });
  });

  test('a credential_process may be a shell command that uses its environment', async () => {
    const home = await makeTempHome();
    const env = { ...home.env, KEY: 'AKIDENV' };
    const command = `printf '{"Version":1,"AccessKeyId":"%s","SecretAccessKey":"s"}' "$KEY"`;
    const deps = { env, clock: new FakeClock({ now: Date.now() }), signal: new AbortController().signal };
    expect(await runCredentialProcess(command, deps)).toEqual({
      accessKeyId: 'AKIDENV',
      secretAccessKey: 's',
    });
  });

  test('a credential_process that leaves a daemon with its stdout open is waited for at most a second', async () => {
    const life = await lifeLine();
    const { outcome, clock } = await run(
      `import { spawn } from 'node:child_process';
       spawn(process.execPath, ['-e', ${JSON.stringify(life.hang)}], { stdio: ['ignore', 'inherit', 'ignore'], detached: true }).unref();
       ${printing(good)};`,
    );
    const socket = await life.alive;
    let settled = false;
    const ended = outcome.finally(() => {
      settled = true;
    });
    // The daemon keeps running by design, so that the test has to end it.
    afterThisTest(() => socket.destroySoon());
    ended.catch(() => undefined);
    // The process ends in real time: a busy machine must not reach the limit of the fake clock first.
    while (!settled) {
      await clock.advance(100);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await ended).toMatchObject({ accessKeyId: 'AKID' });
    expect(clock.monotonic()).toBeLessThan(MAX_PROCESS_MS);
  });
});

describe('a credential_process with a defect', () => {
  test.each([
    ['prints garbage', 'console.log("hush: AKIDHUSH")', 'did not print JSON'],
    ['prints nothing', '', 'did not print JSON'],
    ['prints a list', printing([good]), 'did not print an object with "Version": 1'],
    [
      'prints another version',
      printing({ ...good, Version: 2 }),
      'did not print an object with "Version": 1',
    ],
    ['prints no keys', printing({ Version: 1 }), 'did not print AccessKeyId and SecretAccessKey'],
    [
      'prints an empty key',
      printing({ ...good, AccessKeyId: '' }),
      'did not print AccessKeyId and SecretAccessKey',
    ],
    ['prints no date', printing({ ...good, Expiration: 'soon' }), 'printed an Expiration that is not a date'],
    [
      'prints expired credentials',
      printing({ ...good, Expiration: '2020-01-01T00:00:00Z' }),
      'printed credentials that expired at 2020-01-01T00:00:00.000Z',
    ],
    ['exits in silence', 'process.exit(7)', 'exited with code 7'],
    [
      'complains',
      'console.error("banner\\n\\u001b[31mvault is locked\\u001b[0m\\n"); process.exit(1)',
      'exited with code 1: vault is locked',
    ],
    ['dies', 'process.kill(process.pid, "SIGKILL")', /^(exited with code 137|was ended by SIGKILL)/],
    [
      'prints without end',
      'setInterval(() => process.stdout.write("x".repeat(65536)), 0)',
      `printed more than ${MAX_STDOUT_BYTES} bytes and was stopped`,
    ],
  ])('a credential_process that %s is reported', async (_, source, message) => {
    const { outcome, clock } = await run(source);
    const { text } = await failureOf(outcome);
    if (typeof message === 'string') expect(text).toBe(`credential_process ${message}`);
    else expect(text.replace('credential_process ', '')).toMatch(message);
    expect(clock.timers).toBe(0);
  });

  test('a credential_process cannot put its arguments or its output into the error', async () => {
    const { outcome } = await run(
      'console.log("stdout-secret"); console.error("bad password " + process.argv[3]); process.exit(1)',
      { args: ' --password "argument-secret"' },
    );
    expect((await failureOf(outcome)).text).toBe('credential_process exited with code 1: bad password ***');
  });

  test('a credential_process that does not exist is reported without its command line', async () => {
    const deps = { env: {}, clock: new FakeClock(), signal: new AbortController().signal };
    const { text } = await failureOf(runCredentialProcess('no-such-helper --token argument-secret', deps));
    expect(text).toMatch(/^credential_process exited with code 127: .*no-such-helper.*not found$/);
    expect(text).not.toContain('argument-secret');
  });

  test('a credential_process that hangs is killed with its children at the time limit', async () => {
    const life = await lifeLine();
    const { outcome, clock } = await run(life.hang, { args: '; true' });
    const failing = failureOf(outcome);
    await life.alive;
    await clock.advance(MAX_PROCESS_MS - 1);
    await clock.advance(1);
    expect((await failing).text).toBe(
      'credential_process did not finish within 60 s and was stopped; if it waits for input, run it in a terminal: here it receives none',
    );
    await life.dead;
    expect(clock.timers).toBe(0);
  });

  test('a credential_process is killed when the proxy closes', async () => {
    const life = await lifeLine();
    const closing = new AbortController();
    const { outcome } = await run(life.hang, { args: '; true', signal: closing.signal });
    const failing = failureOf(outcome);
    await life.alive;
    closing.abort();
    expect((await failing).text).toBe('credential_process was stopped');
    await life.dead;
  });

  test('a credential_process is not started after the proxy has closed', async () => {
    const { outcome } = await run('', { signal: AbortSignal.abort() });
    expect((await failureOf(outcome)).text).toBe('credential_process was stopped');
  });
});
