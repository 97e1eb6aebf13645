// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of clients look like this

import { win32 } from 'node:path';
import { parse as parseToml } from '@decimalturn/toml-patch';
import { beforeEach, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { CLIENTS, COMMANDS } from '../../../src/command-table.ts';
import { type ConfigBlock, configBlock } from '../../../src/commands/config/block.ts';
import { CLIENT_FORMATS } from '../../../src/commands/config/clients.ts';
import { problems } from '../../../src/commands/config/config.ts';
import { parseArguments, readSettings } from '../../../src/settings.ts';
import { settingsIn } from '../../support/settings.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';

let temp: TempHome;
beforeEach(async () => {
  temp = await makeTempHome();
  return temp.cleanup;
});

interface Asked {
  readonly env?: NodeJS.ProcessEnv;
  readonly platform?: NodeJS.Platform;
  readonly executable?: string;
}

async function blockFor(
  argv: readonly string[],
  { env = {}, platform = 'linux', executable }: Asked = {},
): Promise<ConfigBlock> {
  const args = parseArguments(['config', ...argv], COMMANDS);
  const settings = settingsIn(await readSettings(args, { ...temp.env, ...env }));
  const client = CLIENTS.find((name) => name === argv[0]);
  if (!client) throw new Error('no client');
  return configBlock(client, args, settings, { platform, cwd: '/project', executable });
}

interface Started {
  readonly args: string[];
  readonly env?: Record<string, string>;
}

/** The values that Claude Code would set. */
async function started(argv: readonly string[], asked?: Asked): Promise<Started> {
  const { text } = await blockFor(['claude-code', ...argv], asked);
  const { args, env } = JSON.parse(text).mcpServers.aws;
  expect(args.slice(0, 2)).toEqual(['-y', 'mcp-sigv4-proxy']);
  return { args: args.slice(2), env };
}

const ENDPOINT = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
const SECRET = ['--header', 'x-api-key: s3cr3t', '--profile', 'dev'];
const ENV = { AWS_REGION: 'eu-west-1' };
const RUN = [
  '-y',
  'mcp-sigv4-proxy',
  '--profile',
  'dev',
  '--region',
  'us-east-1',
  '--metadata',
  'AWS_REGION=eu-west-1',
];

const parsed = (client: string, text: string): unknown =>
  client === 'codex' ? parseToml(text) : client === 'goose' ? parseYaml(text) : JSON.parse(text);

describe('configBlock', () => {
  it.each<[client: (typeof CLIENTS)[number], document: unknown]>([
    [
      'claude-code',
      {
        mcpServers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: ${X_API_KEY}' },
          },
        },
      },
    ],
    [
      'claude-desktop',
      {
        mcpServers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: <X_API_KEY>' },
          },
        },
      },
    ],
    [
      'opencode',
      {
        $schema: 'https://opencode.ai/config.json',
        mcp: {
          aws: {
            type: 'local',
            command: ['npx', ...RUN],
            enabled: true,
            timeout: 305_000,
            environment: { MCP_PROXY_HEADER: 'x-api-key: {env:X_API_KEY}' },
          },
        },
      },
    ],
    [
      'cursor',
      {
        mcpServers: {
          aws: {
            type: 'stdio',
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: ${env:X_API_KEY}' },
          },
        },
      },
    ],
    [
      'vscode',
      {
        inputs: [{ type: 'promptString', id: 'x-api-key', description: 'X_API_KEY', password: true }],
        servers: {
          aws: {
            type: 'stdio',
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: ${input:x-api-key}' },
          },
        },
      },
    ],
    [
      'kiro',
      {
        mcpServers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: ${X_API_KEY}' },
          },
        },
      },
    ],
    [
      'codex',
      {
        mcp_servers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: <X_API_KEY>' },
            startup_timeout_sec: 30,
            tool_timeout_sec: 305,
          },
        },
      },
    ],
    [
      'gemini-cli',
      {
        mcpServers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: ${X_API_KEY}' },
            timeout: 305_000,
          },
        },
      },
    ],
    [
      'windsurf',
      {
        mcpServers: {
          aws: { command: 'npx', args: RUN, env: { MCP_PROXY_HEADER: 'x-api-key: ${env:X_API_KEY}' } },
        },
      },
    ],
    [
      'zed',
      {
        context_servers: {
          aws: { command: 'npx', args: RUN, env: { MCP_PROXY_HEADER: 'x-api-key: <X_API_KEY>' } },
        },
      },
    ],
    [
      'cline',
      {
        mcpServers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: <X_API_KEY>' },
            disabled: false,
            timeout: 305,
          },
        },
      },
    ],
    [
      'amazon-q',
      {
        mcpServers: {
          aws: {
            command: 'npx',
            args: RUN,
            env: { MCP_PROXY_HEADER: 'x-api-key: ${env:X_API_KEY}' },
            timeout: 305_000,
          },
        },
      },
    ],
    [
      'goose',
      {
        extensions: {
          aws: {
            name: 'aws',
            type: 'stdio',
            enabled: true,
            cmd: 'npx',
            args: RUN,
            envs: { MCP_PROXY_HEADER: 'x-api-key: <X_API_KEY>' },
            timeout: 305,
          },
        },
      },
    ],
    ...(['jetbrains', 'lm-studio'] as const).map((client): [typeof client, unknown] => [
      client,
      {
        mcpServers: {
          aws: { command: 'npx', args: RUN, env: { MCP_PROXY_HEADER: 'x-api-key: <X_API_KEY>' } },
        },
      },
    ]),
  ])(
    'the config block for %s has the format of that client, and its placeholder syntax for secrets',
    async (client, document) => {
      const { text, notes } = await blockFor([client, ...SECRET], { env: ENV });
      expect(parsed(client, text)).toEqual(document);
      expect(text).not.toContain('s3cr3t');
      expect(notes.join('\n')).not.toContain('s3cr3t');
      const [place, secrets] = notes.filter((note) => !note.startsWith('Or run: '));
      expect(place).toMatch(/^For .+: .+/);
      expect(secrets).toMatch(/^Not copied, because they are secret: X_API_KEY\. .+\.$/);
    },
  );

  it.each(CLIENTS)('the config block for %s has no env if no variable is needed', async (client) => {
    const { text, notes } = await blockFor([client]);
    expect(text).not.toMatch(/"env|"inputs/);
    const others = notes.filter((note) => !note.startsWith('Or run: '));
    expect(others).toEqual([expect.stringMatching(/^For /), expect.stringMatching(/^Recommended: --lazy/)]);
    const { notes: without } = await blockFor([client, '--lazy']);
    expect(without).toHaveLength(notes.length - 1);
  });

  it('the config block of the single executable starts it by its path, also on Windows', async () => {
    const executable = 'C:\\Program Files\\mcp-sigv4-proxy.exe';
    const { text, notes } = await blockFor(['claude-code', '--lazy'], { platform: 'win32', executable });
    expect(JSON.parse(text).mcpServers.aws).toEqual({ command: executable, args: ['--lazy'] });
    expect(notes).toContain(`Or run: claude mcp add aws -- '${executable}' --lazy`);
  });

  it('the config block starts npx through cmd on Windows', async () => {
    const { text } = await blockFor(['claude-code'], { platform: 'win32' });
    expect(JSON.parse(text).mcpServers.aws).toEqual({
      command: 'cmd',
      args: ['/c', 'npx', '-y', 'mcp-sigv4-proxy'],
    });
  });
});

