import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compare, passing, type Verdict } from './compare.ts';
import { EXCEPTIONS, labelsOf } from './exceptions.ts';
import { type Findings, type Revision, tryClient, tryServer } from './suite.ts';
import { document, type Row } from './table.ts';
import { open, WAYS, type Way } from './ways.ts';

/** Extensions that the SDK's server does not have in this revision: nothing to compare but the shape of its errors. */
const NOT_SERVED = /^tasks-/;

/** The suite's scenarios for a client; its `auth/` scenarios try OAuth, in whose place the proxy signs. */
const CLIENT_SCENARIOS: Readonly<Record<Revision, readonly string[]>> = {
  '2025-11-25': [
    'initialize',
    'tools_call',
    'elicitation-sep1034-client-defaults',
    'sse-retry',
    'json-schema-2020-12-preservation',
  ],
  '2026-07-28': [
    'tools_call',
    'request-metadata',
    'sep-2322-client-request-state',
    'http-standard-headers',
    'http-custom-headers',
    'http-invalid-tool-headers',
    'json-schema-ref-no-deref',
    'json-schema-2020-12-preservation',
  ],
};

const REVISIONS: readonly Revision[] = ['2025-11-25', '2026-07-28'];

const rows = new Map<string, Row>();

function record(row: Omit<Row, 'direct' | 'through'>, way: Way, verdict: Verdict): void {
  const key = `${row.side} ${row.revision} ${row.scenario}`;
  const known = rows.get(key) ?? { ...row, direct: verdict.direct, through: {} };
  rows.set(key, { ...known, through: { ...known.through, [way]: verdict } });
}

/** The checks that may be lost, as `scenario: check`. */
const excused = (way: Way, revision: Revision): string[] =>
  EXCEPTIONS.filter((entry) => entry.way === way && entry.revision === revision).flatMap((entry) =>
    labelsOf(entry).map((label) => `${entry.scenario}: ${label}`),
  );

/** Tries a server at the end of that road, and sees that the road was in order. */
async function found(way: Way | 'direct', revision: Revision, scenario?: string): Promise<Findings> {
  const road = await open(way);
  const findings = await tryServer(road.url, revision, scenario);
  expect(await road.close()).toEqual([]);
  return findings;
}

describe.each(REVISIONS)('a server of revision %s', (revision) => {
  let direct: Findings;

  beforeAll(async () => {
    const all = await found('direct', revision);
    direct = new Map([...all].filter(([scenario]) => !NOT_SERVED.test(scenario)));
  });

  it('a server of the suite passes all that the suite requires of it', () => {
    const failed = [...direct].flatMap(([scenario, checks]) =>
      checks.filter(({ status }) => status === 'FAILURE').map(({ name }) => `${scenario}: ${name}`),
    );
    expect(failed).toEqual([]);
    expect(direct.size).toBeGreaterThan(30);
  });

  it.each(WAYS)('a server of the suite passes the same through the proxy, by %s', async (way) => {
    const through = await found(way, revision);
    const lost: string[] = [];
    for (const [scenario, checks] of direct) {
      const losses = ({ lost }: Verdict): string[] => lost.map((check) => `${scenario}: ${check}`);
      let verdict = compare(checks, through.get(scenario) ?? []);
      // The suite's own clocks are short: what is lost is tried once more, with nothing else going on.
      if (losses(verdict).some((loss) => !excused(way, revision).includes(loss)))
        verdict = compare(checks, (await found(way, revision, scenario)).get(scenario) ?? []);
      lost.push(...losses(verdict));
      record({ side: 'A server', revision, scenario }, way, verdict);
    }
    expect(lost.sort()).toEqual(excused(way, revision).sort());
  });
});

const clients = REVISIONS.flatMap((revision) =>
  CLIENT_SCENARIOS[revision].flatMap((scenario) =>
    // The first generation ends at revision 2025-11-25.
    (revision === '2025-11-25' ? (['v1', 'v2'] as const) : (['v2'] as const)).map(
      (generation) => [generation, revision, scenario] as const,
    ),
  ),
);

describe.concurrent("the SDK's client", () => {
  it.each(clients)(
    "the SDK's client in %s, revision %s, passes as much through the proxy: %s",
    async (generation, revision, scenario) => {
      const direct = await tryClient(generation, 'direct', revision, scenario);
      expect(direct.filter(({ status }) => status === 'FAILURE')).toEqual([]);
      expect(passing(direct)).not.toEqual([]);
      for (const way of WAYS) {
        let verdict = compare(direct, await tryClient(generation, way, revision, scenario));
        if (verdict.lost.length > 0)
          verdict = compare(direct, await tryClient(generation, way, revision, scenario));
        record({ side: `The SDK's client ${generation}`, revision, scenario }, way, verdict);
        expect(verdict.lost, way).toEqual([]);
      }
    },
  );
});

it('the documents state the conformance that was found (npm run conformance writes it)', async () => {
  const manifest = await readFile(join(import.meta.dirname, 'package.json'), 'utf8');
  const version: string = JSON.parse(manifest).devDependencies['@modelcontextprotocol/conformance'];
  await expect(document([...rows.values()], version)).toMatchFileSnapshot('../../docs/conformance.md');
});
