import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flagOf } from '../../src/config/option.ts';
import { OPTIONS } from '../../src/settings.ts';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { startRelayed } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

const ENDPOINT = 'https://mcp.example.com/mcp';
const FLAGS_WITH_P = Object.keys(OPTIONS)
  .map(flagOf)
  .filter((flag) => flag.startsWith('--p'));
const SCOPE = ['--service', 'execute-api', '--region', 'eu-west-1'];

/** The text on stderr when the command refuses to start; it reads no stdin and writes no stdout. */
async function complaintOf(options: BinOptions): Promise<string> {
  const bin = BinDriver.start(options);
  expect(await bin.exit()).toEqual({ code: 2, signal: null });
  expect(bin.lines).toEqual([]);
  return bin.stderr.replaceAll(bin.home, '~');
}

const complaint = (...problems: string[]): string =>
  `mcp-sigv4-proxy: ${problems.length === 1 ? 'a problem' : `${problems.length} problems`} with the settings:\n` +
  `${problems.map((problem) => `  ${problem}\n`).join('')}Run mcp-sigv4-proxy --help-all for all options.\n`;

describe('an invalid command line', () => {
  it.each<[string, readonly string[], string]>([
    ['an unknown flag', ['--frobnicate'], '--frobnicate is not an option'],
    [
      'an abbreviated flag',
      ['--max-conn', '3'],
      '--max-conn is not an option; did you mean --max-connections?',
    ],
    ['a short flag', ['-p', 'work'], `-p is not an option; did you mean ${FLAGS_WITH_P.join(' or ')}?`],
    ['a flag without its value', ['--region', '--skip-auth'], '--region needs a value'],
    ['a second endpoint', [ENDPOINT], `unexpected argument "${ENDPOINT}": there is one endpoint`],
    [
      'no connection at all',
      ['--max-connections', '0'],
      '--max-connections must be an integer >= 1, not "0"',
    ],
    [
      'half a connection',
      ['--max-connections', '1.5'],
      '--max-connections must be an integer >= 1, not "1.5"',
    ],
    [
      'a number in words',
      ['--max-connections', 'ten'],
      '--max-connections must be an integer >= 1, not "ten"',
    ],
    [
      'a negative number of connections to keep',
      ['--max-keepalive-connections', '-1'],
      '--max-keepalive-connections must be an integer >= 0, not "-1"',
    ],
    [
      'no time to keep',
      ['--keepalive-timeout', '0'],
      '--keepalive-timeout must be a number of seconds > 0, not "0"',
    ],
    [
      'no time to drain',
      ['--drain-timeout', '0'],
      '--drain-timeout must be a number of seconds > 0, not "0"',
    ],
    ['a negative time limit', ['--timeout', '-1'], '--timeout must be a number of seconds >= 0, not "-1"'],
    [
      'a time with an unknown unit',
      ['--tool-timeout', '5d'],
      '--tool-timeout must be a number of seconds >= 0, not "5d"',
    ],
    [
      'lines too short for a message',
      ['--max-line', '100'],
      '--max-line must be 0 (no limit) or an integer >= 65536, not "100"',
    ],
    [
      'an unknown log level',
      ['--log-level', 'loud'],
      '--log-level must be one of trace, debug, info, warn, error, silent, not "loud"',
    ],
    [
      'an unknown kind of authentication',
      ['--auth', 'magic'],
      '--auth must be one of sigv4, sigv4a, oauth, bearer, auto, none, not "magic"',
    ],
    [
      'a proxy that is not a URL',
      ['--proxy', 'localhost'],
      '--proxy must be an http:// or https:// URL, not "localhost"',
    ],
    [
      "a header that is the proxy's own",
      ['--header', 'X-Amz-Date: now'],
      '--header must not set X-Amz-Date: the proxy owns that header',
    ],
    [
      'a header that would replace the signature',
      ['--header', 'Authorization: Bearer x'],
      '--header must not set authorization: requests are signed (--auth none sends them unsigned)',
    ],
    [
      'a header with a variable that is not set',
      ['--header', `X-Team: \${TEAM}`],
      '--header names the environment variable TEAM, which is not set',
    ],
  ])('an invalid command line is refused: %s', async (_what, args, problem) => {
    expect(await complaintOf({ args: [ENDPOINT, ...SCOPE, ...args] })).toBe(complaint(problem));
  });

  it('all faults of a command line are listed at once, the endpoint first', async () => {
    const args = ['--max-connections', '0', '--nonsense', 'http://mcp.example.com/mcp', ...SCOPE];
    const env = { MCP_PROXY_TIMEOUT: 'soon' };
    expect(await complaintOf({ args, env })).toBe(
      complaint(
        'the endpoint must use https: http sends signed requests unencrypted, and is allowed for loopback addresses only, not "http://mcp.example.com/mcp"',
        '--nonsense is not an option',
        '--max-connections must be an integer >= 1, not "0"',
        'MCP_PROXY_TIMEOUT must be a number of seconds >= 0, not "soon"',
      ),
    );
  });

  it('all faults of a command line are listed, also for limits, repeated options and their combinations', async () => {
    const args = [
      ...['--max-concurrent', '0', '--queue-timeout', '0', '--retries', '11', '--breaker-threshold', '0'],
      ...['--retry-base-delay', '3', '--retry-max-delay', '2', '--breaker-reset', '0'],
      ...['--min-sessions', '3', '--max-sessions', '2', '--health-check', 'ping', 'pong'],
      ...['--session-lifetime', '10', '--session-recycle-window', '10', '--max-total-sessions', '0'],
    ];
    const env = { MCP_PROXY_QUEUE_SIZE: '-1', MCP_PROXY_RATE_LIMIT: '0' };
    expect(await complaintOf({ args: [ENDPOINT, ...SCOPE, ...args], env })).toBe(
      complaint(
        '--max-concurrent must be an integer >= 1, not "0"',
        'MCP_PROXY_QUEUE_SIZE must be an integer >= 0, not "-1"',
        '--queue-timeout must be a number of seconds > 0, not "0"',
        'MCP_PROXY_RATE_LIMIT must be a number > 0, not "0"',
        '--retries must be an integer from 0 to 10, not "11"',
        '--breaker-threshold must be an integer >= 1, not "0"',
        '--breaker-reset must be a number of seconds > 0, not "0"',
        '--health-check must name ping, tools/list, prompts/list, resources/list, resources/templates/list or skip, not "pong"',
        '--max-total-sessions must be an integer >= 1, not "0"',
        '--min-sessions must be <= --max-sessions (2), not 3',
        '--session-recycle-window must be < --session-lifetime (10), not 10',
        '--retry-max-delay must be a number >= --retry-base-delay (3), not "2"',
      ),
    );
  });
});