describe('the files of clients on Windows', () => {
  const machine = {
    platform: 'win32',
    home: 'C:\\Users\\u',
    cwd: 'D:\\work',
    env: { APPDATA: 'C:\\Users\\u\\AppData\\Roaming' },
    join: win32.join,
    exists: () => false,
  } as const;

  it.each([
    ['claude-code', 'D:\\work\\.mcp.json'],
    ['claude-desktop', 'C:\\Users\\u\\AppData\\Roaming\\Claude\\claude_desktop_config.json'],
    ['vscode', 'C:\\Users\\u\\AppData\\Roaming\\Code\\User\\mcp.json'],
    ['codex', 'C:\\Users\\u\\.codex\\config.toml'],
    ['zed', 'C:\\Users\\u\\AppData\\Roaming\\Zed\\settings.json'],
    ['goose', 'C:\\Users\\u\\AppData\\Roaming\\Block\\goose\\config\\config.yaml'],
    ['jetbrains', undefined],
  ] as const)('config --write for %s writes on Windows to %s', (client, file) => {
    expect(CLIENT_FORMATS[client].file?.(machine)).toBe(file);
  });
});

describe('configBlock for a listener', () => {
  const listening = ['--listen', '127.0.0.1:8080', '--listen-token', 'geheim-geheim-geheim'];
  const http = CLIENTS.filter((client) => client !== 'claude-desktop');

  it.each(http)('the config block for %s has the URL of the listener and no token', async (client) => {
    const { text, notes } = await blockFor([client, ...listening]);
    expect(JSON.stringify(parsed(client, text))).toContain('"http://127.0.0.1:8080/mcp"');
    expect(text).not.toContain('geheim');
    expect(notes.at(-1)).toMatch(/^The proxy has to run already/);
    const open = await blockFor([client, '--listen', '127.0.0.1:8080']);
    expect(open.text).not.toMatch(/Bearer|LISTEN_TOKEN/);
  });

  it('the config block for Codex and Goose lets the client pass on the credentials', async () => {
    const env = { AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'geheim' };
    const names = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
    const codex = parsed('codex', (await blockFor(['codex'], { env })).text);
    expect(codex).toMatchObject({ mcp_servers: { aws: { env_vars: names } } });
    const goose = parsed('goose', (await blockFor(['goose'], { env })).text);
    expect(goose).toMatchObject({ extensions: { aws: { env_keys: names } } });
  });

  it('the claude mcp add line quotes placeholders, so that the shell does not replace them', async () => {
    const { notes } = await blockFor(['claude-code', ...SECRET]);
    expect(notes[1]).toBe(
      "Or run: claude mcp add aws --env 'MCP_PROXY_HEADER=x-api-key: ${X_API_KEY}' -- npx -y mcp-sigv4-proxy --profile dev",
    );
  });
});

