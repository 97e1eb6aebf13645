import { fileURLToPath } from 'node:url';
import { serve } from './commands/serve.ts';
import { systemClock } from './core/clock.ts';
import { flagOf } from './core/options.ts';
import { StdoutWriter } from './front/stdout.ts';
import { helpText } from './manual.ts';
import { parseArguments, readSettings } from './settings.ts';
import { VERSION } from './version.ts';

/** Unusable settings, as for every command line tool; 1 is for a run that failed. */
const EXIT_USAGE = 2;
/** Clients that are killed cannot close our stdin on every platform; becoming somebody else's child is the sign. */
const PARENT_CHECK_MS = 2_000;

function usage(problems: readonly string[]): number {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  process.stderr.write(
    `mcp-sigv4-proxy: ${count} with the settings:\n${problems.map((problem) => `  ${problem}\n`).join('')}Run mcp-sigv4-proxy --help for all options.\n`,
  );
  return EXIT_USAGE;
}

async function main(argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv, ['demo']);
  const print = async (text: string): Promise<void> => {
    const stdout = new StdoutWriter(() => undefined);
    await stdout.line(text);
    await stdout.flush(systemClock);
  };
  if (args.version) {
    await print(VERSION);
    return 0;
  }
  if (args.help) {
    await print(helpText());
    return 0;
  }
  if (args.command === 'demo') {
    const surplus = [
      ...args.problems,
      ...Object.keys(args.options).map((key) => `${flagOf(key)} is not for demo`),
    ];
    if (args.endpoint !== undefined) surplus.push('demo takes no endpoint: it brings its own');
    if (surplus.length > 0) return usage(surplus);
    const { runDemo } = await import('./commands/demo.ts');
    const stdout = new StdoutWriter(() => undefined);
    const binPath = fileURLToPath(new URL('../bin/mcp-sigv4-proxy.js', import.meta.url));
    const code = await runDemo({ write: (text) => stdout.text(text), binPath, env: process.env });
    await stdout.flush(systemClock);
    return code;
  }
  const outcome = await readSettings(args, process.env);
  if ('problems' in outcome) return usage(outcome.problems);
  const serving = serve(outcome.settings);
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // The second one means now: whoever sends it does not want to wait for a server.
      if (++signals > 1) {
        serving.stop();
        process.exit(1);
      }
      serving.leave(signal);
    });
  }
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) serving.leave('the parent process is gone');
  }, PARENT_CHECK_MS).unref();
  let faulted = false;
  process.on('unhandledRejection', (error) => serving.fault('a promise that nobody watched', error));
  process.on('uncaughtException', (error) => {
    // What threw may be half done: calls under way get an answer, and then a fresh process is the safer one.
    serving.fault('an uncaught exception', error);
    faulted = true;
    serving.leave('an internal fault');
  });
  await serving.over;
  return faulted ? 1 : 0;
}

// A dead stderr must not turn a report into an exception that is reported to it.
process.stderr.on('error', () => undefined);
process.exit(await main(process.argv.slice(2)));
