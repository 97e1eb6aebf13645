import { defineConfig } from 'vitest/config';
import shared from '../../vitest.config.ts';

/** End-to-end tests that take longest: attacks, faults, real waits and a short soak. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: ['test/long/**/*.test.ts'], exclude: [] },
});
