import { defineConfig } from 'vitest/config';

/** Not part of `npm test`: the attacks take a minute, and measure best on a machine that is idle. */
export default defineConfig({
  test: {
    include: ['test/memory/*.test.ts'],
    globalSetup: ['test/support/build-once.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
