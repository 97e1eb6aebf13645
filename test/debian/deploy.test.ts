import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { BIN_PATH } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { openSession, startListening } from '../support/listening.ts';
import { BALANCERS, balancerConfig, balancerProgram } from './balancers.ts';
import { canContain, containedBin, USER } from './contained.ts';
import { installed } from './installed.ts';
import { freePort, hasRedis } from './redis-server.ts';

const DEPLOY = resolve('deploy');
const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-deploy-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

describe('the files of deploy/, read by the programs that they are for', () => {
  it.each(BALANCERS)('the program %s accepts its configuration in deploy/ without a warning', (name) => {
    const program = balancerProgram(name);
    if (!program) return;
    const folder = temporaryFolder();
    const file = join(folder, 'balancer.conf');
    writeFileSync(file, balancerConfig(name, 8000, ['http://127.0.0.1:1', 'http://127.0.0.1:2'], folder));
    const args = name === 'haproxy' ? ['-c', '-f', file] : ['-t', '-c', file, '-e', join(folder, 'log')];
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    expect([status, `${stdout}${stderr}`.match(/WARN|emerg|alert/i)]).toEqual([0, null]);
  });

  it('systemd accepts the unit, and rates its exposure as low', () => {
    const program = installed('systemd-analyze', 'systemd');
    if (!program) return;
    const unit = join(temporaryFolder(), 'mcp-sigv4-proxy.service');
    const text = readFileSync(join(DEPLOY, 'mcp-sigv4-proxy.service'), 'utf8');
    writeFileSync(unit, text.replace('/usr/bin/mcp-sigv4-proxy', process.execPath));
    const verified = spawnSync(program, ['verify', unit], { encoding: 'utf8' });
    expect([verified.status, verified.stderr]).toEqual([0, '']);
    const rated = execFileSync(program, ['security', '--offline=true', unit], { encoding: 'utf8' });
    expect(Number(/Overall exposure level .*: ([\d.]+)/.exec(rated)?.[1])).toBeLessThan(2);
  });
});

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
  readonly spec: Record<string, never>;
}

/** The manifests that Helm's template engine makes of the chart. */
function render(change: object): Record<string, Manifest> {
  const chart = join(DEPLOY, 'helm/mcp-sigv4-proxy');
  const values = parse(readFileSync(join(chart, 'values.yaml'), 'utf8')) as object;
  const input = {
    Release: { Name: 'mcp', Namespace: 'default', Service: 'Helm' },
    Chart: { Name: 'mcp-sigv4-proxy', Version: '0.1.0', AppVersion: '0.1.0' },
    Values: { ...values, endpoint: 'https://mcp.example.com/mcp', ...change },
  };
  const env = {
    ...process.env,
    GO111MODULE: 'off',
    GOPATH: '/usr/share/gocode',
    GOCACHE: join(tmpdir(), 'mcp-go-cache'),
  };
  const text = execFileSync('go', ['run', join(import.meta.dirname, 'helm/render.go'), chart], {
    input: JSON.stringify(input),
    env,
    encoding: 'utf8',
  });
  const manifests = parseAllDocuments(text).flatMap((each) => (each.toJS() as Manifest | null) ?? []);
  return Object.fromEntries(manifests.map((manifest) => [manifest.kind, manifest]));
}

/** The errors of the compiler where manifests differ from the types of the Kubernetes API. */
function apiProblems(manifests: readonly Manifest[]): string[] {
  // Within the checkout, where the compiler finds the package of the types.
  const folder = mkdtempSync(resolve('node_modules/.mcp-manifests-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  const lines = manifests.map((manifest, at) => {
    const path = manifest.apiVersion.replace('.k8s.io', '').replace(/^v1$/, 'core/v1');
    const type = `import('kubernetes-types/${path}').${manifest.kind}`;
    return `export const manifest${at}: ${type} = ${JSON.stringify(manifest)};`;
  });
  const file = join(folder, 'manifests.ts');
  writeFileSync(file, lines.join('\n'));
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'esnext',
    '--moduleResolution',
    'bundler',
  ];
  const { stdout } = spawnSync('npx', ['tsc', ...options, '--ignoreConfig', file], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.includes('error TS'));
}

const hasSprig =
  installed('go', 'golang-go') !== undefined &&
  spawnSync('ls', ['/usr/share/gocode/src/github.com/Masterminds/sprig']).status === 0;

