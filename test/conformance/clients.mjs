// Makes the SDK's client of either generation, connected to an address in one of three ways.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BIN = new URL('../../bin/mcp-sigv4-proxy.js', import.meta.url).pathname;
const SIGNING = ['--service', 'execute-api', '--region', 'eu-west-1'];
const INFO = { name: 'conformance-client', version: '1.0.0' };
const CAPABILITIES = { elicitation: { form: { applyDefaults: true } } };

/** The proxy's command for an address, with throw-away credentials and a home of its own. */
function proxyCommand(url) {
  const home = mkdtempSync(join(tmpdir(), 'conformance-home-'));
  process.on('exit', () => rmSync(home, { recursive: true, force: true }));
  return {
    command: process.execPath,
    args: [BIN, url, ...SIGNING],
    env: {
      PATH: process.env.PATH ?? '',
      HOME: home,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    },
  };
}

/** Starts the proxy as a listener; resolves with its address once it is known. */
async function startListener(url) {
  const { command, args, env } = proxyCommand(url);
  const child = spawn(command, [...args, '--listen', '127.0.0.1:0', '--log-level', 'info'], { env });
  process.on('exit', () => child.kill());
  let log = '';
  for (;;) {
    const [chunk] = await once(child.stderr, 'data');
    log += chunk;
    const opened = log
      .split('\n')
      .slice(0, -1)
      .find((line) => line.includes('"listener.opened"'));
    if (opened) return JSON.parse(opened).url;
  }
}

const transportFor = {
  direct: async (url, { Http }) => new Http(new URL(url)),
  listener: async (url, { Http }) => new Http(new URL(await startListener(url))),
  stdio: async (url, { Stdio }) => new Stdio(proxyCommand(url)),
};

async function connectV1(way, url) {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StdioClientTransport: Stdio } = await import('@modelcontextprotocol/sdk/client/stdio.js');
  const { StreamableHTTPClientTransport: Http } = await import(
    '@modelcontextprotocol/sdk/client/streamableHttp.js'
  );
  const { CallToolResultSchema, ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
  const client = new Client(INFO, { capabilities: CAPABILITIES });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
  await client.connect(await transportFor[way](url, { Http, Stdio }));
  // Not callTool, which refuses what a tool's output schema does not allow: here the server is on trial, not its tools.
  const call = (params) => client.request({ method: 'tools/call', params }, CallToolResultSchema);
  return Object.assign(client, { call });
}

async function connectV2(way, url, mode) {
  const { Client, StreamableHTTPClientTransport: Http } = await import('@modelcontextprotocol/client');
  const { StdioClientTransport: Stdio } = await import('@modelcontextprotocol/client/stdio');
  const client = new Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
  await client.connect(await transportFor[way](url, { Http, Stdio }));
  return Object.assign(client, { call: (params) => client.callTool(params) });
}

/** A connected client of the generation that has `call` for tools, whichever the SDK's name for it. */
export const connect = (generation, way, url, revision) =>
  generation === 'v1' ? connectV1(way, url) : connectV2(way, url, revision >= '2026' ? 'auto' : 'legacy');
