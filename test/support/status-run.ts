import { BinDriver } from './bin-driver.ts';
import { signingArgs, signingEnv } from './signing.ts';

/** A port of its own for STS, where nothing listens: the account is then read from nowhere. */
export const NO_STS = { AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:9' };

/** The bin with `--status` on a free port. */
export async function startWithStatus(
  url: string,
  { args = [], env = {} }: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
) {
  const proxy = BinDriver.start({
    args: [url, ...signingArgs, '--status', '127.0.0.1:0', '--log-level', 'info', ...args],
    env: { ...signingEnv, ...NO_STS, ...env },
  });
  await proxy.stderrMatching(/status\.opened/);
  const [, status = ''] = /"url":"([^"]+)","msg":"status\.opened"/.exec(proxy.stderr) ?? [];
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(new URL(path, status), { headers });
  const metrics = async (): Promise<Map<string, number>> => readSeries(await (await get('/metrics')).text());
  return { proxy, status, get, metrics };
}

/** The series of a scrape by name with labels. */
export const readSeries = (text: string): Map<string, number> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))] as const;
      }),
  );

/** The sum of the series of a metric with these labels. */
export function total(
  series: ReadonlyMap<string, number>,
  name: string,
  ...labels: readonly string[]
): number {
  let sum = 0;
  for (const [key, value] of series) {
    const [own] = key.split('{', 1);
    if (own === name && labels.every((label) => key.includes(label))) sum += value;
  }
  return sum;
}
