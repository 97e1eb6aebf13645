import { defineConfig } from 'vitest/config';

/** Tests with programs of Debian packages. */
export default defineConfig({
  test: {
    include: ['test/debian/**/*.test.ts'],
    globalSetup: ['test/support/build-once.ts'],
    // They drive heavy programs of others, on machines that do other work too: what fails must fail twice.
    retry: 1,
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 60_000, interval: 200 } },
  },
});