describe('an invalid environment variable', () => {
  it.each<[string, string, string]>([
    ['MCP_PROXY_MAX_CONNECTIONS', '0', 'MCP_PROXY_MAX_CONNECTIONS must be an integer >= 1, not "0"'],
    [
      'MCP_PROXY_MAX_KEEPALIVE_CONNECTIONS',
      'all',
      'MCP_PROXY_MAX_KEEPALIVE_CONNECTIONS must be an integer >= 0, not "all"',
    ],
    ['MCP_PROXY_READ_TIMEOUT', '1e3', 'MCP_PROXY_READ_TIMEOUT must be a number of seconds >= 0, not "1e3"'],
    ['MCP_PROXY_SKIP_AUTH', 'yes', 'MCP_PROXY_SKIP_AUTH must be true, false, 1 or 0, not "yes"'],
    ['MCP_PROXY_HEADER', 'Host: elsewhere', 'MCP_PROXY_HEADER must not set Host: the proxy owns that header'],
    [
      'MCP_PROXY_LOG_LEVEL',
      'LOUD',
      'MCP_PROXY_LOG_LEVEL must be one of trace, debug, info, warn, error, silent, not "LOUD"',
    ],
  ])('an invalid environment variable is refused: %s=%s', async (name, value, problem) => {
    expect(await complaintOf({ args: [ENDPOINT, ...SCOPE], env: { [name]: value } })).toBe(
      complaint(problem),
    );
  });

  it('a missing --env-file is named in the error', async () => {
    // Given by its variable: Node itself takes --env-file anywhere and exits with 9 before any code runs.
    const env = { MCP_PROXY_ENV_FILE: '/nowhere/.env' };
    expect(await complaintOf({ args: [ENDPOINT, ...SCOPE], env })).toBe(
      complaint(
        "MCP_PROXY_ENV_FILE must be a readable file: ENOENT: no such file or directory, open '/nowhere/.env'",
      ),
    );
  });
});

