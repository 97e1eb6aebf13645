import { describe, expect, it } from 'vitest';
import { claiming, startDual } from '../support/claims.ts';
import { openSession, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts';
import { makeGate, startInitialized, startRelayed } from '../support/relayed.ts';
import { TEST_KEY } from '../support/signing.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const TRACEPARENT = `00-${TRACE}-${PARENT}-01`;
const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

const metaOf = (rpc: Record<string, unknown>): Record<string, unknown> =>
  ((rpc.params as Record<string, unknown> | undefined)?._meta ?? {}) as Record<string, unknown>;

const named = (spans: readonly ReceivedSpan[], name: string, kind: number): ReceivedSpan => {
  const found = spans.find((span) => span.name === name && span.kind === kind);
  if (!found) throw new Error(`no span ${name} (${kind}) in ${spans.map((span) => span.name).join(', ')}`);
  return found;
};

describe('a trace on stdio', () => {
  it.each(['http/protobuf', 'http/json'])(
    'a trace over %s has the request, the call to the server, its HTTP request and its credentials',
    async (protocol) => {
      const receiver = await OtlpReceiver.start();
      const { bin, server } = await startInitialized({
        env: {
          ...receiver.env,
          OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
          OTEL_METRICS_EXPORTER: 'none',
          OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
        },
      });
      const _meta = { traceparent: TRACEPARENT, tracestate: 'a=1', baggage: 'user=ann' };
      await bin.request('tools/call', { name: 'echo', _meta, arguments: { n: 0 } }, 0);
      await bin.request('ping', undefined, '');
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      expect(bin.stderr).toBe('');

      const { spans } = receiver;
      expect(receiver.contentTypes[0]).toBe(
        protocol === 'http/json' ? 'application/json' : 'application/x-protobuf',
      );
      expect(receiver.resource).toMatchObject({
        'service.name': 'mcp-sigv4-proxy',
        'deployment.environment.name': 'test',
      });
      const own = receiver.ofTrace(TRACE);
      const request = named(own, 'tools/call echo', SERVER);
      const call = named(own, 'tools/call echo', CLIENT);
      const post = named(own, 'POST', CLIENT);
      expect([request.parentSpanId, call.parentSpanId, post.parentSpanId]).toEqual([
        PARENT,
        request.spanId,
        call.spanId,
      ]);
      expect(request.traceState).toBe('a=1');
      expect(request.attributes).toMatchObject({
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 'echo',
        'gen_ai.operation.name': 'execute_tool',
        'jsonrpc.request.id': '0',
        'network.transport': 'pipe',
      });
      expect(call.attributes).toMatchObject({
        'server.address': '127.0.0.1',
        'server.port': server.port,
        'mcp.protocol.version': '2025-11-25',
        'mcp.session.id': expect.stringMatching(/^[\w-]{16}$/),
      });
      expect(post.attributes).toMatchObject({
        'http.request.method': 'POST',
        'http.response.status_code': 200,
        'url.full': server.url,
      });
      // The server reads the context of the call in the message, and that of the request in the header.
      const [sent] = server.of('tools/call');
      expect(metaOf(sent?.rpc ?? {})).toMatchObject({
        traceparent: `00-${TRACE}-${call.spanId}-01`,
        tracestate: 'a=1',
        baggage: 'user=ann',
      });
      expect(sent?.headers).toMatchObject({
        traceparent: `00-${TRACE}-${post.spanId}-01`,
        tracestate: 'a=1',
        baggage: 'user=ann',
      });
      const opening = named(spans, 'initialize', SERVER);
      const opened = named(receiver.childrenOf(opening), 'initialize', CLIENT);
      expect(
        receiver
          .childrenOf(opened)
          .map(({ name }) => name)
          .sort(),
      ).toEqual(['POST', 'credentials.resolve']);
      // Not a method with params: it is sent as it came.
      expect(server.of('ping')[0]?.rpc).toEqual({ jsonrpc: '2.0', id: '', method: 'ping' });
    },
  );

  it('a trace shows retries as resends, errors by code without secrets, and its ids are in the log line of a failure', async () => {
    const receiver = await OtlpReceiver.start();
    let refusals = 2;
    const { bin } = await startInitialized({
      args: ['--retry-mode', 'standard', '--retry-base-delay', '0', '--log-level', 'warn'],
      env: receiver.env,
      on: {
        'tools/call': (_request, response, { params, fallback, error, result }) => {
          if (params.name === 'failing') return result({ content: [], isError: true });
          if (params.name === 'cut') return void response.destroy();
          if (params.name === 'unknown') return error(-32602, `no tool for ${TEST_KEY.sessionToken}`);
          if (refusals-- > 0) return void response.writeHead(429).end();
          return fallback();
        },
      },
    });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    await bin.request('tools/call', { name: 'failing', arguments: {} }, 1);
    await bin.request('tools/call', { name: 'unknown', arguments: {} }, -1);
    await bin.request('tools/call', { name: 'cut', arguments: {} }, '');
    bin.closeStdin();
    await bin.exit();
    const lines = bin.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const { traceId: trace_id, spanId: span_id } = named(receiver.spans, 'tools/call cut', SERVER);
    expect(lines.filter(({ msg }) => msg === 'call.failed')).toMatchObject([{ trace_id, span_id }]);
    const call = named(receiver.spans, 'tools/call echo', CLIENT);
    expect(
      receiver
        .childrenOf(call)
        .map(({ attributes }) => [
          attributes['http.response.status_code'],
          attributes['http.request.resend_count'],
          attributes['error.type'],
        ]),
    ).toEqual([
      [429, undefined, '429'],
      [429, 1, '429'],
      [200, 2, undefined],
    ]);
    expect(call.status.code).toBe(0);
    expect(named(receiver.spans, 'tools/call failing', SERVER)).toMatchObject({
      status: { code: ERROR },
      attributes: { 'error.type': 'tool_error' },
    });
    for (const kind of [SERVER, CLIENT]) {
      expect(named(receiver.spans, 'tools/call unknown', kind)).toMatchObject({
        status: { code: ERROR, message: 'no tool for [redacted]' },
        attributes: { 'error.type': '-32602', 'rpc.response.status_code': '-32602' },
      });
    }
  });

  it('the first message of revision 2026-07-28 carries the context before the SDK is loaded', async () => {
    const receiver = await OtlpReceiver.start();
    const { bin, server } = await startDual(
      ({ rpc }, response) => sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} }),
      { env: receiver.env },
    );
    bin.send(claiming('tools/call', { name: 'first', arguments: {} }, 0));
    await bin.answer(0);
    bin.closeStdin();
    await bin.exit();
    const call = named(receiver.spans, 'tools/call first', CLIENT);
    expect(metaOf(server.requests[0]?.rpc ?? {}).traceparent).toBe(`00-${call.traceId}-${call.spanId}-01`);
    expect(call.attributes['mcp.protocol.version']).toBe('2026-07-28');
  });

  it('a lost session is opened again as a part of the call that noticed it, and log lines carry the trace', async () => {
    const receiver = await OtlpReceiver.start();
    const { bin, mcp } = await startInitialized({ args: ['--log-level', 'debug'], env: receiver.env });
    mcp.forgetSessions();
    const _meta = { traceparent: TRACEPARENT };
    await bin.request('tools/call', { name: 'echo', arguments: {}, _meta }, 0);
    bin.closeStdin();
    await bin.exit();
    const call = named(receiver.ofTrace(TRACE), 'tools/call echo', CLIENT);
    const [opening] = receiver.childrenOf(call).filter(({ name }) => name === 'session.create');
    expect(opening?.attributes).toEqual({ 'session.open.reason': 'recovery' });
    expect(receiver.childrenOf(call).map(({ name }) => name)).toEqual(['POST', 'session.create', 'POST']);
    expect(receiver.childrenOf(opening ?? call).map(({ name }) => name)).toContain('POST');
    // The lost session is not deleted; its successor is.
    const closes = receiver.spans.filter(({ name }) => name === 'session.close');
    expect(closes.map(({ parentSpanId, attributes }) => [parentSpanId, attributes])).toMatchObject([
      ['', { 'session.close.reason': 'closed', 'mcp.session.id': expect.stringMatching(/^[\w-]{16}$/) }],
    ]);
    expect(closes.flatMap((close) => receiver.childrenOf(close)).map(({ name }) => name)).toEqual(['DELETE']);
    const lines = bin.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ trace_id }) => trace_id === TRACE);
    expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['http.request', 'http.response']));
    expect(lines.every(({ span_id }) => /^[0-9a-f]{16}$/.test(String(span_id)))).toBe(true);
  });

  it('a session that no call waits for is opened in a trace of its own', async () => {
    const receiver = await OtlpReceiver.start();
    const { bin, server } = await startInitialized({
      args: ['--min-sessions', '2', '--max-sessions', '2'],
      env: receiver.env,
    });
    await server.until((all) => all.filter(({ rpc }) => rpc.method === 'initialize').length === 2);
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    bin.closeStdin();
    await bin.exit();
    const [opening] = receiver.spans.filter(({ name }) => name === 'session.create');
    expect(opening).toMatchObject({ parentSpanId: '', attributes: { 'session.open.reason': 'minimum' } });
    const children = opening ? receiver.childrenOf(opening).map(({ name }) => name) : [];
    expect(children).toContain('POST');
    expect(receiver.spans.filter(({ name }) => name === 'session.close')).toHaveLength(2);
  });

  it('a pooled call has a span for its wait for a session', async () => {
    const receiver = await OtlpReceiver.start();
    const { bin } = await startInitialized({ args: ['--max-sessions', '2'], env: receiver.env });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    bin.closeStdin();
    await bin.exit();
    const call = named(receiver.spans, 'tools/call echo', CLIENT);
    expect(receiver.childrenOf(call).map(({ name }) => name)).toEqual(['pool.borrow', 'POST']);
  });

  it('OTEL_TRACES_SAMPLER=always_off records nothing, and passes on that it does not', async () => {
    const receiver = await OtlpReceiver.start();
    const { bin, server } = await startInitialized({
      env: { ...receiver.env, OTEL_TRACES_SAMPLER: 'always_off', OTEL_METRICS_EXPORTER: 'none' },
    });
    const unsampled = TRACEPARENT.replace(/01$/, '00');
    for (const [id, traceparent] of [TRACEPARENT, unsampled, undefined].entries()) {
      const _meta = traceparent === undefined ? undefined : { traceparent };
      await bin.request('tools/call', { name: 'echo', arguments: {}, _meta }, id);
    }
    bin.closeStdin();
    await bin.exit();
    expect(receiver.spans).toEqual([]);
    const [sampled, passed, own] = server.of('tools/call').map(({ rpc, headers }) => {
      const { traceparent } = metaOf(rpc);
      expect(headers.traceparent).toBe(traceparent);
      return traceparent;
    });
    expect(sampled).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    expect(sampled).not.toContain(PARENT);
    // W3C Trace Context, 3.4: a proxy may pass it on as it came.
    expect(passed).toBe(unsampled);
    expect(own).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });

  it('OTEL_PROPAGATORS=xray reads and writes the X-Ray header', async () => {
    const receiver = await OtlpReceiver.start();
    const { bin, server } = await startInitialized({
      env: { ...receiver.env, OTEL_PROPAGATORS: 'xray' },
    });
    const field = 'x-amzn-trace-id';
    const _meta = { [field]: 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1' };
    await bin.request('tools/call', { name: 'echo', arguments: {}, _meta }, 0);
    bin.closeStdin();
    await bin.exit();
    const [sent] = server.of('tools/call');
    const own = receiver.ofTrace('5759e988bd862e3fe1be46a994272793');
    expect(named(own, 'tools/call echo', SERVER).parentSpanId).toBe('53995c3f42cd8ad8');
    expect(metaOf(sent?.rpc ?? {})[field]).toContain(
      `Parent=${named(own, 'tools/call echo', CLIENT).spanId}`,
    );
    expect(sent?.headers[field]).toBe(
      `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=${named(own, 'POST', CLIENT).spanId};Sampled=1`,
    );
    expect(sent?.headers.traceparent).toBeUndefined();
  });

  it('without OTEL_* variables the context of the client passes untouched', async () => {
    const { bin, server } = await startInitialized();
    const _meta = { traceparent: TRACEPARENT, AWS_REGION: 'eu-west-1' };
    await bin.request('tools/call', { name: 'echo', arguments: {}, _meta }, 0);
    const [sent] = server.of('tools/call');
    expect([metaOf(sent?.rpc ?? {}).traceparent, sent?.headers.traceparent]).toEqual([
      TRACEPARENT,
      undefined,
    ]);
  });
});

