import { describe, expect, it } from 'vitest';
import { workerCount, workersProblems } from '../../src/workers/options.ts';

const limits = { maxConnections: 5, maxClients: 1_024, maxClientsPerAddress: undefined, maxStreams: 512 };
const values = {
  ...limits,
  workers: '4',
  listen: '127.0.0.1:0' as string | undefined,
  stdio: false,
};

describe('the number of workers', () => {
  it.each([
    ['3', {}, 8, 3],
    ['auto', { maxConnections: 100 }, 8, 8],
    ['auto', {}, 8, 5],
    ['auto', { maxConnections: 100, maxClientsPerAddress: 2 }, 8, 2],
    ['auto', { maxConnections: 1_000 }, 1, 1],
    ['auto', { maxConnections: 1_000 }, 500, 128],
  ])('the number of workers of %s with %j on %i processors is %i', (workers, own, processors, count) => {
    expect(workerCount(workers, { ...limits, ...own }, processors)).toBe(count);
  });
});

describe('the problems of --workers', () => {
  it.each<readonly [name: string, own: object, problems: readonly string[]]>([
    ['no --workers', { workers: undefined, listen: undefined }, []],
    ['each limit that has parts', {}, []],
    ['no listener', { listen: undefined }, ['--workers needs --listen']],
    [
      'stdio',
      { stdio: true },
      [
        '--workers excludes --stdio: one client on stdio cannot be divided among processes. Remove one of the two',
      ],
    ],
    [
      'fewer connections than workers',
      { maxConnections: 3 },
      [
        '--workers 4 is more than MCP_PROXY_MAX_CONNECTIONS 3, and each worker needs at least 1 of it: raise --max-connections or set fewer workers',
      ],
    ],
    ['fewer connections than processors with auto', { workers: 'auto', maxConnections: 1 }, []],
  ])('the problems of --workers with %s', (_name, own, problems) => {
    const from = { maxConnections: 'MCP_PROXY_MAX_CONNECTIONS' };
    expect(workersProblems({ ...values, ...own }, from)).toEqual(problems);
  });
});
