// Compares the two signers of src/auth: the one of this project, and that of the AWS SDK.
//   node bench/signers.mjs [--quick]
// Rounds are interleaved, and only ratios within a round are compared: the state of the machine affects both alike.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { percentile } from './median.mjs';
import { cpuOf } from './proc.mjs';
import { StdioClient } from './stdio-client.mjs';
import { CONNECTIONS, direct } from './subjects.mjs';

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROUNDS = flags.quick ? 3 : 9;
const SIGNATURES = 20_000;
const CALLS = flags.quick ? 4_000 : 12_000;
const IN_FLIGHT = 32;
const SIGNERS = ['sigv4', 'smithy-sigv4'];

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'mcp-signers-'));
const server = fork(join(root, 'bench/server.mjs'), { env: { PATH: process.env.PATH } });
try {
  const [{ url }] = await once(server, 'message');
  const signers = await Promise.all(SIGNERS.map(loadSigner));
  await Promise.all(SIGNERS.map(buildProxy));
  await compare('µs for one signature', () => signers.map((sign) => () => signatureTime(sign)));
  await compare(`µs of CPU for a call, ${IN_FLIGHT} in flight`, () =>
    SIGNERS.map((name) => () => callTime(name, url)),
  );
} finally {
  server.kill();
  await rm(folder, { recursive: true, force: true });
}

/** Runs both in alternating order, and prints the medians and the ratio with its quartiles. */
async function compare(what, measures) {
  const [ours, smithy] = measures();
  const rounds = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const result = {};
    const order = round % 2 === 0 ? ['ours', 'smithy'] : ['smithy', 'ours'];
    for (const each of order) result[each] = await (each === 'ours' ? ours : smithy)();
    // The first round compiles the code.
    if (round > 0) rounds.push(result);
  }
  const of = (pick, part) => percentile(rounds.map(pick), part);
  const ratio = ({ ours, smithy }) => smithy / ours;
  const quartiles = [0.25, 0.75].map((part) => of(ratio, part).toFixed(2)).join(' to ');
  console.log(
    `${what}: ours ${of((r) => r.ours, 0.5).toFixed(1)}, smithy ${of((r) => r.smithy, 0.5).toFixed(1)}, ratio ${of(ratio, 0.5).toFixed(2)} (${quartiles})`,
  );
}

async function loadSigner(name) {
  const outfile = join(folder, `${name}.cjs`);
  const contents = `export { signRequest } from './src/auth/${name}.ts'; export { signingTarget } from './src/auth/signing.ts';`;
  await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    mainFields: ['module', 'main'],
  });
  const { signRequest, signingTarget } = createRequire(import.meta.url)(outfile);
  const target = signingTarget(
    new URL('https://bedrock-agentcore.us-east-1.amazonaws.com/mcp?qualifier=DEFAULT'),
  );
  const body = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo' } }),
  );
  const credentials = { ...direct.credentials, sessionToken: 'x'.repeat(900) };
  return (date) =>
    signRequest(
      { method: 'POST', target, contentType: 'application/json', body },
      credentials,
      direct.scope,
      date,
    );
}

async function signatureTime(sign) {
  const started = performance.now();
  for (let at = 0; at < SIGNATURES; at++) await sign(new Date(1_700_000_000_000 + at));
  return ((performance.now() - started) * 1_000) / SIGNATURES;
}

/** The command line, with the import of src/auth/signer.ts that chooses the signer. */
async function buildProxy(name) {
  const choose = {
    name: 'choose-signer',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\/sigv4\.ts$/ }, ({ importer }) =>
        importer.endsWith('signer.ts') ? { path: join(root, `src/auth/${name}.ts`) } : undefined,
      );
    },
  };
  await build({
    entryPoints: { cli: join(root, 'src/cli.ts') },
    outdir: join(folder, name),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    plugins: [choose],
    logLevel: 'error',
  });
}

async function callTime(name, url) {
  const { scope, credentials } = direct;
  const flags = ['--service', scope.service, '--region', scope.region, '--max-connections', `${CONNECTIONS}`];
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const client = new StdioClient([join(folder, name, 'cli.mjs'), url, ...flags], env);
  await client.initialize();
  await call(client, CALLS / 4);
  const before = await cpuOf(client.pid);
  await call(client, CALLS);
  const after = await cpuOf(client.pid);
  await client.close();
  return ((after - before) * 1_000) / CALLS;
}

async function call(client, calls) {
  let left = calls;
  const caller = async () => {
    while (left-- > 0) await client.call('echo', { text: 'hello' });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
}