describe.skipIf(!hasSprig)('the Helm chart', () => {
  it('the chart with its defaults has a deployment, a service, a budget, a policy and a service account', () => {
    const made = render({});
    expect(Object.keys(made).sort()).toEqual([
      'Deployment',
      'NetworkPolicy',
      'PodDisruptionBudget',
      'Service',
      'ServiceAccount',
    ]);
    expect(made.Deployment?.spec).toMatchObject({
      replicas: 2,
      template: {
        spec: {
          serviceAccountName: 'mcp',
          terminationGracePeriodSeconds: 85,
          securityContext: { runAsNonRoot: true },
          containers: [
            {
              image: 'ghcr.io/mcp-sigv4-proxy/mcp-sigv4-proxy:0.1.0',
              securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
              readinessProbe: { httpGet: { path: '/readyz', port: 'mcp' } },
              livenessProbe: { httpGet: { path: '/healthz', port: 'mcp' } },
            },
          ],
        },
      },
    });
    expect(made.ServiceAccount?.metadata.annotations).toBeUndefined();
  });

  it('each manifest of the chart has only members of the Kubernetes API, with values of their types', () => {
    const made = [
      ...Object.values(render({})),
      ...Object.values(
        render({
          metrics: { enabled: true, serviceMonitor: true },
          autoscaling: { enabled: true, minReplicas: 2, maxReplicas: 4, targetCPUUtilizationPercentage: 60 },
          networkPolicy: {
            enabled: true,
            from: [{ podSelector: {} }],
            redis: [{ podSelector: {} }],
            redisPort: 6380,
          },
        }),
      ),
    ];
    // A kind of the Prometheus operator.
    const manifests = made.filter(({ kind }) => kind !== 'ServiceMonitor');
    expect(manifests.length).toBeGreaterThan(10);
    expect(apiProblems(manifests)).toEqual([]);
    const [deployment] = manifests.filter(({ kind }) => kind === 'Deployment');
    const wrong = structuredClone(deployment) as unknown as {
      spec: { replicas: unknown; template: { spec: { containers: { livenessProb?: object }[] } } };
    };
    wrong.spec.replicas = 'two';
    wrong.spec.template.spec.containers[0] = { ...wrong.spec.template.spec.containers[0], livenessProb: {} };
    const problems = apiProblems([wrong as unknown as Manifest]).join('\n');
    expect(problems).toMatch(/'string' is not assignable to type 'number'/);
    expect(problems).toMatch(/livenessProb\W+does not exist/);
  });

  it('the chart with IRSA, metrics, autoscaling, options and Redis has what each needs', () => {
    const roleArn = 'arn:aws:iam::111122223333:role/proxy';
    const made = render({
      aws: { roleArn },
      metrics: { enabled: true, serviceMonitor: true },
      autoscaling: { enabled: true, minReplicas: 2, maxReplicas: 4, targetCPUUtilizationPercentage: 60 },
      options: { RATE_LIMIT: '3' },
      env: [{ name: 'AWS_REGION', value: 'us-east-1' }],
      allowedHosts: ['a.example.com', 'b.example.com'],
      networkPolicy: {
        enabled: true,
        from: [{ podSelector: { matchLabels: { app: 'ingress' } } }],
        redis: [{ podSelector: {} }],
        redisPort: 6380,
      },
    });
    expect(made.ServiceAccount?.metadata.annotations).toEqual({ 'eks.amazonaws.com/role-arn': roleArn });
    expect(made.HorizontalPodAutoscaler?.spec).toMatchObject({ minReplicas: 2, maxReplicas: 4 });
    expect(made.ServiceMonitor).toBeDefined();
    expect(made.Deployment?.spec).not.toHaveProperty('replicas');
    expect(JSON.stringify(made.Deployment)).toContain('{"name":"MCP_PROXY_RATE_LIMIT","value":"3"}');
    expect(JSON.stringify(made.Deployment)).toContain('{"name":"AWS_REGION","value":"us-east-1"}');
    expect(JSON.stringify(made.Deployment)).toContain('"a.example.com,b.example.com"');
    expect(made.NetworkPolicy?.spec).toMatchObject({
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'ingress' } } }] }],
      egress: [{}, {}, { to: [{ ipBlock: { cidr: '169.254.170.23/32' } }] }, { ports: [{ port: 6380 }] }],
    });
  });
});

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('a container without HOME', () => {
  it('the proxy starts with a user id that has no entry in passwd, and without HOME', () => {
    // The checkout may be in a folder that other users cannot enter.
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const checkout = dirname(dirname(BIN_PATH));
    for (const part of ['bin', 'dist', 'package.json'])
      cpSync(join(checkout, part), join(folder, part), { recursive: true });
    const bin = join(folder, 'bin/mcp-sigv4-proxy.js');
    const start = (...args: string[]) =>
      spawnSync(
        'setpriv',
        ['--reuid', '54321', '--regid', '54321', '--clear-groups', process.execPath, bin, ...args],
        {
          env: {
            AWS_ACCESS_KEY_ID: 'AKIDTEST',
            AWS_SECRET_ACCESS_KEY: 'x',
            AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:9',
          },
          encoding: 'utf8',
          cwd: '/',
        },
      );
    expect(start('--version').stdout).toMatch(/^\d+\./);
    const { stdout, stderr } = start(
      'doctor',
      'http://127.0.0.1:9/mcp',
      '--service',
      'x',
      '--region',
      'eu-west-1',
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^ok +credentials/m);
  });
});

