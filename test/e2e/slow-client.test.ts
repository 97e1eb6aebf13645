import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { BinDriver } from '../support/bin-driver.ts';
import { EventWriter } from '../support/mcp-answers.ts';
import { startInitialized } from '../support/relayed.ts';
import type { ScriptedServer } from '../support/scripted-server.ts';

const MEGABYTE = 1_000_000;
const MESSAGES = 70;

/** Messages that reach the server one after the other, so that pending data has time to move. */
async function roundTrips(server: ScriptedServer, bin: BinDriver, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const before = server.of('notifications/vendor').length;
    bin.notify('notifications/vendor');
    await server.until(() => server.of('notifications/vendor').length > before);
  }
}

describe('a client that does not read', () => {
  it('an unread stdout pauses the server instead of filling memory, and no message is lost', async () => {
    let written = 0;
    const { server, bin } = await startInitialized({
      on: {
        'tools/call': async (request, response) => {
          const events = new EventWriter(response);
          for (let n = 0; n < MESSAGES; n++) {
            const params = { n, text: 'x'.repeat(MEGABYTE) };
            const event = { jsonrpc: '2.0', method: 'notifications/big', params };
            const room = response.write(`data: ${JSON.stringify(event)}\n\n`);
            written++;
            if (!room) await once(response, 'drain');
          }
          events.send({ jsonrpc: '2.0', id: request.rpc.id, result: {} });
          events.end();
        },
      },
    });
    bin.child.stdout.pause();
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
    let seen = -1;
    while (seen !== written) {
      seen = written;
      await roundTrips(server, bin, 20);
    }
    // No more than the sockets, the pipe and their buffers hold.
    expect(written).toBeLessThan(50);
    bin.child.stdout.resume();
    await bin.answer(0);
    const numbers = bin.messages
      .filter(({ method }) => method === 'notifications/big')
      .map(({ params }) => (params as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: MESSAGES }, (_, n) => n));
  });

  it('an unread stdout does not prevent further requests from being sent', async () => {
    const { server, bin } = await startInitialized();
    bin.child.stdout.pause();
    for (const id of [0, '', -1]) {
      bin.send({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name: 'big', arguments: { bytes: 3e6 } },
      });
    }
    await server.until((requests) => requests.filter(({ rpc }) => rpc.method === 'tools/call').length === 3);
    bin.child.stdout.resume();
    for (const id of [0, '', -1]) expect(JSON.stringify(await bin.answer(id)).length).toBeGreaterThan(3e6);
  });
});

describe('a notification longer than --max-line', () => {
  it('a notification longer than --max-line is left out, and the next messages pass', async () => {
    const { mcp, bin } = await startInitialized({ args: ['--max-line', '65536'] });
    const note = (text: string) => ({ jsonrpc: '2.0', method: 'notifications/vendor', params: { text } });
    mcp.broadcast(note('x'.repeat(70_000)));
    mcp.broadcast(note('short'));
    await bin.next(({ method }) => method === 'notifications/vendor');
    expect(bin.messages.slice(1)).toEqual([note('short')]);
  });
});
