import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './catalog.ts';

const LOOP_RESOLUTION_MS = 20;

/** Reads CPU time, memory and the delay of the event loop. */
export class ProcessMetrics {
  readonly #loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });

  constructor() {
    this.#loop.enable();
  }

  collect(metrics: Metrics): void {
    const { user, system } = process.cpuUsage();
    metrics.cpu.of().value = (user + system) / 1_000_000;
    metrics.memory.of().value = process.memoryUsage.rss();
    metrics.heap.of().value = process.memoryUsage().heapUsed;
    // Each measured interval includes that of the timer.
    const delay = (nanoseconds: number): number =>
      Math.max(0, nanoseconds / 1e9 - LOOP_RESOLUTION_MS / 1_000);
    const measured = this.#loop.count > 0;
    metrics.loopDelay.of('mean').value = measured ? delay(this.#loop.mean) : 0;
    metrics.loopDelay.of('p99').value = measured ? delay(this.#loop.percentile(99)) : 0;
    metrics.loopDelay.of('max').value = measured ? delay(this.#loop.max) : 0;
    this.#loop.reset();
  }

  close(): void {
    this.#loop.disable();
  }
}
