import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startListener } from '../support/listening.ts';
import {
  connectClientV1,
  connectClientV2,
  type RealClient,
  startClientV1,
  startClientV2,
} from '../support/sdk-clients.ts';
import { signingVerify } from '../support/signing.ts';
import { type Eras, startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const SESSION = '2025-11-25';
const STATELESS = '2026-07-28';

const PINNED = { pin: STATELESS } as const;

/** The SDK's clients, each set to one era, by the front end that they use. */
const FRONTS = {
  stdio: {
    session: (endpoint: string) => startClientV1(endpoint),
    stateless: (endpoint: string) => startClientV2(endpoint, [], {}, PINNED),
    both: (endpoint: string) => startClientV2(endpoint, [], {}, 'auto'),
  },
  listener: {
    session: async (endpoint: string) => connectClientV1((await startListener(endpoint)).url),
    stateless: async (endpoint: string) => connectClientV2((await startListener(endpoint)).url, PINNED),
    both: async (endpoint: string) => connectClientV2((await startListener(endpoint)).url, 'auto'),
  },
} as const satisfies Record<string, Record<Eras, (endpoint: string) => Promise<RealClient>>>;

const NAMES: Readonly<Record<Eras, string>> = {
  session: 'sessions only (to 2025-11-25)',
  stateless: '2026-07-28 only',
  both: 'both',
};

interface Cell {
  readonly client: Eras;
  readonly server: Eras;
  /** The revision that is negotiated, or the error that the client's user gets. */
  readonly speaks: typeof SESSION | typeof STATELESS | RegExp;
  /** The outcome in the words of the document. */
  readonly happens: string;
}

const CELLS: readonly Cell[] = [
  { client: 'session', server: 'session', speaks: SESSION, happens: 'works, in a session' },
  {
    client: 'session',
    server: 'stateless',
    speaks: /Unsupported protocol version/,
    happens: "fails at once: the server's error to `initialize` (-32022) lists its revisions",
  },
  { client: 'session', server: 'both', speaks: SESSION, happens: 'works, in a session' },
  {
    client: 'stateless',
    server: 'session',
    speaks: /did not offer pinned protocol version/,
    happens: "fails at once: the server's error to `server/discover`",
  },
  { client: 'stateless', server: 'stateless', speaks: STATELESS, happens: 'works, without a session' },
  { client: 'stateless', server: 'both', speaks: STATELESS, happens: 'works, without a session' },
  {
    client: 'both',
    server: 'session',
    speaks: SESSION,
    happens: "works, in a session; the client opens it after the server's error to `server/discover`",
  },
  { client: 'both', server: 'stateless', speaks: STATELESS, happens: 'works, without a session' },
  { client: 'both', server: 'both', speaks: STATELESS, happens: 'works, without a session' },
];

describe.each(['stdio', 'listener'] as const)('an SDK client through the %s', (front) => {
  it.each(CELLS.map((cell) => [NAMES[cell.client], NAMES[cell.server], cell.happens, cell] as const))(
    'an SDK client of %s with a server of %s: %s',
    async (_client, _server, _happens, cell) => {
      const server = await startSuiteServer(cell.server);
      const gate = await VerifyingProxy.start(server.url, signingVerify);
      const connected = FRONTS[front][cell.client](gate.url);
      if (cell.speaks instanceof RegExp) {
        await expect(connected).rejects.toThrow(cell.speaks);
      } else {
        const client = await connected;
        expect(client.revision()).toBe(cell.speaks);
        expect(await client.toolNames()).toContain('test_simple_text');
        expect(await client.call('test_simple_text')).toBe('Nothing but text.');
        await client.close();
      }
      expect(gate.refused).toEqual([]);
      // The listener's clients own their sessions, and the SDK's clients delete none by default.
      const deleted = gate.requests.filter(({ method }) => method === 'DELETE');
      expect(deleted).toHaveLength(front === 'stdio' && cell.speaks === SESSION ? 1 : 0);
    },
  );
});

it('clients of both eras work through one listener at the same time', async () => {
  const server = await startSuiteServer('both');
  const gate = await VerifyingProxy.start(server.url, signingVerify);
  const { url } = await startListener(gate.url);
  const clients = await Promise.all([
    connectClientV1(url),
    connectClientV2(url, 'legacy'),
    connectClientV2(url, PINNED),
    connectClientV2(url, 'auto'),
  ]);
  expect(clients.map((client) => client.revision())).toEqual([SESSION, SESSION, STATELESS, STATELESS]);
  const names = await Promise.all(clients.map((client) => client.toolNames()));
  expect(new Set(names.map(String)).size).toBe(1);
  const regions = await Promise.all(
    clients.map((client, nth) => client.call('test_mirrored_argument', { region: `r${nth}` })),
  );
  expect(regions).toEqual(['r0', 'r1', 'r2', 'r3']);
});

it('the tables in docs/eras.md match the tested outcomes', () => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/eras.md'), 'utf8');
  for (const { client, server, happens } of CELLS)
    expect(document).toContain(`| ${NAMES[client]} | ${NAMES[server]} | ${happens} |`);
});