describe('configBlock with options', () => {
  it('the config block repeats the given options in their order, and adds none', async () => {
    expect(
      await started([
        ENDPOINT,
        '--max-connections',
        '16',
        '--profile=dev',
        '--skip-auth',
        '--disable-telemetry=false',
        '--metadata',
        'A=1 2',
        '--metadata',
        'B=3',
        '--user-agent=--odd',
      ]),
    ).toEqual({
      args: [
        ENDPOINT,
        '--max-connections',
        '16',
        '--profile',
        'dev',
        '--skip-auth',
        '--disable-telemetry=false',
        '--metadata',
        'A=1 2',
        '--metadata',
        'B=3',
        '--user-agent=--odd',
      ],
    });
  });

  it('the config block copies an ARN endpoint unchanged', async () => {
    const arn = 'arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/my_mcp-AbCdEf1234';
    expect((await started([arn])).args).toEqual([arn]);
  });

  it('the config block makes file paths absolute, because clients start in another folder', async () => {
    const ca = await temp.write('ca.pem', '-----BEGIN CERTIFICATE-----\n');
    const file = await temp.write('proxy.env', 'MCP_PROXY_RETRIES=0\n');
    expect((await started(['--ca-bundle', ca])).args).toEqual(['--ca-bundle', ca]);
    expect((await started(['--env-file', file])).args).toEqual(['--env-file', file]);
    const env = { AWS_CONFIG_FILE: 'config', NODE_EXTRA_CA_CERTS: 'ca.pem' };
    expect((await started([], { env })).env).toEqual({
      AWS_CONFIG_FILE: '/project/config',
      NODE_EXTRA_CA_CERTS: '/project/ca.pem',
    });
  });

  it('the config block does not copy variables that the --env-file sets', async () => {
    const file = await temp.write(
      'proxy.env',
      `MCP_PROXY_RETRIES=0\nMCP_PROXY_ENDPOINT=${ENDPOINT}\nAWS_PROFILE=dev\nAWS_REGION=eu-west-2\n`,
    );
    expect(await started(['--env-file', file])).toEqual({ args: ['--env-file', file] });
  });

  it('the config block keeps settings from MCP_PROXY_ variables as variables', async () => {
    const env = {
      MCP_PROXY_MAX_CONNECTIONS: '16',
      MCP_PROXY_METADATA: 'A=1\nB=2',
      MCP_PROXY_ENDPOINT: ENDPOINT,
      MCP_PROXY_TIMEOUT: '',
    };
    const { args, env: given } = await started(['--max-connections', '8'], { env });
    expect(args).toEqual(['--max-connections', '8']);
    expect(given).toEqual({ MCP_PROXY_METADATA: 'A=1\nB=2', MCP_PROXY_ENDPOINT: ENDPOINT });
  });
});

