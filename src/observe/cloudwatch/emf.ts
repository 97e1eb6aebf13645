import type { Delta } from './deltas.ts';

/**
 * The deltas as lines in the Embedded Metric Format, one for each set of dimensions. Lambda, ECS
 * and the CloudWatch agent turn them into metrics. Pure. A line has fewer metrics than the 100 that
 * one document may have.
 * See "Specification: Embedded metric format" in the user guide of CloudWatch.
 */
export function emfLines(
  deltas: readonly Delta[],
  {
    namespace,
    dimensions,
    now,
  }: {
    readonly namespace: string;
    readonly dimensions: Readonly<Record<string, string>>;
    readonly now: number;
  },
): string[] {
  const groups = new Map<string, Delta[]>();
  for (const delta of deltas) {
    const key = JSON.stringify(delta.dimensions);
    const group = groups.get(key) ?? [];
    group.push(delta);
    groups.set(key, group);
  }
  return [...groups.values()].map((group) => {
    const all = { ...dimensions, ...group[0]?.dimensions };
    return `${JSON.stringify({
      _aws: {
        Timestamp: now,
        CloudWatchMetrics: [
          {
            Namespace: namespace,
            Dimensions: [Object.keys(all)],
            Metrics: group.map(({ name, unit }) => ({ Name: name, Unit: unit })),
          },
        ],
      },
      ...all,
      ...Object.fromEntries(group.map(({ name, value }) => [name, emfValue(value)])),
    })}\n`;
  });
}

const emfValue = (value: Delta['value']): unknown =>
  typeof value === 'number'
    ? value
    : {
        Values: value.values,
        Counts: value.counts,
        Min: value.values[0],
        Max: value.values.at(-1),
        Sum: value.sum,
        Count: value.count,
      };
