import { describe, expect, it } from 'vitest';
import { readOption } from '../../../src/config/option.ts';
import { retryOptions, retryProblems } from '../../../src/layers/retry/retry.ts';

describe('the options of retrying', () => {
  it.each([
    ['retries', '0', { value: 0 }],
    ['retries', '10', { value: 10 }],
    ['retries', '11', { problem: 'must be an integer from 0 to 10' }],
    ['retries', '-1', { problem: 'must be an integer from 0 to 10' }],
    ['retryBaseDelay', '0', { value: 0 }],
    ['retryBaseDelay', '-0.1', { problem: 'must be a number of seconds >= 0' }],
    ['retryMaxDelay', '-1', { problem: 'must be a number of seconds >= 0' }],
  ] as const)('the retry option %s=%s becomes %o', (key, raw, read) => {
    expect(readOption(retryOptions[key], [raw], 'flag')).toEqual(read);
  });

  it.each([
    [0.1, 2, {}, []],
    [2, 2, {}, []],
    [0, 0, {}, []],
    [
      5,
      2,
      { retryBaseDelay: '--retry-base-delay' },
      ['--retry-base-delay must be a number <= --retry-max-delay (2), not "5"'],
    ],
    [
      0.1,
      0,
      { retryMaxDelay: 'MCP_PROXY_RETRY_MAX_DELAY' },
      ['MCP_PROXY_RETRY_MAX_DELAY must be a number >= --retry-base-delay (0.1), not "0"'],
    ],
    [
      3,
      1,
      { retryBaseDelay: 'MCP_PROXY_RETRY_BASE_DELAY', retryMaxDelay: '--retry-max-delay' },
      ['--retry-max-delay must be a number >= MCP_PROXY_RETRY_BASE_DELAY (3), not "1"'],
    ],
  ])(
    'the delays base %s and max %s are checked together',
    (retryBaseDelay, retryMaxDelay, from, problems) => {
      expect(retryProblems({ retryBaseDelay, retryMaxDelay }, from)).toEqual(problems);
    },
  );
});
