import { describe, expect, it } from 'vitest';
import { type CommandShapes, readArguments } from '../../src/config/argv.ts';
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
const COMMANDS: CommandShapes = {
  demo: { words: [], options: {} },
  show: { words: [], optionalWords: ['name'], options: {} },
  read: { words: ['uri'], firstIsUri: true, options: {} },
  prompt: { words: ['name'], takesPairs: true, options: {} },
  tools: { words: [], options: { json: toggle(base) } },
  call: {
    words: ['tool'],
    options: { json: toggle(base), args: text({ ...base, placeholder: 'json', fallback: undefined }) },
  },
};
const read = (...argv: string[]) => readArguments(argv, TABLE, COMMANDS);

describe('the command line', () => {
  it('an empty command line has no problems', () => {
    expect(read()).toEqual({
      command: undefined,
      words: [],
      endpoint: undefined,
      options: {},
      help: false,
      helpAll: false,
      version: false,
      quiet: false,
      problems: [],
    });
  });

  it('a command line is sorted into command, endpoint and options, repeated options included', () => {
    expect(read('demo', '--region', 'eu-west-1', '--region=us-east-1', '--skip-auth', URL_1)).toMatchObject({
      command: 'demo',
      endpoint: URL_1,
      options: { region: ['eu-west-1', 'us-east-1'], skipAuth: ['true'] },
      problems: [],
    });
  });

  it.each([['-h'], ['--help']])('the command line shows help for %s', (flag) => {
    expect(read(flag)).toMatchObject({ help: true, version: false, problems: [] });
  });

  it('the command line shows all options for --help-all', () => {
    expect(read('--help-all')).toMatchObject({ help: true, helpAll: true, problems: [] });
    expect(read('--help').helpAll).toBe(false);
  });

  it('the command line shows the version for --version', () => {
    expect(read('--version')).toMatchObject({ version: true, help: false, problems: [] });
  });

  it('a switch accepts a value only after an equals sign', () => {
    expect(read('--skip-auth=false').options).toEqual({ skipAuth: ['false'] });
    expect(read('--skip-auth=1').options).toEqual({ skipAuth: ['1'] });
    expect(read('--skip-auth', 'false')).toMatchObject({
      endpoint: undefined,
      options: { skipAuth: ['true'] },
    });
  });

  it('a switch is turned off by --no- and its name, which takes no value', () => {
    expect(read('--no-skip-auth', URL_1)).toMatchObject({
      options: { skipAuth: ['false'] },
      endpoint: URL_1,
    });
    expect(read('--no-skip-auth=true').problems).toEqual(['--no-skip-auth is not an option']);
    expect(read('--skip-auth', '--no-skip-auth').options).toEqual({ skipAuth: ['true', 'false'] });
  });

  it('a shorthand is a value of its option, and the last one wins', () => {
    const short = { '-v': { key: 'region', value: 'x' }, '--quiet': { key: 'region', value: 'y' } };
    const given = (...argv: string[]) => readArguments(argv, TABLE, COMMANDS, short);
    expect(given('-v', '--region', 'z')).toMatchObject({ options: { region: ['x', 'z'] }, quiet: false });
    expect(given('--quiet')).toMatchObject({ options: { region: ['y'] }, quiet: true, problems: [] });
    expect(given('-v=1').problems).toEqual(['-v is not an option; did you mean --version?']);
  });

  it('an option accepts a value that begins with a single dash', () => {
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
  ])('a list of profiles allows the endpoint before or after it: %j', (argv) => {
    expect(read(...argv)).toMatchObject({
      endpoint: URL_1,
      options: { profile: ['a', 'b,c'] },
      problems: [],
    });
  });

  it('a list of profiles ends at an ARN', () => {
    const arn = 'arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/x';
    expect(read('--profile', 'a', arn)).toMatchObject({ endpoint: arn, options: { profile: ['a'] } });
  });

  it('a list ends at the next flag and continues when its flag is repeated', () => {
    expect(read('--profile', 'a', '--skip-auth', '--profile', 'b').options).toEqual({
      profile: ['a', 'b'],
      skipAuth: ['true'],
    });
  });
});

describe('an unknown flag', () => {
  it.each([
    ['--frobnicate', '--frobnicate is not an option'],
    ['--max-conn', '--max-conn is not an option; did you mean --max-connections?'],
    ['--max', '--max is not an option; did you mean --max-connections or --max-keepalive-connections?'],
    ['--regions', '--regions is not an option; did you mean --region?'],
    ['--no-region', '--no-region is not an option'],
    ['--maxConnections', '--maxConnections is not an option; did you mean --max-connections?'],
    ['--colour', '--colour is not an option'],
    ['--max-conections', '--max-conections is not an option; did you mean --max-connections?'],
    ['-p', '-p is not an option; did you mean --profile?'],
    ['-max-connections', '-max-connections is not an option; did you mean --max-connections?'],
    ['-hx', '-hx is not an option'],
    ['--__proto__', '--__proto__ is not an option'],
    ['--constructor', '--constructor is not an option'],
    ['--toString', '--toString is not an option'],
  ])('the unknown flag %s is refused, with suggestions', (flag, problem) => {
    expect(read(flag).problems).toEqual([problem]);
    expect(read(flag, 'value').problems).toEqual([problem]);
    expect(read(`${flag}=value`).problems).toEqual([problem]);
  });

  it('an unknown flag does not take the following endpoint as its value', () => {
    expect(read('--bogus', URL_1)).toMatchObject({ endpoint: URL_1, problems: ['--bogus is not an option'] });
  });

  it('an unknown flag takes at most one following word as its value', () => {
    expect(read('--bogus', 'x', 'a.example')).toMatchObject({ endpoint: 'a.example' });
  });

  it('an unknown flag is not confused with a second endpoint, which is refused', () => {
    expect(read(URL_1, 'https://b.example')).toMatchObject({
      endpoint: URL_1,
      problems: ['unexpected argument "https://b.example": there is one endpoint'],
    });
  });
});

