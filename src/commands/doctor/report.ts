import { plainText } from '../../core/system/plain-text.ts';
import { VERSION } from '../../version.ts';
import type { Output } from '../output.ts';
import type { Finding, FindingVerdict } from './finding.ts';

const VERDICT_COLUMNS = 'skipped'.length;
const CHECK_COLUMNS = 'connection reuse'.length;
const GAP = '  ';
const INDENT = ' '.repeat(VERDICT_COLUMNS + CHECK_COLUMNS + 2 * GAP.length);

const COLOURS: Readonly<Record<FindingVerdict, number>> = { ok: 32, warning: 33, failed: 31, skipped: 2 };

/**
 * Any value of NO_COLOR turns colours off (https://no-color.org). FORCE_COLOR turns them on, also
 * in a pipe; 0 and false turn them off. It wins over NO_COLOR, as in Node.js.
 */
export function wantsColours(output: Pick<Output, 'isTerminal'>, env: NodeJS.ProcessEnv): boolean {
  const { FORCE_COLOR: forced, NO_COLOR, TERM } = env;
  if (forced) return forced !== '0' && forced !== 'false';
  return output.isTerminal && !NO_COLOR && TERM !== 'dumb';
}

export interface ReportOptions {
  readonly output: Output;
  readonly json: boolean;
  readonly colours: boolean;
  /** Removes secrets from a text. */
  readonly clean: (text: string) => string;
}

/** The report: one line per check when it is done, or one JSON document at the end. */
export class Report {
  readonly #options: ReportOptions;
  readonly #findings: Finding[] = [];

  constructor(options: ReportOptions) {
    this.#options = options;
  }

  add(finding: Finding): Finding {
    const { output, json, clean } = this.#options;
    const shown = cleaned(finding, (text) => clean(toOneLine(text)));
    this.#findings.push(shown);
    if (!json) this.#show(output, shown);
    return finding;
  }

  /** Writes the conclusion. @returns the exit code. */
  conclude(): number {
    const { output, json } = this.#options;
    const bad = this.#findings.some(({ verdict }) => verdict === 'failed');
    if (json) output.json(`${JSON.stringify(documentOf(this.#findings, bad), undefined, 2)}\n`);
    else {
      output.write('\n');
      this.#coloured(output, bad ? 'failed' : 'ok', conclusionOf(this.#findings));
      output.write('\n');
    }
    return bad ? 1 : 0;
  }

  #show(output: Output, finding: Finding): void {
    this.#coloured(output, finding.verdict, finding.verdict.padEnd(VERDICT_COLUMNS));
    output.write(`${GAP}${finding.check.padEnd(CHECK_COLUMNS)}${GAP}${finding.detail}\n`);
    if ('remedy' in finding) output.write(`${INDENT}remedy: ${finding.remedy}\n`);
  }

  #coloured(output: Output, verdict: FindingVerdict, text: string): void {
    if (this.#options.colours) output.control(`\u001b[${COLOURS[verdict]}m`);
    output.write(text);
    if (this.#options.colours) output.control('\u001b[0m');
  }
}

/** Servers and files supply much of the text, so it may contain control characters. */
const toOneLine = (text: string): string => plainText(text).replace(/\s+/g, ' ').trim();

/** The members in the order of the JSON document. */
function cleaned(finding: Finding, clean: (text: string) => string): Finding {
  const { check } = finding;
  const detail = clean(finding.detail);
  return 'remedy' in finding
    ? { check, verdict: finding.verdict, detail, remedy: clean(finding.remedy) }
    : { check, verdict: finding.verdict, detail };
}

function conclusionOf(findings: readonly Finding[]): string {
  const count = (wanted: FindingVerdict): number =>
    findings.filter(({ verdict }) => verdict === wanted).length;
  const first = findings.find(({ verdict }) => verdict === 'failed');
  const tally = (['ok', 'warning', 'failed', 'skipped'] as const)
    .filter((verdict) => count(verdict) > 0)
    .map((verdict) => `${count(verdict)} ${verdict}`)
    .join(', ');
  return first === undefined
    ? `No check failed (${tally}).`
    : `Problems found (${tally}). Start with ${first.check}: later findings may follow from it.`;
}

const documentOf = (findings: readonly Finding[], bad: boolean): unknown => ({
  version: VERSION,
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  verdict: bad ? 'failed' : 'ok',
  checks: findings,
});
