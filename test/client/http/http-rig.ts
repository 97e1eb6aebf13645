import type { HttpHandlers } from '../../../src/client/http/route.ts';
import { HttpListener } from '../../../src/client/http/server.ts';
import { Tokens } from '../../../src/client/http/tokens.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const LIMITS = {
  maxClients: 8,
  maxStreams: 8,
  maxBodyBytes: 1_024,
  maxHeaderBytes: 8_192,
  path: '/mcp',
  drainDelayMs: 0,
};

/** A listener on a free port of loopback, whose requests these handlers answer. */
export async function frontFor(handlers: Partial<HttpHandlers>, limits: Partial<typeof LIMITS> = {}) {
  const clock = new FakeClock();
  const refused: number[] = [];
  const tokens = new Tokens({
    fixed: [],
    file: undefined,
    clock,
    onTokens: () => undefined,
    onUnusable: () => undefined,
  });
  const front = await HttpListener.open({
    address: { host: '127.0.0.1', port: 0 },
    tokens,
    maxClientsPerAddress: undefined,
    allowedHosts: [],
    allowedOrigins: [],
    forwardedHeaders: new Set(),
    ...LIMITS,
    ...limits,
    clock,
    handlers: { post: async () => undefined, forward: async () => undefined, ...handlers },
    unreadyReason: async () => undefined,
    onRefused: ({ status }) => refused.push(status),
    onDisconnected: () => undefined,
    onSessionEnded: () => undefined,
  });
  afterThisTest(async () => {
    const closed = front.close();
    await clock.advance(5_000);
    await closed;
  });
  return { front, clock, refused, url: front.url };
}
