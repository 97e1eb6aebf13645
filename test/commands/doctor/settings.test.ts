// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables in headers look like this
import { describe, expect, it } from 'vitest';
import {
  defaultsFinding,
  endpointFinding,
  settingFindings,
  versionFinding,
} from '../../../src/commands/doctor/settings.ts';
import type { Option } from '../../../src/config/option.ts';
import { OPTIONS } from '../../../src/settings.ts';
import { VERSION } from '../../../src/version.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { settingsFor } from './rig.ts';

const ENDPOINT = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
const details = async (...given: Parameters<typeof settingsFor>): Promise<string[]> =>
  settingFindings(await settingsFor(...given)).map(({ check, detail }) => `${check} ${detail}`);

it('versionFinding reports the versions of the package and Node, and the platform', () => {
  expect(versionFinding().detail).toBe(
    `mcp-sigv4-proxy ${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`,
  );
});

describe('settingFindings', () => {
  it('settingFindings reports settings with their origin: command line, variable, --env-file', async () => {
    const file = await (await makeTempHome()).write(
      'proxy.env',
      'MCP_PROXY_RETRIES=0\nAWS_REGION=eu-west-1\n',
    );
    const argv = [ENDPOINT, '--skip-auth', '--disable-telemetry=false', '--env-file', file];
    const env = { MCP_PROXY_METADATA: 'A=1\nB=2', AWS_PROFILE: 'dev', AWS_CONFIG_FILE: '/x' };
    expect(await details(argv, { env })).toEqual([
      'setting --profile dev, from AWS_PROFILE',
      'setting --metadata A=1 --metadata B=2, from MCP_PROXY_METADATA',
      'setting --skip-auth, from the command line',
      'setting --disable-telemetry=false, from the command line',
      'setting --retries 0, from MCP_PROXY_RETRIES in the file of --env-file',
      `setting --env-file ${file}, from the command line`,
      'variable AWS_CONFIG_FILE=/x',
      'variable AWS_REGION=eu-west-1, from the file of --env-file',
    ]);
  });

  it('settingFindings warns about options that have no effect without another option', async () => {
    const verdicts = async (...argv: string[]) =>
      settingFindings(await settingsFor([ENDPOINT, ...argv])).map((finding) =>
        finding.verdict === 'warning' ? [finding.detail, finding.remedy] : finding.verdict,
      );
    expect(await verdicts('--queue-size', '0', '--rate-burst', '2', '--rate-limit', '1')).toEqual([
      ['--queue-size 0, from the command line', 'It has no effect without --max-concurrent.'],
      'ok',
      'ok',
    ]);
    expect(await verdicts('--rate-burst', '2', '--max-concurrent', '1', '--queue-timeout', '1')).toEqual([
      'ok',
      'ok',
      ['--rate-burst 2, from the command line', 'It has no effect without --rate-limit.'],
    ]);
    const keys = Object.keys(OPTIONS);
    const needed = Object.values<Option>(OPTIONS).flatMap(({ needs }) => needs ?? []);
    expect(needed.filter((key) => !keys.includes(key))).toEqual([]);
  });

  it('settingFindings warns about unknown MCP_PROXY_ variables without printing their value', async () => {
    const env = {
      MCP_PROXY_ENDPOINT: ENDPOINT,
      MCP_PROXY_MAX_CONECTIONS: '16',
      MCP_PROXY_FROBNICATE: 'geheim',
      MCP_PROXY_RETRYS: '',
    };
    const findings = settingFindings(await settingsFor([], { env }));
    expect(findings).toEqual([
      {
        check: 'variable',
        detail: 'MCP_PROXY_MAX_CONECTIONS is not a variable of the proxy',
        verdict: 'warning',
        remedy: 'It has no effect. Did you mean MCP_PROXY_MAX_CONNECTIONS?',
      },
      {
        check: 'variable',
        detail: 'MCP_PROXY_FROBNICATE is not a variable of the proxy',
        verdict: 'warning',
        remedy: 'It has no effect.',
      },
    ]);
  });

  it('defaultsFinding lists the defaults in use', async () => {
    expect(await details([ENDPOINT])).toEqual([]);
    const defaults = defaultsFinding(await settingsFor([ENDPOINT, '--retries', '0'])).detail.split(', ');
    expect(defaults).toContain('--max-connections 5');
    expect(defaults).toContain('--auth sigv4');
    expect(defaults).toContain('--log-level error');
    // Made, off, a list, or from elsewhere.
    expect(defaults.join()).not.toMatch(/--(retries|lazy|profile|region|log-file) /);
    expect(defaults.join()).not.toContain('undefined');
  });

  it('settingFindings prints no secrets', async () => {
    const argv = [
      ENDPOINT,
      '--header',
      'x-api-key: geheim-1',
      '--header',
      'x-team: ${TEAM}',
      '--proxy',
      'http://me:geheim-2@proxy.corp:8080',
      '--metadata',
      'A_TOKEN=geheim-3',
    ];
    const env = {
      TEAM: 'geheim-4',
      HTTPS_PROXY: 'http://me:geheim-5@proxy.corp',
      AWS_SECRET_ACCESS_KEY: 'geheim-6',
    };
    const shown = await details(argv, { env });
    expect(shown).toEqual([
      'setting --metadata A_TOKEN=..., from the command line',
      'setting --header x-api-key: ... --header x-team: ${TEAM}, from the command line',
      'setting --proxy http://me:...@proxy.corp:8080, from the command line',
      'variable HTTPS_PROXY=http://me:...@proxy.corp',
    ]);
  });
});

describe('endpointFinding', () => {
  it.each<[argv: string[], env: NodeJS.ProcessEnv, detail: string]>([
    [[], {}, 'https://aws-mcp.us-east-1.api.aws/mcp, the default'],
    [[ENDPOINT], {}, `${ENDPOINT}, from the command line`],
    [[], { MCP_PROXY_ENDPOINT: ENDPOINT }, `${ENDPOINT}, from MCP_PROXY_ENDPOINT`],
    [[`${ENDPOINT}?token=geheim&v=1`], {}, `${ENDPOINT}?token=...&v=1, from the command line`],
    [
      ['arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/x'],
      {},
      'https://bedrock-agentcore.us-east-1.amazonaws.com/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Aruntime%2Fx/invocations?qualifier=DEFAULT, from the command line',
    ],
  ])(
    'endpointFinding with arguments %j and variables %j reports the endpoint and its origin',
    async (argv, env, detail) => {
      expect(endpointFinding(await settingsFor(argv, { env }))).toEqual({
        check: 'endpoint',
        verdict: 'ok',
        detail,
      });
    },
  );

  it('endpointFinding names the --env-file as the origin', async () => {
    const file = await (await makeTempHome()).write('proxy.env', `MCP_PROXY_ENDPOINT=${ENDPOINT}\n`);
    expect(endpointFinding(await settingsFor(['--env-file', file])).detail).toBe(
      `${ENDPOINT}, from MCP_PROXY_ENDPOINT in the file of --env-file`,
    );
  });
});
