// The first answers over TLS, through a network of 0, 20 and 100 ms of round trip: what a person waits for when a client starts.

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { startDelayedNetwork } from '../delayed-network.mjs';

export const rounds = { full: 5, quick: 1 };
export const kinds = ['proxy'];
const ROUND_TRIPS_MS = [0, 20, 100];

export async function run({ url, open }) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-bench-tls-'));
  const tls = await startTlsFront(new URL(url));
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, tls.cert);
  const numbers = {};
  try {
    for (const ms of ROUND_TRIPS_MS) {
      const network = await startDelayedNetwork(tls.port, ms);
      const started = performance.now();
      const client = await open([], {
        endpoint: `https://localhost:${network.port}/mcp`,
        env: { NODE_EXTRA_CA_CERTS: caFile },
      });
      const initialized = performance.now();
      await client.call('echo', { text: 'first' });
      const first = performance.now();
      await client.call('echo', { text: 'next' });
      const next = performance.now();
      numbers[`start${ms}`] = initialized - started;
      numbers[`first${ms}`] = first - initialized;
      numbers[`next${ms}`] = next - first;
      await client.close();
      network.close();
    }
    return numbers;
  } finally {
    tls.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** TLS in front of the bench's server, which speaks HTTP. */
async function startTlsFront(target) {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  });
  const server = createServer({ key, cert }, (incoming, outgoing) => {
    const { method, url: path, headers } = incoming;
    const onward = request(
      { host: target.hostname, port: target.port, method, path, headers },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(outgoing);
      },
    );
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { cert, port: server.address().port, close: () => server.close() };
}
