import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ECSClient,
  RegisterTaskDefinitionCommand,
  type RegisterTaskDefinitionCommandInput,
} from '@aws-sdk/client-ecs';
import { Ajv } from 'ajv';
import { DCLinter } from 'dclint';
import { validate as validateDockerfile } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { variableOf } from '../../src/config/option.ts';
import { ENDPOINT_VARIABLE, OPTIONS } from '../../src/settings.ts';
import { ROOT } from './source-tree.ts';

const DEPLOY = join(ROOT, 'deploy');
const read = (path: string): string => readFileSync(join(DEPLOY, path), 'utf8');
const files = readdirSync(DEPLOY, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(DEPLOY.length + 1));

interface Task {
  readonly containerDefinitions: readonly [
    {
      readonly stopTimeout: number;
      readonly user: string;
      readonly readonlyRootFilesystem: boolean;
      readonly environment: readonly { readonly name: string; readonly value: string }[];
    },
  ];
}
const compose = parse(read('compose.yaml'), { merge: true }) as {
  readonly services: Readonly<
    Record<string, { readonly environment?: Record<string, string>; readonly stop_grace_period?: string }>
  >;
};
const task = JSON.parse(read('ecs-task-definition.json')) as Task;
const chart = 'helm/mcp-sigv4-proxy';

describe('deploy/', () => {
  it('each MCP_PROXY_ variable of deploy/ belongs to an option', () => {
    const known = new Set([ENDPOINT_VARIABLE, ...Object.keys(OPTIONS).map((key) => variableOf(key))]);
    const used = files.flatMap((file) =>
      [...read(file).matchAll(/\bMCP_PROXY_[A-Z_]+[A-Z]\b/g)].map(([name]) => name),
    );
    expect(used.length).toBeGreaterThan(20);
    expect([...new Set(used)].filter((name) => !known.has(name))).toEqual([]);
  });

  it('the platform waits for longer than --drain-delay and --drain-timeout together', () => {
    const replica = compose.services['proxy-1'];
    const { MCP_PROXY_DRAIN_DELAY, MCP_PROXY_DRAIN_TIMEOUT } = replica?.environment ?? {};
    const drain = Number(MCP_PROXY_DRAIN_DELAY) + Number(MCP_PROXY_DRAIN_TIMEOUT);
    expect(Number.parseInt(replica?.stop_grace_period ?? '', 10)).toBeGreaterThan(drain);
    const [container] = task.containerDefinitions;
    const numberOf = (name: string): number =>
      Number(container.environment.find((each) => each.name === name)?.value);
    expect(container.stopTimeout).toBeGreaterThan(
      numberOf('MCP_PROXY_DRAIN_DELAY') + numberOf('MCP_PROXY_DRAIN_TIMEOUT'),
    );
    expect(read(`${chart}/templates/deployment.yaml`)).toContain(
      'add .Values.drainDelay .Values.drainTimeout 10',
    );
  });

  it('HAProxy notices that a replica leaves before --drain-delay is over', () => {
    const [, inter, fall] = /check inter (\d+)s fall (\d+)/.exec(read('haproxy.cfg')) ?? [];
    const delay = Number(compose.services['proxy-1']?.environment?.MCP_PROXY_DRAIN_DELAY);
    expect(Number(inter) * Number(fall)).toBeGreaterThan(0);
    expect(delay).toBeGreaterThan(Number(inter) * (Number(fall) + 1));
  });

  it('no balancer of deploy/ repeats a call that was sent', () => {
    expect(read('haproxy.cfg').match(/^ *retry-on .*$/gm)).toEqual(['  retry-on conn-failure']);
    expect(read('nginx.conf').match(/^ *proxy_next_upstream .*$/gm)).toEqual([
      '      proxy_next_upstream error timeout;',
    ]);
  });

  it('containers run as non-root with a read-only root', () => {
    const [container] = task.containerDefinitions;
    expect([container.user, container.readonlyRootFilesystem]).toEqual(['65532:65532', true]);
    expect(compose.services['proxy-1']).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
    expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain('\nUSER 65532:65532\n');
  });
});