describe('configBlock with variables of the shell', () => {
  it('the config block copies AWS and network variables that are not secret', async () => {
    const env = {
      AWS_PROFILE: 'dev',
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_STS: 'https://sts.example.com',
      AWS_EC2_METADATA_DISABLED: 'true',
      HTTPS_PROXY: 'http://proxy.corp:8080',
      NO_PROXY: '.corp',
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'no',
      AWS_SOMETHING_NEW: 'no',
      EDITOR: 'vi',
    };
    expect(await started([], { env })).toEqual({
      args: ['--profile', 'dev', '--region', 'us-east-1', '--metadata', 'AWS_REGION=eu-west-1'],
      env: {
        AWS_ENDPOINT_URL_STS: 'https://sts.example.com',
        AWS_EC2_METADATA_DISABLED: 'true',
        HTTPS_PROXY: 'http://proxy.corp:8080',
        NO_PROXY: '.corp',
      },
    });
  });

  it.each<[what: string, argv: string[], env: NodeJS.ProcessEnv, args: string[]]>([
    [
      'MCP_PROXY_PROFILE and MCP_PROXY_REGION',
      [],
      { MCP_PROXY_PROFILE: 'a', MCP_PROXY_REGION: 'eu-west-2' },
      ['--region', 'eu-west-2', '--profile', 'a'],
    ],
    [
      'AWS_REGION that is signed for',
      ['https://x.example.com/mcp', '--service', 'execute-api'],
      { AWS_REGION: 'eu-west-2' },
      [
        'https://x.example.com/mcp',
        '--service',
        'execute-api',
        '--region',
        'eu-west-2',
        '--metadata',
        'AWS_REGION=eu-west-2',
      ],
    ],
    ['a profile name with blanks', [], { AWS_PROFILE: 'my dev' }, ['--profile', '"my dev"']],
    ['a profile name that looks like a flag', [], { AWS_PROFILE: '-x' }, ['--profile=-x']],
    [
      'MCP_PROXY_ROLE_ARN',
      [],
      { MCP_PROXY_ROLE_ARN: 'arn:aws:iam::123456789012:role/r' },
      ['--role-arn', 'arn:aws:iam::123456789012:role/r'],
    ],
  ])(
    'the config block turns variables that choose account or region into flags: %s',
    async (_what, argv, env, args) => {
      expect(await started(argv, { env })).toEqual({ args });
    },
  );

  it('the config block omits AWS_PROFILE if --profile is given', async () => {
    expect(await started(['--profile', 'a'], { env: { AWS_PROFILE: 'b' } })).toEqual({
      args: ['--profile', 'a'],
    });
  });

  it('the config block has placeholders for credentials unless a profile is used', async () => {
    const env = {
      AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'geheim',
      AWS_SESSION_TOKEN: 'marke',
    };
    const { text, notes } = await blockFor(['claude-code'], { env });
    expect(JSON.parse(text).mcpServers.aws.env).toEqual({
      AWS_ACCESS_KEY_ID: '${AWS_ACCESS_KEY_ID}',
      AWS_SECRET_ACCESS_KEY: '${AWS_SECRET_ACCESS_KEY}',
      AWS_SESSION_TOKEN: '${AWS_SESSION_TOKEN}',
    });
    expect(text).not.toMatch(/AKIAEXAMPLE|geheim|marke/);
    expect(notes.at(-1)).toContain('With --profile');
    expect((await started(['--profile', 'dev'], { env })).env).toBeUndefined();
    expect((await started(['--auth', 'none'], { env })).env).toBeUndefined();
  });
});

