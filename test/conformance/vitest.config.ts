import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/conformance/**/*.test.ts'],
    exclude: ['test/conformance/node_modules/**'],
    globalSetup: ['test/support/build-once.ts'],
    // They drive programs of others, heavy ones, on machines that do other work too: what fails must fail twice.
    retry: 1,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Each runs three processes.
    maxConcurrency: 2,
  },
});
