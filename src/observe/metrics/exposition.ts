import { type Counter, type Family, type Gauge, Histogram } from './families.ts';

export type AnyFamily = Family<Counter> | Family<Gauge> | Family<Histogram>;
/** The text format of version 0.0.4, or OpenMetrics 1.0.0. */
export type ExpositionFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** The format that an Accept header prefers. Pure. */
export const formatOf = (accept: string | undefined): ExpositionFormat =>
  accept?.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus';

/** Writes metrics as text. */
export function exposition(families: readonly AnyFamily[], format: ExpositionFormat): string {
  const parts: string[] = [];
  for (const family of families) {
    const { name, type, help } = family;
    const named = format === 'openmetrics' && type === 'counter' ? name.replace(/_total$/, '') : name;
    const helpText = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    parts.push(`# HELP ${named} ${helpText}\n# TYPE ${named} ${type}\n`);
    for (const { labels, child } of family.series) {
      if (child instanceof Histogram) writeHistogram(parts, name, labels, child, format);
      else parts.push(`${name}${labels === '' ? '' : `{${labels}}`} ${child.value}\n`);
    }
  }
  if (format === 'openmetrics') parts.push('# EOF\n');
  return parts.join('');
}

function writeHistogram(
  parts: string[],
  name: string,
  labels: string,
  { bounds, counts, sum, count }: Histogram,
  format: ExpositionFormat,
): void {
  const before = `${name}_bucket{${labels}${labels === '' ? '' : ','}le="`;
  const bucketLabels = format === 'openmetrics' ? floatsOf(bounds) : bounds;
  let total = 0;
  for (let at = 0; at < bounds.length; at++) {
    total += counts[at] ?? 0;
    parts.push(`${before}${bucketLabels[at]}"} ${total}\n`);
  }
  const braced = labels === '' ? '' : `{${labels}}`;
  parts.push(`${before}+Inf"} ${count}\n${name}_sum${braced} ${sum}\n${name}_count${braced} ${count}\n`);
}

const floats = new Map<readonly number[], readonly string[]>();

/** OpenMetrics writes bounds as floats. */
function floatsOf(bounds: readonly number[]): readonly string[] {
  let texts = floats.get(bounds);
  if (!texts) {
    texts = bounds.map((bound) => (Number.isInteger(bound) ? `${bound}.0` : String(bound)));
    floats.set(bounds, texts);
  }
  return texts;
}
