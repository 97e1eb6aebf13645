import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { startEverythingServer } from '../support/everything-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { startTaskServer, type TaskStates } from '../support/task-server.ts';
import { Terminal } from '../support/terminal.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const text = (said: string) => ({ content: [{ type: 'text', text: said }] });

/** A server of 2026-07-28 with one tool, behind IAM. */
async function tasksAfter(states: TaskStates) {
  const server = await startTaskServer({ build: states });
  const gate = await VerifyingProxy.start(server.url, signingVerify);
  return { server, gate };
}

const run = (...args: string[]): BinDriver =>
  BinDriver.start({ args: [...args, ...signingArgs], env: signingEnv, anyStdout: true });

describe('call of a tool that runs as a task at a server of 2026-07-28', () => {
  it('call polls the task with the name of the task in a header, shows its states on a terminal and prints its result', async () => {
    const { server, gate } = await tasksAfter([
      { status: 'working', statusMessage: 'queued' },
      { status: 'working', statusMessage: 'half done' },
      { status: 'completed', result: text('built') },
    ]);
    const terminal = await Terminal.start({
      args: ['call', 'build', gate.url, ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe('\r\u001b[Kqueued\r\u001b[Khalf done\r\u001b[Kbuilt\n');
    const poll = { method: 'tasks/get', isNamed: true };
    expect(server.received).toEqual([poll, poll]);
    expect(gate.refused).toEqual([]);
  });

  it('call --json prints the result of a task as the server wrote it, and nothing about progress in a pipe', async () => {
    const { gate } = await tasksAfter([{ status: 'working' }, { status: 'completed', result: text('0') }]);
    const bin = run('call', 'build', gate.url, '--json');
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual([JSON.stringify(text('0'))]);
    expect(bin.stderr).toBe('');
  });

  it.each<[what: string, last: TaskStates[number], message: string]>([
    [
      'failed',
      { status: 'failed', error: { code: -32_603, message: 'out of paper' } },
      'The server answered with error -32603: out of paper',
    ],
    [
      'reports an error of the tool',
      { status: 'completed', result: { ...text('no such branch'), isError: true } },
      'the tool reports an error: no such branch',
    ],
    [
      'was cancelled at the server',
      { status: 'cancelled', statusMessage: 'by an operator' },
      'the task was cancelled at the server: by an operator',
    ],
    [
      'ended without a result',
      { status: 'completed' },
      "The server's answer cannot be used: the task ended without a result.",
    ],
  ])('call returns 1 for a task that %s', async (_what, last, message) => {
    const { gate } = await tasksAfter([{ status: 'working' }, last]);
    const bin = run('call', 'build', gate.url);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe(`mcp-sigv4-proxy: ${message}\n`);
  });

  it('call cancels a task that requires input, and names what the server requests', async () => {
    const inputRequests = { name: { method: 'elicitation/create', params: { message: 'Your name?' } } };
    const { server, gate } = await tasksAfter([
      { status: 'working' },
      { status: 'input_required', inputRequests },
    ]);
    const bin = run('call', 'build', gate.url);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toBe(
      'mcp-sigv4-proxy: the task requires input by elicitation/create (Your name?), which this command cannot provide: the task is cancelled. Call this tool from an MCP client instead.\n',
    );
    expect(server.cancelled).toHaveLength(1);
  });

  it('call cancels the task on Ctrl-C, clears the line of progress and returns 130', async () => {
    const { server, gate } = await tasksAfter([{ status: 'working', statusMessage: 'endless' }]);
    const terminal = await Terminal.start({
      args: ['call', 'build', gate.url, ...signingArgs],
      env: signingEnv,
    });
    await terminal.shows(/endless/);
    terminal.type('\x03');
    expect(await terminal.exit()).toBe(130);
    expect(terminal.output).toContain('endless');
    expect(terminal.output.endsWith('\r\u001b[K')).toBe(true);
    expect(server.cancelled).toHaveLength(1);
  });
});

describe('call of a tool that runs as a task at the reference server of 2025-11-25', () => {
  it('call creates the task, shows the stages that the server reports and prints the report', async () => {
    const { url } = await startEverythingServer();
    const terminal = await Terminal.start({
      args: ['call', 'simulate-research-query', url, 'topic=x', '--auth', 'none'],
    });
    expect(await terminal.exit()).toBe(0);
    const stages = ['Gathering sources...', 'Analyzing content...', 'Synthesizing findings...'];
    for (const stage of stages) expect(terminal.output).toContain(`\r\u001b[K${stage}`);
    expect(terminal.output).toContain('\r\u001b[K# Research Report: x\n');
  });

  it('call cancels the task at the server on Ctrl-C', async () => {
    const { url } = await startEverythingServer();
    const gate = await VerifyingProxy.start(url, signingVerify);
    const args = ['call', 'simulate-research-query', gate.url, 'topic=x', ...signingArgs];
    const terminal = await Terminal.start({ args, env: signingEnv });
    await terminal.shows(/Gathering sources/);
    terminal.type('\x03');
    expect(await terminal.exit()).toBe(130);
    expect(gate.requests.filter(({ rpcMethod }) => rpcMethod === 'tasks/cancel')).toHaveLength(1);
    expect(gate.refused).toEqual([]);
  });
});