describe('a missing value', () => {
  it.each([
    [['--region']],
    [['--region', '--skip-auth']],
    [['--region', '--max-connections', '4']],
    [['--region=']],
    [['--region', '']],
  ])('a missing value is reported once: %j', (argv) => {
    expect(read(...argv)).toMatchObject({ problems: ['--region needs a value'], endpoint: undefined });
  });

  it.each([[['--profile', '']], [['--profile=']]])('a missing value of a list is reported: %j', (argv) => {
    expect(read(...argv).problems).toEqual(['--profile needs a value']);
  });

  it('an option without its value does not consume the endpoint that follows', () => {
    expect(read('--region', '--skip-auth', URL_1)).toMatchObject({ endpoint: URL_1 });
    expect(read('--region', '', 'a.example')).toMatchObject({ endpoint: 'a.example' });
  });
});

it('the command line reports all problems at once, in their order', () => {
  expect(read('--bogus', '--region', '--skip', 'a', URL_1, 'https://b.example', '-x').problems).toEqual([
    '--bogus is not an option',
    '--region needs a value',
    '--skip is not an option; did you mean --skip-auth?',
    '-x is not an option',
    'unexpected argument "https://b.example": there is one endpoint',
  ]);
});

describe('a command', () => {
  it('a command has words before or after the endpoint', () => {
    const found = { command: 'call', words: ['echo'], endpoint: URL_1, problems: [] };
    expect(read('call', 'echo', URL_1)).toMatchObject(found);
    expect(read('call', URL_1, 'echo')).toMatchObject(found);
    expect(read('call', 'echo', '--profile', 'dev', URL_1)).toMatchObject(found);
    expect(read('call', '--', '-strange-', URL_1)).toMatchObject({ words: ['-strange-'], problems: [] });
  });

  it('a command has its own options and the options of the proxy', () => {
    expect(read('call', 'echo', '--json', '--args', '-', '--region=eu-west-1')).toMatchObject({
      options: { json: ['true'], args: ['-'], region: ['eu-west-1'] },
      problems: [],
    });
    expect(read('call', 'echo', '--args', '{"n":-1}').options).toEqual({ args: ['{"n":-1}'] });
  });

  it('a command may follow an option, but not a list, which takes it as a value', () => {
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
    [['call', 'echo', '--arg', '{}'], '--arg is not an option; did you mean --args?'],
    [['--arg', '{}'], '--arg is not an option'],
    [['tools', 'a.example', 'b.example'], 'unexpected argument "b.example": there is one endpoint'],
    [['tools', 'a'], 'tools takes no "a": an endpoint is a URL or an ARN'],
    [
      ['login'],
      '"login" is not a command, and an endpoint is a URL or an ARN. The commands are demo, show, read, prompt, tools, call',
    ],
    [['tolls'], '"tolls" is not a command; did you mean tools?'],
    [['Call', URL_1], '"Call" is not a command; did you mean call?'],
    [['-v'], '-v is not an option; did you mean --version?'],
    [['version'], '"version" is not a command; did you mean --version?'],
  ])('a command with a mistake is reported once: %j', (argv, problem) => {
    expect(read(...argv).problems).toEqual([problem]);
  });

  it.each<[argv: string[], words: string[], endpoint: string | undefined]>([
    [['show'], [], undefined],
    [['show', 'a'], ['a'], undefined],
    [['show', URL_1], [], URL_1],
    [['show', URL_1, 'a'], ['a'], URL_1],
    [['read', 'file:///a'], ['file:///a'], undefined],
    [['read', 'file:///a', URL_1], ['file:///a'], URL_1],
    [['read', 'note', URL_1], ['note'], URL_1],
    [['prompt', 'p', 'a=1', URL_1, 'b=https://x/?c=1'], ['p', 'a=1', 'b=https://x/?c=1'], URL_1],
    [['prompt', 'a=1', 'p'], ['p', 'a=1'], undefined],
    [['prompt', 'p', `${URL_1}?a=1`], ['p'], `${URL_1}?a=1`],
    [['prompt', 'p', '--profile', 'dev', 'a=1'], ['p', 'a=1'], undefined],
    [['prompt', 'p', '--header', 'x: y', 'a=1'], ['p'], undefined],
  ])('the words of a command are sorted: %j', (argv, words, endpoint) => {
    expect(read(...argv)).toMatchObject({ words, endpoint, problems: [] });
  });

  it('a word that is no argument of a command with arguments is refused with their form', () => {
    expect(read('prompt', 'p', 'q').problems).toEqual([
      'prompt takes no "q": an endpoint is a URL or an ARN, and an argument is name=value',
    ]);
    expect(read('show', 'a=1').problems).toEqual([]);
  });

  it('the word help shows help as the flag does', () => {
    expect(read('help')).toMatchObject({ help: true, command: undefined, endpoint: undefined, problems: [] });
    expect(read('help', 'tools')).toMatchObject({ help: true, command: 'tools', problems: [] });
    expect(read('tools', 'help')).toMatchObject({ help: false, command: 'tools', endpoint: undefined });
    expect(readArguments(['help'], TABLE)).toMatchObject({ help: false, endpoint: 'help' });
  });

  it('a command is not recognized within a host name', () => {
    expect(read('tools.example.com')).toMatchObject({ endpoint: 'tools.example.com', problems: [] });
  });
});
