/** @param {number} part - 0.5 for the median. */
export function percentile(values, part = 0.5) {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)];
  const above = sorted[Math.ceil(at)];
  return below + (above - below) * (at - Math.floor(at));
}

export const median = (values) => percentile(values, 0.5);
