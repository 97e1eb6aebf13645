import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/peers/**/*.test.ts'],
    exclude: ['test/peers/node_modules/**'],
    globalSetup: ['test/support/build-once.ts'],
    // They drive programs of others, heavy ones, on machines that do other work too: what fails must fail twice.
    retry: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
