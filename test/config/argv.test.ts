import { describe, expect, it } from 'vitest';
import { readArguments } from '../../src/config/argv.ts';
import { integer, list, text, toggle } from '../../src/config/option.ts';

const base = { group: 'Connections', help: '' } as const;
const TABLE = {
  maxConnections: integer({ ...base, placeholder: 'n', min: 1, fallback: 5 }),
  maxKeepaliveConnections: integer({ ...base, placeholder: 'n', min: 0, fallback: 1 }),
  region: text({ ...base, placeholder: 'r', fallback: undefined }),
  profile: list({ ...base, placeholder: 'name', separator: 'words' }),
  header: list({ ...base, placeholder: 'name: value', separator: 'entries' }),
  skipAuth: toggle(base),
};

const URL_1 = 'https://a.example/mcp';
const COMMANDS = {
  demo: { words: [], options: {} },
  tools: { words: [], options: { json: toggle(base) } },
  call: {
    words: ['tool'],
    options: { json: toggle(base), args: text({ ...base, placeholder: 'json', fallback: undefined }) },
  },
};
const read = (...argv: string[]) => readArguments(argv, TABLE, COMMANDS);

describe('the command line', () => {
  it('is empty without complaint', () => {
    expect(read()).toEqual({
      command: undefined,
      words: [],
      endpoint: undefined,
      options: {},
      help: false,
      helpAll: false,
      version: false,
      problems: [],
    });
  });

  it('sorts command, endpoint and options, repeats included', () => {
    expect(read('demo', '--region', 'eu-west-1', '--region=us-east-1', '--skip-auth', URL_1)).toMatchObject({
      command: 'demo',
      endpoint: URL_1,
      options: { region: ['eu-west-1', 'us-east-1'], skipAuth: ['true'] },
      problems: [],
    });
  });

  it.each([['-h'], ['--help']])('knows %s', (flag) => {
    expect(read(flag)).toMatchObject({ help: true, version: false, problems: [] });
  });

  it('knows --help-all', () => {
    expect(read('--help-all')).toMatchObject({ help: true, helpAll: true, problems: [] });
    expect(read('--help').helpAll).toBe(false);
  });

  it('knows --version', () => {
    expect(read('--version')).toMatchObject({ version: true, help: false, problems: [] });
  });

  it('takes a switch with a value in the same word only', () => {
    expect(read('--skip-auth=false').options).toEqual({ skipAuth: ['false'] });
    expect(read('--skip-auth=1').options).toEqual({ skipAuth: ['1'] });
    expect(read('--skip-auth', 'false')).toMatchObject({
      endpoint: undefined,
      options: { skipAuth: ['true'] },
    });
  });

  it('takes values that begin with a single dash', () => {
    expect(read('--max-connections', '-1').options).toEqual({ maxConnections: ['-1'] });
    expect(read('--header', '-x: y').options).toEqual({ header: ['-x: y'] });
  });
});

describe('a list', () => {
  it.each([
    [[URL_1, '--profile', 'a', 'b,c']],
    [['--profile', 'a', 'b,c', URL_1]],
    [['--profile', 'a', 'b,c', '--', URL_1]],
    [['--profile=a', 'b,c', URL_1, '--skip-auth']],
  ])('lets the endpoint stand before or after it: %j', (argv) => {
    expect(read(...argv)).toMatchObject({
      endpoint: URL_1,
      options: { profile: ['a', 'b,c'] },
      problems: [],
    });
  });

  it('lets an ARN follow it', () => {
    const arn = 'arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/x';
    expect(read('--profile', 'a', arn)).toMatchObject({ endpoint: arn, options: { profile: ['a'] } });
  });

  it('ends at the next flag and goes on when it is repeated', () => {
    expect(read('--profile', 'a', '--skip-auth', '--profile', 'b').options).toEqual({
      profile: ['a', 'b'],
      skipAuth: ['true'],
    });
  });
});

describe('what is no option', () => {
  it.each([
    ['--frobnicate', '--frobnicate is no option'],
    ['--max-conn', '--max-conn is no option; did you mean --max-connections?'],
    ['--max', '--max is no option; did you mean --max-connections or --max-keepalive-connections?'],
    ['--regions', '--regions is no option; did you mean --region?'],
    ['--no-skip-auth', '--no-skip-auth is no option'],
    ['--maxConnections', '--maxConnections is no option; did you mean --max-connections?'],
    ['--colour', '--colour is no option'],
    ['--max-conections', '--max-conections is no option; did you mean --max-connections?'],
    ['-p', '-p is no option; did you mean --profile?'],
    ['-max-connections', '-max-connections is no option; did you mean --max-connections?'],
    ['-hx', '-hx is no option'],
    ['--__proto__', '--__proto__ is no option'],
    ['--constructor', '--constructor is no option'],
    ['--toString', '--toString is no option'],
  ])('%s is refused, and what was meant is guessed', (flag, problem) => {
    expect(read(flag).problems).toEqual([problem]);
    expect(read(flag, 'value').problems).toEqual([problem]);
    expect(read(`${flag}=value`).problems).toEqual([problem]);
  });

  it('does not swallow an endpoint', () => {
    expect(read('--bogus', URL_1)).toMatchObject({ endpoint: URL_1, problems: ['--bogus is no option'] });
  });

  it('does not swallow a second word', () => {
    expect(read('--bogus', 'x', 'a.example')).toMatchObject({ endpoint: 'a.example' });
  });

  it('may be a second endpoint', () => {
    expect(read(URL_1, 'https://b.example')).toMatchObject({
      endpoint: URL_1,
      problems: ['unexpected argument "https://b.example": there is one endpoint'],
    });
  });
});

