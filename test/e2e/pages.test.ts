import { describe, expect, it } from 'vitest';
import { openSession, startListening } from '../support/listening.ts';
import { type RelayedOptions, startInitialized } from '../support/relayed.ts';

const STATELESS = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
const LISTS = [
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resourceTemplates'],
] as const;

/** Three pages, of which the second is empty. Numbers that JSON.parse would change show whether the text is kept. */
const paged = (method: string, key: string): NonNullable<RelayedOptions['on']> => ({
  [method]: (_request, response, { id, params }) => {
    const pages: Record<string, string> = {
      first: `{"${key}":[{"name":"a","n":1.0}, {"name":"b"}],"nextCursor":"two","ttlMs":5000,"_meta":{"x":1e400}}`,
      two: `{"${key}":[ ],"nextCursor":"","ttlMs":3000}`,
      '': `{"ttlMs":4000,"cacheScope":"private","${key}":[{"name":"c","n":12345678901234567890}]}`,
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${pages[String(params.cursor ?? 'first')]}}`,
    );
  },
});
const WHOLE = (key: string): string =>
  `{"cacheScope":"private","${key}":[{"name":"a","n":1.0}, {"name":"b"},{"name":"c","n":12345678901234567890}],"ttlMs":3000,"_meta":{"x":1e400}}`;

describe('a list in pages', () => {
  it.each(LISTS)(
    'a list in pages is returned whole on stdio, in both eras, and with a cursor page by page: %s',
    async (method, key) => {
      const { bin, server } = await startInitialized({ on: paged(method, key) });
      for (const [id, params] of [
        [0, undefined],
        ['', { _meta: STATELESS }],
      ] as const) {
        const before = server.of(method).length;
        await bin.request(method, params, id);
        expect(bin.lines.at(-1)).toBe(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${WHOLE(key)}}`);
        expect(
          server
            .of(method)
            .slice(before)
            .map(({ rpc }) => rpc.params?.cursor),
        ).toEqual([undefined, 'two', '']);
      }
      expect(await bin.request(method, { cursor: 'two' }, -1)).toMatchObject({
        result: { [key]: [], nextCursor: '' },
      });
      expect(bin.stderr).toBe('');
    },
  );

  it('a list in pages passes page by page with --pages pass', async () => {
    const { bin, server } = await startInitialized({
      args: ['--pages', 'pass'],
      on: paged('tools/list', 'tools'),
    });
    expect(await bin.request('tools/list', {}, 0)).toMatchObject({ result: { nextCursor: 'two' } });
    expect(server.of('tools/list')).toHaveLength(1);
  });

  it('a list in pages passes page by page at the listener, and whole with --pages merge', async () => {
    for (const how of ['pass', 'merge']) {
      const args = how === 'merge' ? ['--pages', how] : [];
      const { ask } = await startListening({ args, session: { on: paged('prompts/list', 'prompts') } });
      const headers = await openSession(ask, 'open');
      const { json } = await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'prompts/list' } });
      const { result } = json as { result: { prompts: unknown[]; nextCursor?: string } };
      expect([result.prompts.length, result.nextCursor]).toEqual(
        how === 'merge' ? [3, undefined] : [2, 'two'],
      );
    }
  });

  it('a list in pages whose cursor repeats is returned once', async () => {
    const { bin, server } = await startInitialized({
      args: ['--log-level', 'warn'],
      on: {
        'tools/list': (_request, _response, { result }) =>
          result({ tools: [{ name: 'a' }], nextCursor: 'same' }),
      },
    });
    const { result } = (await bin.request('tools/list', {}, 0)) as { result: unknown };
    expect(result).toEqual({ tools: [{ name: 'a' }] });
    expect(server.of('tools/list')).toHaveLength(2);
    await bin.stderrMatching(/list\.cut/);
  });

  it('a list in pages whose later page fails is an error under the id of the request, not a partial list', async () => {
    const { bin } = await startInitialized({
      args: ['--retries', '0'],
      on: {
        'resources/list': (_request, _response, { params, result, error }) =>
          params.cursor ? error(-32_602, 'Invalid cursor') : result({ resources: [], nextCursor: 'x' }),
      },
    });
    expect(await bin.request('resources/list', {}, -1)).toMatchObject({
      error: { message: 'Invalid cursor' },
    });
  });

  it.each([0, '', -1])(
    'a list in pages that is cancelled during a later page cancels that page: %j',
    async (id) => {
      const { bin, server } = await startInitialized({
        on: {
          'tools/list': (_request, _response, { params, result }) => {
            if (params.cursor === undefined) result({ tools: [], nextCursor: 'x' });
          },
        },
      });
      bin.send({ jsonrpc: '2.0', id, method: 'tools/list' });
      await server.until(() => server.of('tools/list').length === 2);
      bin.notify('notifications/cancelled', { requestId: id });
      const page = server.of('tools/list')[1]?.rpc.id;
      expect(page).not.toBe(id);
      await server.until(() =>
        server.of('notifications/cancelled').some(({ rpc }) => rpc.params?.requestId === page),
      );
      expect(bin.messages.filter((message) => message.id === id)).toEqual([]);
    },
  );

  it('a list in pages is merged for each profile separately', async () => {
    const { bin, server } = await startInitialized({
      args: ['--profile', 'one', '--profile', 'two'],
      env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
      verify: false,
      files: {
        '.aws/credentials': ['one', 'two']
          .map(
            (name) => `[${name}]\naws_access_key_id = AKID${name.toUpperCase()}\naws_secret_access_key = s\n`,
          )
          .join(''),
      },
      on: paged('tools/list', 'tools'),
    });
    const { result } = (await bin.request('tools/list', {}, 0)) as { result: { tools: { name: string }[] } };
    expect(result.tools.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(result).not.toHaveProperty('nextCursor');
    const signers = server
      .of('tools/list')
      .map(({ headers }) => /Credential=(\w+)/.exec(String(headers.authorization))?.[1]);
    expect(signers).toEqual(['AKIDONE', 'AKIDONE', 'AKIDONE']);
  });

  it('a list in pages that exceeds the line of a client is cut at a page, with the next cursor', async () => {
    const long = 'x'.repeat(20_000);
    const { bin } = await startInitialized({
      args: ['--max-line', '65536'],
      on: {
        'tools/list': (_request, _response, { params, result }) => {
          const at = Number(params.cursor ?? 0);
          result({ tools: [{ name: `t${at}`, description: long }], nextCursor: String(at + 1) });
        },
      },
    });
    const { result } = (await bin.request('tools/list', {}, 0)) as {
      result: { tools: unknown[]; nextCursor: string };
    };
    expect([result.tools.length, result.nextCursor]).toEqual([1, '1']);
    expect(await bin.request('tools/list', { cursor: '1' }, 1)).toMatchObject({
      result: { nextCursor: '2' },
    });
  });

  it('a list in pages is filtered whole, and returned whole from the cache', async () => {
    const { bin, server } = await startInitialized({
      args: ['--deny-tool', 'b', '--tool-cache-ttl', '60'],
      on: paged('tools/list', 'tools'),
    });
    for (const id of [0, '']) {
      const { result } = (await bin.request('tools/list', {}, id)) as {
        result: { tools: { name: string }[] };
      };
      expect(result.tools.map(({ name }) => name)).toEqual(['a', 'c']);
    }
    expect(server.of('tools/list')).toHaveLength(3);
  });
});