describe('a trace at the listener', () => {
  it('a trace at the listener continues the context of the HTTP header, or that of _meta before it', async () => {
    const receiver = await OtlpReceiver.start();
    const { ask, bin, server } = await startListening({ env: receiver.env });
    const headers = { ...(await openSession(ask)), traceparent: TRACEPARENT };
    const call = (id: unknown, params: object) =>
      ask({ headers, body: { jsonrpc: '2.0', id, method: 'tools/call', params } });
    const other = '4bf92f3577b34da6a3ce929d0e0e4736';
    await call(0, { name: 'echo', arguments: {} });
    await call('', {
      name: 'echo',
      arguments: {},
      _meta: { traceparent: `00-${other}-00f067aa0ba902b7-01` },
    });
    await call(-1, { name: 'nothing', arguments: {} });
    bin.kill('SIGTERM');
    await bin.exit();
    const request = named(receiver.ofTrace(TRACE), 'tools/call echo', SERVER);
    expect(request).toMatchObject({
      parentSpanId: PARENT,
      attributes: { 'network.transport': 'tcp', 'client.address': '127.0.0.1' },
    });
    const sent = server
      .of('tools/call')
      .map(({ rpc, headers: given }) => [metaOf(rpc).traceparent, given.traceparent]);
    expect(sent[0]?.map((text) => String(text).slice(3, 35))).toEqual([TRACE, TRACE]);
    expect(sent[1]?.map((text) => String(text).slice(3, 35))).toEqual([other, other]);
    // The answer passed unread, and its outcome is known all the same.
    expect(named(receiver.ofTrace(TRACE), 'tools/call nothing', SERVER)).toMatchObject({
      status: { code: ERROR },
      attributes: { 'rpc.response.status_code': '-32602' },
    });
  });
});