/** Rules of style, which this repository does not follow. */
const STYLE = [
  'no-quotes-in-volumes',
  'require-quotes-in-ports',
  'service-keys-order',
  'services-alphabetical-order',
  'top-level-properties-order',
];

interface LintResult {
  readonly messages: readonly { readonly rule: string; readonly message: string }[];
}

/** The reports of a linter of Compose files, which knows the schema of the Compose Specification. */
function composeProblems(text: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-compose-'));
  const path = join(folder, 'compose.yaml');
  writeFileSync(path, text);
  const rules = Object.fromEntries(STYLE.map((rule) => [rule, 0 as const]));
  const linter = new DCLinter({ rules, quiet: true, debug: false, exclude: [] });
  const results: readonly LintResult[] = linter.lintFiles([path], false);
  rmSync(folder, { recursive: true });
  return results.flatMap(({ messages }) => messages.map(({ rule, message }) => `${rule}: ${message}`));
}

/** The body of a request to ECS: its client leaves out what its model does not know. */
async function sentToEcs(given: object): Promise<unknown> {
  let body = '';
  const client = new ECSClient({
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'x' },
    maxAttempts: 1,
    requestHandler: {
      handle: async (request: { readonly body: unknown }) => {
        body = new TextDecoder().decode(request.body as Uint8Array);
        throw new Error('not sent');
      },
    },
  });
  const command = new RegisterTaskDefinitionCommand(given as RegisterTaskDefinitionCommandInput);
  await client.send(command).catch(() => undefined);
  return JSON.parse(body);
}

describe('the formats of deploy/', () => {
  const composeText = read('compose.yaml');

  it('compose.yaml obeys the Compose Specification and the rules of its linter', () => {
    expect(composeProblems(composeText)).toEqual([]);
  });

  it.each([
    ['a misspelled key', 'read_only: true', 'readonly: true'],
    ['a value of another type', 'depends_on: [prometheus]', 'depends_on: 7'],
    ['an image without a tag', 'haproxy:3.0-alpine', 'haproxy'],
    ['a port that is open to the network', '"127.0.0.1:8000:8000"', '"8000:8000"'],
  ])('the check of compose.yaml finds %s', (_what, from, to) => {
    expect(composeText).toContain(from);
    expect(composeProblems(composeText.replace(from, to))).not.toEqual([]);
  });

  it('the task definition has only members that ECS knows', async () => {
    expect(await sentToEcs(task)).toEqual(task);
    const misspelled = {
      ...task,
      containerDefinitions: [{ ...task.containerDefinitions[0], stopTimeOut: 1 }],
    };
    expect(await sentToEcs(misspelled)).not.toEqual(misspelled);
  });

  it('the Dockerfile has known instructions with valid arguments', () => {
    const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
    expect(validateDockerfile(text)).toEqual([]);
    expect(validateDockerfile(text.replace('USER ', 'USSR '))).toHaveLength(1);
    expect(validateDockerfile(text.replace('EXPOSE 8080', 'EXPOSE http'))).toHaveLength(1);
  });
});

describe('the schema of the chart', () => {
  const validate = new Ajv({ allErrors: true }).compile(JSON.parse(read(`${chart}/values.schema.json`)));
  const values = (change: object): object => ({
    ...(parse(read(`${chart}/values.yaml`)) as object),
    endpoint: 'https://mcp.example.com/mcp',
    ...change,
  });

  it('the chart accepts its own values and has the version of the package', () => {
    expect([validate(values({})), validate.errors]).toEqual([true, null]);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(parse(read(`${chart}/Chart.yaml`))).toMatchObject({ version, appVersion: version });
  });

  it.each([
    ['no endpoint', { endpoint: '' }],
    ['an endpoint without TLS', { endpoint: 'http://mcp.example.com' }],
    ['a misspelled value', { replica: 3 }],
    ['no replica', { replicas: 0 }],
    ['an option in lower case', { options: { rateLimit: '3' } }],
    ['a secret among the options', { options: { LISTEN_TOKEN: 'x' } }],
    ['an option as a number', { options: { RATE_LIMIT: 3 } }],
    ['a role that is no ARN', { aws: { roleArn: 'proxy' } }],
  ])('the chart refuses %s', (_what, change) => {
    expect(validate(values(change))).toBe(false);
  });
});
