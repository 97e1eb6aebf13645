import { expect, it } from 'vitest';
import { withMemberNames } from '../../src/config/member-names.ts';

const KEYS = new Set(['profile', 'auth', 'rateLimit', 'rateBurst', 'sse2024']);

it.each([
  [
    'Too many requests for --rate-limit 5 (--rate-burst 2).',
    'Too many requests for rateLimit 5 (rateBurst 2).',
  ],
  ['use --auth sigv4.', 'use auth sigv4.'],
  ['use --sse-2024', 'use sse2024'],
  ['--rate-limits and --other stay', '--rate-limits and --other stay'],
  [
    "Run 'aws configure --profile dev' or choose another profile with --profile",
    "Run 'aws configure --profile dev' or choose another profile with profile",
  ],
  [
    'Run aws sso login --profile dev; or pass --profile.',
    'Run aws sso login --profile dev; or pass profile.',
  ],
  [
    'Log in: npx mcp-sigv4-proxy login https://x/mcp --auth oauth --profile dev, or set --auth.',
    'Log in: npx mcp-sigv4-proxy login https://x/mcp --auth oauth --profile dev, or set auth.',
  ],
  ['without a flag', 'without a flag'],
])('for a program, the text %j becomes %j', (text, expected) => {
  expect(withMemberNames(text, KEYS)).toBe(expected);
});