describe('a value that was forgotten', () => {
  it.each([
    [['--region']],
    [['--region', '--skip-auth']],
    [['--region', '--max-connections', '4']],
    [['--region=']],
    [['--region', '']],
  ])('is one complaint: %j', (argv) => {
    expect(read(...argv)).toMatchObject({ problems: ['--region needs a value'], endpoint: undefined });
  });

  it.each([[['--profile', '']], [['--profile=']]])('counts in a list too: %j', (argv) => {
    expect(read(...argv).problems).toEqual(['--profile needs a value']);
  });

  it('leaves the endpoint that follows', () => {
    expect(read('--region', '--skip-auth', URL_1)).toMatchObject({ endpoint: URL_1 });
    expect(read('--region', '', 'a.example')).toMatchObject({ endpoint: 'a.example' });
  });
});

it('reports all problems at once, in their order', () => {
  expect(read('--bogus', '--region', '--skip', 'a', URL_1, 'https://b.example', '-x').problems).toEqual([
    '--bogus is no option',
    '--region needs a value',
    '--skip is no option; did you mean --skip-auth?',
    '-x is no option',
    'unexpected argument "https://b.example": there is one endpoint',
  ]);
});

describe('a command', () => {
  it('has words of its own, which stand before the endpoint or behind it', () => {
    const found = { command: 'call', words: ['echo'], endpoint: URL_1, problems: [] };
    expect(read('call', 'echo', URL_1)).toMatchObject(found);
    expect(read('call', URL_1, 'echo')).toMatchObject(found);
    expect(read('call', 'echo', '--profile', 'dev', URL_1)).toMatchObject(found);
    expect(read('call', '--', '-strange-', URL_1)).toMatchObject({ words: ['-strange-'], problems: [] });
  });

  it('has options of its own, beside those of the proxy', () => {
    expect(read('call', 'echo', '--json', '--args', '-', '--region=eu-west-1')).toMatchObject({
      options: { json: ['true'], args: ['-'], region: ['eu-west-1'] },
      problems: [],
    });
    expect(read('call', 'echo', '--args', '{"n":-1}').options).toEqual({ args: ['{"n":-1}'] });
  });

  it('may stand behind an option, but not behind a list, which takes it in', () => {
    expect(read('--region', 'x', 'tools')).toMatchObject({ command: 'tools', problems: [] });
    expect(read('call', '--profile', 'dev', 'echo').problems).toEqual([
      'call needs a <tool> before its options',
    ]);
  });

  it.each([
    [['call'], 'call needs a <tool> before its options'],
    [['call', URL_1], 'call needs a <tool> before its options'],
    [['tools', '--args', '{}'], '--args is for call only'],
    [['--json'], '--json is for tools, call only'],
    [['demo', '--json'], '--json is for tools, call only'],
    [['call', 'echo', '--arg', '{}'], '--arg is no option; did you mean --args?'],
    [['--arg', '{}'], '--arg is no option'],
    [['tools', 'a.example', 'b.example'], 'unexpected argument "b.example": there is one endpoint'],
    [
      ['tools', 'a'],
      'tools takes no "a": an endpoint is a URL or an ARN, and a tool is called by: mcp-sigv4-proxy call a',
    ],
    [
      ['login'],
      '"login" is no command, and an endpoint is a URL or an ARN. The commands are demo, tools, call',
    ],
    [['tolls'], '"tolls" is no command; did you mean tools?'],
    [['Call', URL_1], '"Call" is no command; did you mean call?'],
    [['-v'], '-v is no option; did you mean --version?'],
    [['version'], '"version" is no command; did you mean --version?'],
  ])('is complained about once: %j', (argv, problem) => {
    expect(read(...argv).problems).toEqual([problem]);
  });

  it('is helped with by the word as by the flag', () => {
    expect(read('help')).toMatchObject({ help: true, command: undefined, endpoint: undefined, problems: [] });
    expect(read('help', 'tools')).toMatchObject({ help: true, command: 'tools', problems: [] });
    expect(read('tools', 'help')).toMatchObject({ help: false, command: 'tools', endpoint: undefined });
    expect(readArguments(['help'], TABLE)).toMatchObject({ help: false, endpoint: 'help' });
  });

  it('is not seen in what looks like an endpoint', () => {
    expect(read('tools.example.com')).toMatchObject({ endpoint: 'tools.example.com', problems: [] });
  });
});