describe.skipIf(!canContain())('a replica of npm run fleet', () => {
  it('the replica runs as a user without capabilities and HOME, in a root directory that is read-only', async () => {
    const { ask, bin } = await startListening({ program: containedBin() });
    const headers = await openSession(ask);
    const { status, json } = await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'ping' } });
    expect([status, json.id]).toEqual([200, 0]);
    const facts = (file: string): string => readFileSync(`/proc/${bin.child.pid}/${file}`, 'utf8');
    expect(/^Uid:\t(.*)$/m.exec(facts('status'))?.[1]?.split('\t')).toEqual(Array(4).fill(`${USER}`));
    expect(/^CapEff:\t(\w+)$/m.exec(facts('status'))?.[1]).toMatch(/^0+$/);
    expect(/^NoNewPrivs:\t(\d)$/m.exec(facts('status'))?.[1]).toBe('1');
    expect(/ \/ \/ (\w+)/.exec(facts('mountinfo'))?.[1]).toBe('ro');
    expect(facts('environ').split('\0').join('\n')).not.toMatch(/^HOME=/m);
    bin.kill('SIGTERM');
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });
});

describe.skipIf(!hasRedis || !balancerProgram('haproxy'))('docs/deploy.md', () => {
  it('the commands of "Try it on one machine" bring up the topology, and replace a replica', async () => {
    const page = readFileSync('docs/deploy.md', 'utf8');
    const blocks = [...page.matchAll(/^```sh trial-(\w+)\n([\s\S]*?)^```$/gm)].map(
      ([, name, body]) => [name, body] as const,
    );
    expect(blocks.map(([name]) => name)).toEqual(['server', 'start', 'call', 'rollout', 'end']);
    let script = blocks.map(([name, body]) => `echo "== ${name}"\n${body}`).join('\n');
    for (const port of ['8100', '6390', '8081', '8082', '9464', '9465', '8000']) {
      const free = await freePort();
      // The port that deploy/haproxy.cfg binds is a pattern of sed, not an address.
      script = script.replaceAll(new RegExp(`(127\\.0\\.0\\.1:|--port )${port}\\b`, 'g'), `$1${free}`);
    }
    const folder = temporaryFolder();
    // As npm installs it.
    const bin = join(folder, 'mcp-sigv4-proxy');
    writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" "${BIN_PATH}" "$@"\n`);
    chmodSync(bin, 0o755);
    const setUp = `set -eu\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\nln -s "${DEPLOY}" deploy`;
    const wait = 'wait $(cat replica-1.pid); echo "replica ended with $?"';
    const { stdout, stderr, status } = spawnSync('bash', ['-c', `${setUp}\n${script}\n${wait}`], {
      cwd: folder,
      env: { PATH: `${folder}:${process.env.PATH}`, HOME: folder },
      encoding: 'utf8',
      timeout: 90_000,
    });
    expect([status, stderr.match(/error/gi)]).toEqual([0, null]);
    const [, , call = '', rollout = '', end] = stdout.split(/^== \w+$/m).slice(1);
    expect(call).toMatch(/^whoami +read-only/m);
    expect(call).toMatch(/"accessKeyId":"ASIA/);
    expect(call).toMatch(/calls_total\{.*method="tools\/call",tool="whoami",outcome="ok"\} 1$/m);
    expect(rollout.match(/"accessKeyId":"ASIA/g)).toHaveLength(8);
    expect(end).toContain('replica ended with 0');
  });
});
