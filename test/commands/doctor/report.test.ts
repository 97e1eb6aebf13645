import { describe, expect, it } from 'vitest';
import { failed, ok, skipped, warning } from '../../../src/commands/doctor/finding.ts';
import { Report, type ReportOptions, wantsColours } from '../../../src/commands/doctor/report.ts';
import { Output } from '../../../src/commands/output.ts';
import { VERSION } from '../../../src/version.ts';

function report(options: Partial<ReportOptions> = {}) {
  let text = '';
  const write = (more: string): void => {
    text += more;
  };
  const output = new Output({ isTerminal: false, columns: 80, write });
  const made = new Report({ output, json: false, colours: false, clean: (same) => same, ...options });
  return { report: made, text: () => text };
}

describe('Report', () => {
  it('the report prints one line per finding at once, with the remedy below a warning or failure', () => {
    const { report: made, text } = report();
    made.add(ok('version', '1'));
    made.add(warning('clock', '7 min behind', 'Set it.'));
    expect(text()).toBe(
      'ok       version           1\n' +
        'warning  clock             7 min behind\n' +
        '                           remedy: Set it.\n',
    );
    expect(made.conclude()).toBe(0);
    expect(text()).toMatch(/\n\nNo check failed \(1 ok, 1 warning\)\.\n$/);
  });

  it('the report names the first failure and returns exit code 1', () => {
    const { report: made, text } = report();
    for (const finding of [ok('a', ''), failed('b', 'x', 'y'), failed('c', '', 'z'), skipped('d', 'needs b')])
      made.add(finding);
    expect(made.conclude()).toBe(1);
    expect(text()).toMatch(
      /\nProblems found \(1 ok, 2 failed, 1 skipped\)\. Start with b: later findings may follow from it\.\n$/,
    );
  });

  it('the report prints one JSON document with --json', () => {
    const { report: made, text } = report({ json: true });
    made.add(ok('a', 'x'));
    made.add(failed('b', 'y', 'z'));
    expect(text()).toBe('');
    expect(made.conclude()).toBe(1);
    expect(JSON.parse(text())).toEqual({
      version: VERSION,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      verdict: 'failed',
      checks: [
        { check: 'a', verdict: 'ok', detail: 'x' },
        { check: 'b', verdict: 'failed', detail: 'y', remedy: 'z' },
      ],
    });
  });

  it('the report colours verdicts if colours are on', () => {
    const { report: made, text } = report({ colours: true });
    made.add(failed('a', 'x', 'y'));
    expect(text()).toContain('\u001b[31mfailed \u001b[0m  a ');
  });

  it('the report prints server text on one line, without control characters and secrets', () => {
    const { report: made, text } = report({ clean: (said) => said.replace('geheim', '***') });
    made.add(failed('a', 'one\n\u001b[2Jtwo geheim', 'three\r\nfour geheim'));
    expect(text()).toBe(`failed   a                 one two ***\n${' '.repeat(27)}remedy: three four ***\n`);
  });
});

it('wantsColours is true on a terminal unless NO_COLOR or TERM=dumb is set', () => {
  const on = { isTerminal: true, columns: 80, write: () => undefined };
  expect(wantsColours(on, { TERM: 'xterm' })).toBe(true);
  expect(wantsColours({ ...on, isTerminal: false }, {})).toBe(false);
  expect(wantsColours(on, { NO_COLOR: '1' })).toBe(false);
  expect(wantsColours(on, { NO_COLOR: '' })).toBe(true);
  expect(wantsColours(on, { TERM: 'dumb' })).toBe(false);
});

it.each<[env: NodeJS.ProcessEnv, colours: boolean]>([
  [{ FORCE_COLOR: '1' }, true],
  [{ FORCE_COLOR: 'true', NO_COLOR: '1', TERM: 'dumb' }, true],
  [{ FORCE_COLOR: '0', TERM: 'xterm' }, false],
  [{ FORCE_COLOR: '' }, false],
])('wantsColours in a pipe with %j is %j', (env, colours) => {
  expect(wantsColours({ isTerminal: false }, env)).toBe(colours);
});
