import { Histogram, OPERATION_BOUNDS } from './families.ts';
import type { Measured } from './measured.ts';

export const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/** The calls of one tool. Times are in seconds. */
export interface ToolSnapshot {
  /** Its name, or `other`. */
  readonly tool: string;
  /** Calls so far. */
  readonly calls: number;
  /** Errors, and results that say `isError`. */
  readonly errors: number;
  /** Half of the calls were faster. */
  readonly p50: number;
  /** 95 % of the calls were faster. */
  readonly p95: number;
}

/** The tools that were called, most calls first. */
export function toolSnapshots({ metrics }: Measured): ToolSnapshot[] {
  const merged = new Map<string, { durations: Histogram; calls: number; errors: number }>();
  const of = (tool: string) => {
    let found = merged.get(tool);
    if (!found) {
      found = { durations: new Histogram(OPERATION_BOUNDS), calls: 0, errors: 0 };
      merged.set(tool, found);
    }
    return found;
  };
  for (const { values, child } of metrics.clientOperation.series) {
    const [, , tool = ''] = values;
    if (tool !== '') of(tool).durations.addAll(child);
  }
  for (const { values, child } of metrics.calls.series) {
    const [, , tool = '', outcome] = values;
    if (tool === '') continue;
    const found = of(tool);
    found.calls += child.value;
    if (outcome === 'error' || outcome === 'tool_error') found.errors += child.value;
  }
  return [...merged]
    .map(([tool, { durations, calls, errors }]) => ({
      tool,
      calls,
      errors,
      p50: rounded(durations.quantile(0.5), 4),
      p95: rounded(durations.quantile(0.95), 4),
    }))
    .sort((one, other) => other.calls - one.calls || (one.tool < other.tool ? -1 : 1));
}
