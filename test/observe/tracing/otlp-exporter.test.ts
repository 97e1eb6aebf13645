import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createOtlpExporter } from '../../../src/observe/tracing/otlp-exporter.ts';
import type { CollectorRequest, ConnectCollector } from '../../../src/observe/tracing/otlp-transport.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { useEnv } from '../../support/temp-home.ts';

const serializer = { serializeRequest: (data: Uint8Array) => data, deserializeResponse: () => undefined };

/** Exports one byte of traces with these variables; returns what the collector sees. */
async function exportWith(env: Readonly<Record<string, string>>) {
  useEnv({ PATH: process.env.PATH, ...env });
  const posts: CollectorRequest[] = [];
  const addresses: Parameters<ConnectCollector>[0][] = [];
  const connectCollector: ConnectCollector = (address) => {
    addresses.push(address);
    return {
      post: async (request) => {
        posts.push(request);
        return { status: 200, retryAfter: '', body: new Uint8Array() };
      },
      close: () => undefined,
    };
  };
  const exporter = await createOtlpExporter(
    { signal: 'traces', protocol: 'http/protobuf', clock: new FakeClock(), connectCollector },
    serializer,
  );
  const result = await new Promise((resolve) => exporter.export(new Uint8Array([1]), resolve));
  expect(result).toEqual({ code: 0 });
  return { post: posts[0], address: addresses[0] };
}

it('an exporter obeys the variables of its signal: endpoint, headers, timeout and compression', async () => {
  const { post, address } = await exportWith({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example:4318/base/',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-token=a%20b',
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '2500',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  });
  expect(address).toEqual({ origin: 'http://collector.example:4318', tls: {} });
  expect(post).toMatchObject({
    path: '/base/v1/traces',
    headers: {
      'Content-Type': 'application/x-protobuf',
      'Content-Encoding': 'gzip',
      'User-Agent': 'mcp-sigv4-proxy OTel-OTLP-Exporter-JavaScript',
      'x-token': 'a b',
    },
    timeoutMs: 2_500,
  });
});

it('an exporter takes the path and query of an endpoint for traces as they are', async () => {
  const { post } = await exportWith({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c.example/in?key=1' });
  expect(post?.path).toBe('/in?key=1');
});

it('an exporter takes the certificates that the variables name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-otlp-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => {
    writeFileSync(join(folder, name), name);
    return join(folder, name);
  };
  const { address } = await exportWith({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example',
    OTEL_EXPORTER_OTLP_CERTIFICATE: file('ca'),
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file('cert'),
    OTEL_EXPORTER_OTLP_CLIENT_KEY: file('key'),
  });
  expect(address).toEqual({
    origin: 'https://collector.example',
    tls: { ca: Buffer.from('ca'), cert: Buffer.from('cert'), key: Buffer.from('key') },
  });
});
