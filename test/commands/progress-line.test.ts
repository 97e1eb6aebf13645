import { describe, expect, it } from 'vitest';
import { Output } from '../../src/commands/output.ts';
import { ProgressLine, progressText } from '../../src/commands/progress-line.ts';

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

  it('the progress line prints nothing if the output is not a terminal', () => {
    const output = screen(false);
    const line = new ProgressLine(output);
    line.show({ progress: 1 });
    line.clear();
    expect(output.written).toEqual([]);
  });
});
