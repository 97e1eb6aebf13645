import { expect, it } from 'vitest';
import { limitsProblems } from '../../src/limits/options.ts';

const NOTHING = { limits: undefined, rateLimit: undefined, maxConcurrent: undefined, identityMap: undefined };
const REDIS = 'redis://127.0.0.1:6379';
const MISSING = 'needs a limit: set --rate-limit, --max-concurrent or both';

it.each([
  ['no option of limits', NOTHING, {}, []],
  ['--limits alone', { limits: REDIS }, {}, [`--limits ${MISSING}`]],
  [
    'MCP_PROXY_LIMITS alone',
    { limits: REDIS },
    { limits: 'MCP_PROXY_LIMITS' },
    [`MCP_PROXY_LIMITS ${MISSING}`],
  ],
  ['--limit-key alone', {}, { limitKey: '--limit-key' }, [`--limit-key ${MISSING}`]],
  ['--limits with --rate-limit', { limits: REDIS, rateLimit: 1 }, {}, []],
  ['--limits with --max-concurrent', { limits: REDIS, maxConcurrent: 1 }, { limitKey: '--limit-key' }, []],
  [
    '--limits with --identity-map, whose rules may have limits',
    { limits: REDIS, identityMap: 'map.json' },
    {},
    [],
  ],
  [
    '--limit-key with --identity-map',
    { limits: REDIS, identityMap: 'map.json' },
    { limitKey: '--limit-key' },
    [`--limit-key ${MISSING}`],
  ],
])('the problems of %s are found', (_what, given, from, problems) => {
  expect(limitsProblems({ ...NOTHING, ...given }, from)).toEqual(problems);
});