describe('configBlock with secrets', () => {
  it.each<[what: string, argv: string[], env: NodeJS.ProcessEnv, given: Record<string, string>]>([
    [
      'in the URL of --proxy',
      ['--proxy', 'http://me:s3cr3t@proxy.corp:8080'],
      {},
      { MCP_PROXY_PROXY: 'http://me:${PROXY_PASSWORD}@proxy.corp:8080' },
    ],
    [
      'in HTTPS_PROXY',
      [],
      { HTTPS_PROXY: 'http://me:s3cr3t@proxy.corp:8080' },
      { HTTPS_PROXY: 'http://me:${PROXY_PASSWORD}@proxy.corp:8080' },
    ],
    [
      'in the query of the endpoint',
      [`${ENDPOINT}?api_key=s3cr3t&v=1`],
      {},
      { MCP_PROXY_ENDPOINT: `${ENDPOINT}?api_key=\${API_KEY}&v=1` },
    ],
    [
      'in the query of MCP_PROXY_ENDPOINT',
      [],
      { MCP_PROXY_ENDPOINT: `${ENDPOINT}?api_key=s3cr3t` },
      { MCP_PROXY_ENDPOINT: `${ENDPOINT}?api_key=\${API_KEY}` },
    ],
    [
      'in one of two headers',
      ['--header', 'x-team: ${TEAM}', '--header', 'x-api-key: s3cr3t'],
      { TEAM: 's3cr3t' },
      { MCP_PROXY_HEADER: 'x-team: ${TEAM}\nx-api-key: ${X_API_KEY}' },
    ],
    [
      'in MCP_PROXY_HEADER',
      [],
      { MCP_PROXY_HEADER: 'x-a: s3cr3t\n\nx-b: Bearer ${B}', B: 's3cr3t' },
      { MCP_PROXY_HEADER: 'x-a: ${X_A}\nx-b: Bearer ${B}' },
    ],
    [
      'in metadata, by its name',
      ['--metadata', 'A_TOKEN=s3cr3t'],
      {},
      { MCP_PROXY_METADATA: 'A_TOKEN=${A_TOKEN}' },
    ],
  ])(
    'a secret %s becomes a placeholder in env and does not appear on the command line',
    async (_what, argv, env, given) => {
      const { text } = await blockFor(['claude-code', ...argv], { env });
      expect(text).not.toContain('s3cr3t');
      const { aws } = JSON.parse(text).mcpServers;
      expect(aws.args).toEqual(['-y', 'mcp-sigv4-proxy']);
      expect(aws.env).toEqual(given);
    },
  );
});

it('config reports an unknown client as a problem', () => {
  expect(problems(parseArguments(['config', 'emacs'], COMMANDS))).toEqual([
    `<client> must be one of ${CLIENTS.join(', ')}, not "emacs"`,
  ]);
  expect(problems(parseArguments(['config', 'claude'], COMMANDS))).toEqual([
    expect.stringContaining('; did you mean claude-code or claude-desktop?'),
  ]);
  for (const client of CLIENTS) expect(problems(parseArguments(['config', client], COMMANDS))).toEqual([]);
  // That it is missing has been said already.
  expect(problems(parseArguments(['config'], COMMANDS))).toEqual([]);
});
