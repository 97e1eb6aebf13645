import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/peers/**', 'test/conformance/**'],
    globalSetup: ['test/support/build-once.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Spawned processes share two cores with the tests: more workers only make each wait longer.
    maxWorkers: 2,
    // What is polled for comes when it comes: a second, vitest's own limit, is short for a machine that does other work.
    expect: { poll: { timeout: 20_000, interval: 10 } },
    coverage: { include: ['src/**'], reporter: ['text-summary', 'html'] },
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
