import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';

const run = (args: readonly string[], env: Readonly<Record<string, string>> = signingEnv) =>
  BinDriver.start({ args, env, anyStdout: true });
const start = (mcp: SessionServer) => ScriptedServer.start(mcp.behaviour, { verify: signingVerify });

describe('a long wait', () => {
  const held = async (method: string) => {
    const gate = makeGate();
    const mcp = new SessionServer({
      on: {
        [method]: async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    return { gate, server: await start(mcp) };
  };

  it.each([
    ['tools/list', 'tools', /waiting for 127\.0\.0\.1:\d+ to answer tools\/list \(1 s\)/],
    ['initialize', 'doctor', /waiting for 127\.0\.0\.1:\d+ to answer the first request \(1 s\)/],
  ])('a long wait for %s is shown on a terminal by %s, and cleared', async (method, command, text) => {
    const { gate, server } = await held(method);
    const terminal = await Terminal.start({
      args: [command, server.url, ...signingArgs],
      env: signingEnv,
      columns: 200,
    });
    await terminal.shows(text);
    gate.open();
    expect(await terminal.exit()).toBe(0);
    expect(terminal.raw).toMatch(/waiting for [^\r\n]*\r.\[K/);
  });
});

describe('help on a terminal', () => {
  it.each([
    [80, ['--help']],
    [80, ['--help-all']],
    [80, ['call', '--help-all']],
    [120, ['--help-all']],
  ])('help fits a terminal of %i columns: %j', async (columns, args) => {
    const terminal = await Terminal.start({ args, columns });
    expect(await terminal.exit()).toBe(0);
    const lines = terminal.raw.split('\n');
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
    // A wider terminal is used.
    expect(Math.max(...lines.map((line) => line.length))).toBeGreaterThan(columns - 20);
  });
});

describe('verbosity', () => {
  it('-v, --debug and --quiet set the level of the log, and --quiet hides notes', async () => {
    const server = await start(new SessionServer({ tools: [] }));
    const verbose = run(['tools', server.url, ...signingArgs, '-v']);
    await verbose.exit();
    expect(verbose.stderr).toContain('"session.opened"');
    expect(verbose.stderr).not.toContain('"level":20');
    const debug = run(['tools', server.url, ...signingArgs, '--debug']);
    await debug.exit();
    expect(debug.stderr).toContain('"level":20');
    const quiet = run(['tools', server.url, ...signingArgs, '--quiet']);
    expect(await quiet.exit()).toEqual({ code: 0, signal: null });
    expect(quiet.stderr).toBe('');
    await server.close();
    const failed = run(['tools', server.url, ...signingArgs, '--quiet', '--retries', '0']);
    expect(await failed.exit()).toEqual({ code: 1, signal: null });
    expect(failed.stderr).toMatch(/^mcp-sigv4-proxy: Cannot connect/);
  });

  it('--no- turns a switch off that a variable turns on, and times take units', async () => {
    const server = await start(new SessionServer());
    const env = { ...signingEnv, MCP_PROXY_READ_ONLY: '1', MCP_PROXY_TIMEOUT: '2m' };
    const all = run(['tools', server.url, ...signingArgs, '--no-read-only', '--tool-timeout', '500ms'], env);
    expect(await all.exit()).toEqual({ code: 0, signal: null });
    expect(all.lines).toHaveLength(6);
  });
});

describe('demo --serve', () => {
  it('demo --serve prints variables with which commands work, simulates faults, and ends at SIGINT', async () => {
    const demo = run(['demo', '--serve', '--fault', 'throttling,expired-sessions'], {});
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (demo.lines.some((line) => line.includes('call wait'))) resolve();
      };
      demo.child.stdout.on('data', look);
      look();
    });
    const env = Object.fromEntries(
      demo.lines.flatMap((line) => {
        const [, name = '', value = ''] = /^export (\w+)='?([^']*)'?$/.exec(line) ?? [];
        return name === '' ? [] : [[name, value]];
      }),
    );
    const bin = BinDriver.start({ args: ['--retry-base-delay', '0', '--rate-limit', '1000'], env });
    await bin.initialize();
    for (let count = 0; count < 5; count++)
      expect(await bin.request('tools/call', { name: 'whoami', arguments: {} })).toHaveProperty('result');
    bin.closeStdin();
    await bin.exit();
    demo.kill('SIGINT');
    expect(await demo.exit()).toEqual({ code: 0, signal: null });
    // Five calls: the third and sixth attempts are throttled, the fifth finds no session.
    expect(demo.lines.at(-1)).toMatch(/^# 8 tool calls; \d+ signatures verified, 0 refused\.$/);
  });

  it('demo refuses unknown faults, options without --serve, and a port in use', async () => {
    const wrong = run(['demo', '--fault', 'fire', '--port', '1'], {});
    expect(await wrong.exit()).toEqual({ code: 2, signal: null });
    for (const problem of [
      '--fault must be one of throttling, expired-sessions, slow-tools',
      '--fault needs --serve',
      '--port needs --serve',
    ])
      expect(wrong.stderr).toContain(`\n  ${problem}\n`);
    const server = await start(new SessionServer());
    const taken = run(['demo', '--serve', '--port', String(server.port)], {});
    expect(await taken.exit()).toEqual({ code: 1, signal: null });
    expect(taken.stderr).toMatch(/the endpoint cannot be started: .*EADDRINUSE/);
  });
});
