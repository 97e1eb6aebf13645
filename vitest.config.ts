import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/peers/**', 'test/conformance/**', 'test/memory/**', 'test/debian/**', 'test/long/**'],
    globalSetup: ['test/support/build-once.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most tests wait for a process or a server: a third worker uses the time, a fourth starves spawned processes.
    maxWorkers: 3,
    // What is polled for comes when it comes: a second, vitest's own limit, is short for a machine that does other work.
    expect: { poll: { timeout: 20_000, interval: 10 } },
    coverage: { include: ['src/**'], reporter: ['text-summary', 'html'] },
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
