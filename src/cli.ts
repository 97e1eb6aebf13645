import { FALLBACK_COLUMNS, StdoutWriter } from './client/stdio/stdout.ts';
import { COMMANDS, type CommandName, DEMO_FAULTS } from './command-table.ts';
import { EXIT_FAILED, EXIT_USAGE } from './commands/exit-codes.ts';
import { Output } from './commands/output.ts';
import { type LoadedParts, measures, serve } from './commands/serve.ts';
import type { WorkerParts } from './commands/workers.ts';
import type { Arguments } from './config/argv.ts';
import { flagOf, readFlags } from './config/option.ts';
import { causeText } from './core/errors/errors.ts';
import { systemClock } from './core/time/clock.ts';
import { isTelemetryRequested } from './observe/tracing/telemetry-variables.ts';
import { OPTIONS, parseArguments, readSettings, type Settings } from './settings.ts';

/**
 * On some platforms a killed client does not close our stdin; a new parent process shows its end.
 */
const PARENT_CHECK_MS = 2_000;

const stderrOptions = {
  write: (text: string) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY === true,
  columns: process.stderr.columns || FALLBACK_COLUMNS,
  forPeople: true,
};
const errors = new Output(stderrOptions);

interface Usage {
  readonly asJson?: boolean;
  /** The command that was called; undefined for serving. */
  readonly command?: CommandName;
}

function usage(problems: readonly string[], { asJson = false, command }: Usage = {}): number {
  if (asJson) {
    const message = problems.join('; ');
    errors.json(`${JSON.stringify({ error: { code: null, reason: 'usage', message, problems } })}\n`);
    return EXIT_USAGE;
  }
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  errors.write(
    `mcp-sigv4-proxy: ${count} with the settings:\n${problems.map((problem) => `  ${problem}\n`).join('')}Run mcp-sigv4-proxy ${command ? `${command} ` : ''}--help-all for all options.\n`,
  );
  return EXIT_USAGE;
}

/** The options and the endpoint of the proxy, where a command takes neither. */
const surplusOf = ({ options, endpoint }: Arguments, command: CommandName): string[] => [
  ...Object.keys(options)
    .filter((key) => key in OPTIONS)
    .map((key) => `${flagOf(key)} is not for ${command}`),
  ...(endpoint === undefined
    ? []
    : [`${command} takes no endpoint${command === 'demo' ? ': it brings its own' : ''}`]),
];

async function serveDemoEndpoint(port: number, fault: readonly string[]): Promise<number> {
  const { serveDemo } = await import('./commands/demo-serve.ts');
  const stdout = new StdoutWriter(() => undefined);
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ended.abort());
  const faults = DEMO_FAULTS.filter((each) => fault.includes(each));
  const write = (text: string): void => stdout.text(text);
  const served = serveDemo({ write, port, faults, signal: ended.signal }).catch((error: unknown) => {
    errors.write(`mcp-sigv4-proxy: the endpoint cannot be started: ${causeText(error)}\n`);
    return EXIT_FAILED;
  });
  const code = await served;
  await stdout.flush(systemClock);
  return code;
}

async function demo(args: Arguments): Promise<number> {
  const { values, problems } = readFlags(COMMANDS.demo.options, args.options);
  const { serve: serves, port, fault } = values;
  const surplus = [...args.problems, ...surplusOf(args, 'demo'), ...problems];
  for (const key of ['port', 'fault'])
    if (!serves && args.options[key]) surplus.push(`${flagOf(key)} needs --serve`);
  if (surplus.length > 0) return usage(surplus, { command: 'demo' });
  if (serves) return serveDemoEndpoint(port, fault);
  const { runDemo } = await import('./commands/demo.ts');
  const stdout = new StdoutWriter(() => undefined);
  const [, binPath = ''] = process.argv;
  const code = await runDemo({ write: (text) => stdout.text(text), binPath, env: process.env });
  await stdout.flush(systemClock);
  return code;
}

/** The exit codes that shells report for signals: scripts see that the work did not finish. */
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

async function runCommand(name: Exclude<CommandName, 'demo'>, args: Arguments): Promise<number> {
  // Loaded on demand, so that serving starts sooner.
  const { COMMAND_MODULES } = await import('./commands/run.ts');
  const command = COMMAND_MODULES[name];
  const outcome = await readSettings(args, process.env);
  const problems = [
    ...('problems' in outcome ? outcome.problems : []),
    ...readFlags(COMMANDS[name].options, args.options).problems,
    ...(command.problems?.(args) ?? []),
    ...(COMMANDS[name].connects ? [] : surplusOf(args, name)),
  ];
  if ('problems' in outcome || problems.length > 0) {
    const [json] = 'json' in COMMANDS[name].options ? (args.options.json?.slice(-1) ?? []) : [];
    return usage(problems, { asJson: json === 'true' || json === '1', command: name });
  }
  const ended = new AbortController();
  let code: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // A second signal ends the process at once, without waiting for a server.
      if (code !== undefined) process.exit(code);
      code = EXIT_BY_SIGNAL[signal];
      ended.abort(new Error(signal));
    });
  }
  let lost: Error | undefined;
  const stdout = new StdoutWriter((error) => {
    lost = lostOutput(error);
    ended.abort(error);
  });
  const quietErrors = new Output({ ...stderrOptions, quiet: true });
  const running = command.run({
    args,
    settings: outcome.settings,
    stdin: process.stdin,
    stdout: new Output({
      write: (text) => stdout.text(text),
      isTerminal: stdout.isTerminal,
      columns: stdout.columns,
    }),
    stderr: args.quiet ? quietErrors : errors,
    signal: ended.signal,
  });
  const said = await running.catch((error: unknown) => {
    errors.write(
      `mcp-sigv4-proxy: an internal fault, please report it with what --log-level debug says: ${causeText(error)}\n`,
    );
    return EXIT_FAILED;
  });
  await Promise.all([
    stdout.flush(systemClock),
    new Promise<void>((done) => process.stderr.write('', () => done())),
  ]);
  if (lost) errors.write(`mcp-sigv4-proxy: the output cannot be written: ${causeText(lost)}\n`);
  return code ?? (lost ? EXIT_FAILED : said);
}

