// @ts-expect-error the file has no declarations
import symbols from 'undici/lib/core/symbols.js';
import { expect, it } from 'vitest';
import { freeWritten, HttpClient } from '../../../src/upstream/http/undici.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

it('a written request keeps neither its body nor its headers while it waits for its response', async () => {
  const bodies: string[] = [];
  let answer = (): void => undefined;
  const server = await ScriptedServer.start((request, response) => {
    bodies.push(request.body.toString());
    answer = () => void response.end('answered');
  });
  const client = new HttpClient(server.origin, { pipelining: 1 });
  afterThisTest(() => client.destroy());
  const fields = client as unknown as Record<symbol, unknown>;
  const waiting = () => {
    const requests = fields[symbols.kQueue] as { body: unknown; headers: string[] }[];
    return requests[fields[symbols.kRunningIdx] as number];
  };
  const response = new Promise<string>((resolve, reject) => {
    let text = '';
    client.dispatch(
      { method: 'POST', path: '/', headers: { 'x-own': 'yes' }, body: Buffer.from('sent') },
      {
        onRequestStart: () => queueMicrotask(() => freeWritten(client)),
        onResponseStart: () => undefined,
        onResponseData: (_controller, chunk) => {
          text += chunk;
        },
        onResponseEnd: () => resolve(text),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
  expect(waiting()).toMatchObject({ headers: ['x-own', 'yes'] });
  await expect.poll(() => bodies).toEqual(['sent']);
  expect(waiting()).toMatchObject({ body: null, headers: [] });
  answer();
  expect(await response).toBe('answered');
});