describe('an unusable endpoint', () => {
  const insecure =
    'must use https: http sends signed requests unencrypted, and is allowed for loopback addresses only';

  it.each([
    ['http://example.com/mcp', insecure],
    ['http://127.0.0.1.example.com/mcp', insecure],
    ['http://localhost.example.com/mcp', insecure],
    ['ws://127.0.0.1/mcp', 'must start with https://'],
    ['file:///etc/passwd', 'must start with https://'],
    ['arn:aws:s3:::bucket', 'must be the ARN of an AgentCore runtime or gateway, such as'],
  ])('the unusable endpoint %s is refused, even with service and region given', async (endpoint, problem) => {
    for (const options of [
      { args: [endpoint, ...SCOPE, '--skip-auth'] },
      { args: SCOPE, env: { MCP_PROXY_ENDPOINT: endpoint, MCP_PROXY_AUTH: 'none' } },
    ]) {
      const said = await complaintOf(options);
      const name = 'env' in options ? 'MCP_PROXY_ENDPOINT' : 'the endpoint';
      expect(said).toContain(`a problem with the settings:\n  ${name} ${problem}`);
      expect(said).toContain(`, not "${endpoint}"\n`);
    }
  });

  it('an endpoint whose host does not imply service and region is refused, and the error names the options', async () => {
    expect(await complaintOf({ args: [ENDPOINT] })).toBe(
      complaint(
        '--service <name> and --region <region> must be given: the host mcp.example.com does not determine what to sign for (--auth none sends requests unsigned)',
      ),
    );
  });
});

describe('a profile that does not exist', () => {
  const CONFIG = '[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-1\n';

  it('an unknown profile is an error of the first request with its name, the existing ones and the remedy', async () => {
    const { server, bin } = await startRelayed({
      credentials: false,
      args: ['--profile', 'wrok'],
      files: { '.aws/config': CONFIG },
    });
    expect(await bin.initialize({}, '')).toEqual({
      jsonrpc: '2.0',
      id: '',
      error: {
        code: -31006,
        message: `No AWS credentials for profile 'wrok': profile 'wrok' is not in ${join(bin.home, '.aws/config')}; known profiles: default, work. Did you mean 'work'? Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile wrok'`,
        data: {
          source: 'mcp-sigv4-proxy',
          reason: 'no-credentials',
          mayHaveRun: false,
          kind: 'failed',
          profile: 'wrok',
        },
      },
    });
    expect(server.requests).toEqual([]);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
  });
});

describe('broken AWS configuration files', () => {
  it.each([
    ['binary noise', Buffer.from([0, 1, 2, 3, 255, 0]).toString('latin1'), 'is not UTF-8 text'],
    ['an open bracket', '[profile work\nregion = eu-west-1\n', 'is broken in line 1'],
    ['a line that says nothing', '[profile work]\nsecret-that-stands-alone\n', 'is broken in line 2'],
  ])(
    'configuration files with %s are named in the error without their contents',
    async (_what, text, fault) => {
      const { server, bin } = await startRelayed({
        credentials: false,
        args: ['--profile', 'work'],
        files: { '.aws/config': text },
      });
      const answer = await bin.initialize({}, 0);
      expect(answer).toMatchObject({
        id: 0,
        error: {
          code: -31006,
          message: expect.stringContaining(`${join(bin.home, '.aws/config')} ${fault}`),
          data: { mayHaveRun: false, profile: 'work' },
        },
      });
      expect(JSON.stringify(answer)).not.toContain('secret-that');
      expect(server.requests).toEqual([]);
      expect(bin.stderr).toBe('');
    },
  );

  it('broken configuration files are ignored if the environment has credentials', async () => {
    const { bin } = await startRelayed({ files: { '.aws/config': '[[[', '.aws/credentials': '\0' } });
    expect(await bin.initialize({}, 0)).toMatchObject({ result: {} });
    expect(bin.stderr).toBe('');
  });
});

describe('help and version', () => {
  it.each([
    [['--version'], /^\d+\.\d+\.\d+$/],
    [['--help'], /^Usage: mcp-sigv4-proxy \[endpoint\] \[options\]$/],
    [['-h', '--nonsense'], /^Usage: mcp-sigv4-proxy/],
    [['--help-all'], /^Usage: mcp-sigv4-proxy \[endpoint\] \[options\]$/],
    [['help', 'doctor'], /^Usage: mcp-sigv4-proxy doctor \[endpoint\] \[options\]$/],
  ])('the command line %j prints to stdout, exits with 0 and sends nothing', async (args, first) => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    const bin = BinDriver.start({ args: [...args, server.url], anyStdout: true });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines[0]).toMatch(first);
    expect(bin.stderr).toBe('');
    expect(server.connections.opened).toBe(0);
  });
});