/** The error after which output is missing, such as a full disk. A reader may leave early. */
const lostOutput = (error: Error): Error | undefined =>
  'code' in error && error.code !== 'EPIPE' ? error : undefined;

/** The word with which the scripts of `completion` ask for candidates; no command of a person. */
const COMPLETE = '__complete';

async function complete(words: readonly string[]): Promise<number> {
  const { complete: printCandidates } = await import('./commands/completion/complete.ts');
  const stdout = new StdoutWriter(() => undefined);
  await printCandidates(words, (text) => stdout.text(text));
  await stdout.flush(systemClock);
  return 0;
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === COMPLETE) return complete(argv.slice(1));
  const args = parseArguments(argv, COMMANDS);
  const serves = args.command === undefined && !args.help && !args.version;
  return serves ? serveUntilLeft(args) : runCommandLine(args);
}

/** Shows help or the version, or runs a command. */
async function runCommandLine(args: Arguments): Promise<number> {
  // Loaded on demand, because serving does not need commander.
  const { runProgram } = await import('./program.ts');
  const stdout = new StdoutWriter(() => undefined);
  let code = 0;
  await runProgram(args, {
    columns: stdout.columns,
    write: (text) => stdout.text(text),
    run: async (name) => {
      code = name === 'demo' ? await demo(args) : await runCommand(name, args);
    },
  });
  await stdout.flush(systemClock);
  return code;
}

async function loadObservers(settings: Settings): Promise<LoadedParts> {
  const asked = isTelemetryRequested(settings.env);
  if (!asked && settings.accessLog === undefined && !measures(settings)) return {};
  const { startTelemetry, ...others } = await import('./commands/observers.ts');
  return asked ? { startTelemetry, ...others } : others;
}

async function loadLimits({
  limits: url,
  endpoint,
  limitReplicas: minReplicas,
}: Settings): Promise<Pick<LoadedParts, 'openLimits'>> {
  if (url === undefined) return {};
  const { redisLimits } = await import('./limits/shared-limits.ts');
  return { openLimits: (events) => redisLimits({ url, endpoint, minReplicas, clock: systemClock, events }) };
}

async function loadListener({ listener }: Settings): Promise<Pick<LoadedParts, 'listener'>> {
  if (!listener) return {};
  const [{ HttpClients }, { listen }] = await Promise.all([
    import('./http-clients.ts'),
    import('./commands/listen.ts'),
  ]);
  return { listener: { HttpClients, listen } };
}

async function loadWorkers(settings: Settings): Promise<number | WorkerParts> {
  const { runWorkers } = await import('./commands/workers.ts');
  return runWorkers(settings);
}

async function serveUntilLeft(args: Arguments): Promise<number> {
  const outcome = await readSettings(args, process.env);
  if ('problems' in outcome) return usage(outcome.problems);
  const worker = outcome.settings.workers === undefined ? undefined : await loadWorkers(outcome.settings);
  if (typeof worker === 'number') return worker;
  const { settings } = worker ?? outcome;
  const serving = serve(settings, {
    ...(await loadObservers(settings)),
    ...(await loadLimits(settings)),
    ...(await loadListener(settings)),
    ...worker?.parts,
  });
  worker?.obey(serving);
  let signals = 0;
  // SIGHUP renews sessions and connections. On Windows it means that the console closes.
  const hangsUp = process.platform === 'win32';
  if (!hangsUp) process.on('SIGHUP', () => serving.renew());
  for (const signal of ['SIGINT', 'SIGTERM', ...(hangsUp ? (['SIGHUP'] as const) : [])] as const) {
    process.on(signal, () => {
      // A second signal ends the process at once, without waiting for a server.
      if (++signals > 1) {
        serving.stop();
        process.exit(1);
      }
      serving.leave(signal);
    });
  }
  // A listener serves clients that did not start it, so its parent process does not matter.
  if (settings.servesStdio) {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) serving.leave('the parent process is gone');
    }, PARENT_CHECK_MS).unref();
  }
  let faulted = false;
  process.on('unhandledRejection', (error) => serving.fault('an unhandled rejection', error));
  process.on('uncaughtException', (error) => {
    // The state may be inconsistent: calls in flight get an answer, then the process ends.
    serving.fault('an uncaught exception', error);
    faulted = true;
    serving.leave('an internal fault', true);
  });
  const code = await serving.over;
  return faulted ? 1 : code;
}

// Without a listener, a closed stderr would turn each report into a further exception.
process.stderr.on('error', () => undefined);
void main(process.argv.slice(2)).then((code) => process.exit(code));
