import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Connection } from '../../../src/upstream/http/connection.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { directly, holdingServer } from './connection-rig.ts';

const ignore = (): void => undefined;

async function postTo() {
  const { server, arrived, answer } = await holdingServer();
  const connection = new Connection({
    origin: server.origin,
    connect: directly,
    keepAliveTimeoutMs: 30_000,
    onOpen: ignore,
    onClose: ignore,
  });
  afterThisTest(() => connection.destroy());
  const post = (body: Buffer) =>
    connection.send({ method: 'POST', path: '/', headers: { host: 'test' }, body }, ignore);
  return { server, post, arrived: () => arrived('/'), answer: () => answer('/') };
}

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // A WeakRef keeps its object until the turn in which it was made is over.
  await turn();
  collect();
}

describe('the body of a request', () => {
  it('a long body is freed once it is written, while the answer is awaited', async () => {
    const { post, arrived, answer } = await postTo();
    const send = () => {
      const body = Buffer.from('x'.repeat(10_000));
      return { memory: new WeakRef(body.buffer), response: post(body) };
    };
    const { memory, response } = send();
    await arrived();
    await collectGarbage();
    expect(memory.deref()).toBeUndefined();
    await answer();
    expect((await response).status).toBe(200);
  });

  it.each([
    ['short', 'x'],
    ['just short', 'x'.repeat(2_047)],
    ['long', 'x'.repeat(2_048)],
    ['longer than one write', 'é'.repeat(1_000_000)],
  ])('a %s body arrives whole, with its length', async (_what, text) => {
    const { server, post, answer } = await postTo();
    const response = post(Buffer.from(text));
    await answer();
    expect((await response).status).toBe(200);
    const [{ headers, text: got } = { headers: undefined, text: '' }] = server.requests;
    expect(headers?.['content-length']).toBe(String(Buffer.byteLength(text)));
    expect(headers?.['transfer-encoding']).toBeUndefined();
    expect(got === text).toBe(true);
  });

  it('a body that is a part of other memory is sent without the rest', async () => {
    const { server, post, answer } = await postTo();
    const memory = Buffer.from(`${'a'.repeat(5_000)}${'b'.repeat(5_000)}${'c'.repeat(5_000)}`);
    const response = post(memory.subarray(5_000, 10_000));
    await answer();
    await response;
    expect(server.requests.map(({ text }) => text)).toEqual(['b'.repeat(5_000)]);
  });
});