describe('traces by X-Ray and behind a token', () => {
  it('the listener continues the X-Ray header of a client with OTEL_PROPAGATORS=xray', async () => {
    const receiver = await OtlpReceiver.start();
    const { ask, bin, server } = await startListening({
      env: { ...receiver.env, OTEL_PROPAGATORS: 'xray' },
    });
    const field = 'x-amzn-trace-id';
    const headers = {
      ...(await openSession(ask)),
      [field]: 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1',
    };
    const params = { name: 'echo', arguments: {} };
    await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'tools/call', params } });
    bin.kill('SIGTERM');
    await bin.exit();
    const own = receiver.ofTrace('5759e988bd862e3fe1be46a994272793');
    expect(named(own, 'tools/call echo', SERVER).parentSpanId).toBe('53995c3f42cd8ad8');
    expect(server.of('tools/call')[0]?.headers[field]).toContain(
      `Parent=${named(own, 'POST', CLIENT).spanId}`,
    );
  });

  it('the token of OTEL_EXPORTER_OTLP_HEADERS reaches the collector, and neither log nor spans', async () => {
    const receiver = await OtlpReceiver.start();
    const token = 'collector-token-0123456789';
    const { bin } = await startInitialized({
      args: ['--log-level', 'trace'],
      env: { ...receiver.env, OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${token}` },
    });
    await bin.request('tools/call', { name: token, arguments: { token } }, 0);
    bin.closeStdin();
    await bin.exit();
    expect(receiver.headers[0]?.authorization).toBe(`Bearer ${token}`);
    expect(bin.stderr).toContain('[redacted]');
    expect(bin.stderr).not.toContain(token);
  });
});

describe('a collector that does not take the traces', () => {
  it.each([400, 500, 'unreachable'] as const)(
    'a collector that answers %s costs one log line and no call',
    async (reception) => {
      const receiver = await OtlpReceiver.start();
      if (reception !== 'unreachable') receiver.reception = reception;
      const url = reception === 'unreachable' ? 'http://127.0.0.1:9' : receiver.url;
      const { bin } = await startInitialized({
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: url,
          OTEL_EXPORTER_OTLP_TIMEOUT: '300',
          OTEL_METRICS_EXPORTER: 'none',
          OTEL_BSP_SCHEDULE_DELAY: '10',
        },
      });
      await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
      await bin.stderrMatching(/telemetry\.export-failed.*\n/);
      for (const id of [1, 2, 3]) await bin.request('tools/call', { name: 'echo', arguments: {} }, id);
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      const lines = bin.stderr.trim().split('\n');
      expect(lines).toHaveLength(1);
      expect(JSON.parse(lines[0] ?? '')).toMatchObject({
        msg: 'telemetry.export-failed',
        signal: 'traces',
        message: expect.stringContaining(reception === 'unreachable' ? 'ECONNREFUSED' : `HTTP ${reception}`),
      });
    },
  );

  it('a slow collector delays no call, and gets every span and count once', async () => {
    const receiver = await OtlpReceiver.start();
    const gate = makeGate();
    receiver.reception = gate.opened;
    const { bin } = await startInitialized({
      env: {
        ...receiver.env,
        OTEL_BSP_SCHEDULE_DELAY: '10',
        OTEL_METRIC_EXPORT_INTERVAL: '10',
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'delta',
      },
    });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    // Both exports are under way, and nothing of them is answered.
    await expect.poll(() => receiver.headers.length, { timeout: 15_000 }).toBe(2);
    for (const id of ['', -1]) await bin.request('tools/call', { name: 'echo', arguments: {} }, id);
    expect(receiver.spans).toEqual([]);
    receiver.reception = 503;
    gate.open();
    await bin.stderrMatching(/telemetry\.export-failed.*\n[^\n]*telemetry\.export-failed.*\n/);
    receiver.reception = 'accept';
    for (const id of [2, 3]) await bin.request('tools/call', { name: 'echo', arguments: {} }, id);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    const calls = receiver.allPoints.filter(
      ({ name, attributes }) => name === 'mcp_sigv4_proxy.calls' && attributes.tool === 'echo',
    );
    expect(calls.every(({ temporality }) => temporality === 1)).toBe(true);
    // The counts that the collector has refused are sent again.
    expect(calls.reduce((sum, { value }) => sum + value, 0)).toBe(5);
  });

  it('a collector that hangs delays neither calls nor the exit beyond the drain time', async () => {
    const receiver = await OtlpReceiver.start();
    receiver.reception = 'hang';
    const { bin } = await startInitialized({
      args: ['--drain-timeout', '0.4'],
      env: { ...receiver.env, OTEL_BSP_SCHEDULE_DELAY: '10' },
    });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    await expect.poll(() => receiver.headers.length, { timeout: 15_000 }).toBeGreaterThan(0);
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 1);
    const since = performance.now();
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    // The guard of the exporter is 10 s.
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it('values that cannot be obeyed are reported, and the proxy works', async () => {
    const { bin } = await startRelayed({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
        OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      },
    });
    await bin.initialize({}, 0);
    bin.closeStdin();
    await bin.exit();
    expect(bin.stderr).toMatch(/OTEL_EXPORTER_OTLP_PROTOCOL must be http\/protobuf or http\/json, not/);
  });
});
