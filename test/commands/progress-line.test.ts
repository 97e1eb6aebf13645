import { describe, expect, it } from 'vitest';
import { Output } from '../../src/commands/output.ts';
import { ProgressLine, progressText } from '../../src/commands/progress-line.ts';
import { FakeClock } from '../support/fake-clock.ts';

const screen = (isTerminal: boolean) => {
  const written: string[] = [];
  const write = (text: string): void => void written.push(text);
  return Object.assign(new Output({ write, isTerminal, columns: 20 }), { written });
};

describe('ProgressLine', () => {
  it.each<[params: Record<string, unknown>, text: string]>([
    [{ progress: 3, total: 10, message: 'Reading\nfiles' }, '3/10 Reading'],
    [{ progress: 0 }, '0'],
    [{ message: '\u001b[31mred' }, 'red'],
    [{ progress: 'half', total: 2, message: 4 }, ''],
  ])('the progress line formats progress %j as %j', (params, text) => {
    expect(progressText(params)).toBe(text);
  });

  it('the progress line overwrites one line, cuts it to the terminal width, and clears it at the end', () => {
    const output = screen(true);
    const line = new ProgressLine(output);
    line.clear();
    line.show({ progress: 1, total: 2 });
    line.show({ progress: 2, total: 2, message: 'x'.repeat(50) });
    line.clear();
    line.clear();
    expect(output.written.join('')).toBe(`\r\u001b[K1/2\r\u001b[K2/2 ${'x'.repeat(12)}...\r\u001b[K`);
  });

  it('the progress line shows after a second what is awaited, each second, until the wait ends', async () => {
    const clock = new FakeClock();
    const output = Object.assign(screen(true), { columns: 80 });
    const line = new ProgressLine(output, clock);
    let answer: (value: string) => void = () => undefined;
    const work = new Promise<string>((resolve) => {
      answer = resolve;
    });
    const waiting = line.during('host to answer ping', work);
    await clock.advance(999);
    expect(output.written).toEqual([]);
    await clock.advance(1_001);
    answer('pong');
    expect(await waiting).toBe('pong');
    await clock.advance(5_000);
    const shown = (seconds: number) => `\r\u001b[Kwaiting for host to answer ping (${seconds} s)`;
    expect(output.written.join('')).toBe(`${shown(1)}${shown(2)}\r\u001b[K`);
  });

  it('the progress line keeps the progress of the server instead of what is awaited', async () => {
    const clock = new FakeClock();
    const output = screen(true);
    const line = new ProgressLine(output, clock);
    const waiting = line.during('x', new Promise<void>((resolve) => clock.schedule(5_000, resolve)));
    line.show({ progress: 1 });
    await clock.advance(5_000);
    await waiting;
    expect(output.written.join('')).toBe('\r\u001b[K1');
  });

  it.each([
    ['a pipe', false, false],
    ['--quiet', true, true],
  ])('the progress line shows no wait with %s', async (_what, isTerminal, quiet) => {
    const clock = new FakeClock();
    const output = Object.assign(screen(isTerminal), { quiet });
    const line = new ProgressLine(output, clock);
    const waiting = line.during('x', new Promise<void>((resolve) => clock.schedule(5_000, resolve)));
    await clock.advance(5_000);
    await waiting;
    line.show({ progress: 1 });
    expect(output.written).toEqual([]);
  });

  it('the progress line prints nothing if the output is not a terminal', () => {
    const output = screen(false);
    const line = new ProgressLine(output);
    line.show({ progress: 1 });
    line.clear();
    expect(output.written).toEqual([]);
  });
});
