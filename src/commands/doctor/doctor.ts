import { COMMANDS } from '../../command-table.ts';
import { readFlags } from '../../config/option.ts';
import { secretsOfUrl } from '../../config/secrets.ts';
import { causeText } from '../../core/errors/errors.ts';
import { Redactor } from '../../core/errors/redact.ts';
import { Events } from '../../core/pipeline/events.ts';
import { systemClock } from '../../core/time/clock.ts';
import type { Settings } from '../../settings.ts';
import { connectUrl } from '../../upstream/http/connect.ts';
import type { CommandContext } from '../command.ts';
import { CommandClient } from '../command-client.ts';
import { profileText } from '../credential-names.ts';
import { relevantVariables } from '../environment.ts';
import { ProgressLine } from '../progress-line.ts';
import { checkCredentials, derivedFinding, signingFinding } from './credentials.ts';
import { type Finding, failed, isUsable, skipped, skippedFor } from './finding.ts';
import { checkIdentity } from './identity.ts';
import { checkLimits } from './limits.ts';
import { checkConnection, checkDns, proxyFinding } from './network.ts';
import { Observations } from './observations.ts';
import { Report, wantsColours } from './report.ts';
import {
  checkInitialize,
  checkTools,
  clockFinding,
  parallelFinding,
  reuseFinding,
  sessionClosedFinding,
} from './server.ts';
import { defaultsFinding, endpointFinding, settingFindings, versionFinding } from './settings.ts';
import { checkTls, loadTrust } from './tls.ts';

/** The user waits for the report: after this time a connection or request counts as failed. */
const MAX_CONNECT_S = 10;
const MAX_REQUEST_S = 30;

const capSeconds = (seconds: number, cap: number): number => (seconds === 0 ? cap : Math.min(seconds, cap));

/** The settings of the checks: short limits, no snapshot of an earlier run, one session. */
const doctorSettings = (settings: Settings): Settings => ({
  ...settings,
  connectTimeout: capSeconds(settings.connectTimeout, MAX_CONNECT_S),
  timeout: capSeconds(settings.timeout, MAX_REQUEST_S),
  lazy: false,
  minSessions: 0,
  maxSessions: 1,
});

/** Checks everything that a call needs, in the order in which a call needs it. */
export async function run({
  args,
  settings: given,
  stdout,
  stderr,
  signal,
}: CommandContext): Promise<number> {
  const settings = doctorSettings(given);
  const { json } = readFlags(COMMANDS.doctor.options, args.options).values;
  const redactor = new Redactor();
  for (const secret of configuredSecrets(settings)) redactor.learn(secret);
  const report = new Report({
    output: stdout,
    json,
    colours: !json && wantsColours(stdout, settings.env),
    clean: (text) => redactor.clean(text),
  });
  const events = new Events();
  const observations = new Observations(events, redactor, () => systemClock.now());
  const progress = new ProgressLine(stderr);
  const watch: Watch = (awaited, work) => (json ? work : progress.during(awaited, work));
  const client = new CommandClient({ settings, signal, events, watch });
  try {
    await runChecks({ given, settings, client, observations, report, signal, watch });
    return report.conclude();
  } catch (error) {
    if (signal.aborted) return 1;
    throw error;
  } finally {
    await client.close();
  }
}

const NO_CREDENTIALS = 'there are no credentials to check with STS';

/** Secrets to remove from the report, because a server or an HTTP proxy may echo them. */
const configuredSecrets = ({ headers, proxy = '', limits = '', env }: Settings): string[] => [
  ...Object.values(headers),
  ...[proxy, limits, ...relevantVariables(env).map(([, value]) => value)].flatMap((url) =>
    secretsOfUrl(url, '').map(({ start, end }) => url.slice(start, end)),
  ),
];

type Watch = <T>(awaited: string, work: Promise<T>) => Promise<T>;

interface Checks {
  /** Shows a long wait on a terminal. */
  readonly watch: Watch;
  /** The user's settings, which the report shows. */
  readonly given: Settings;
  /** The settings that the checks use. */
  readonly settings: Settings;
  readonly client: CommandClient;
  readonly observations: Observations;
  readonly report: Report;
  readonly signal: AbortSignal;
}

async function runChecks(checks: Checks): Promise<void> {
  const { given, settings, report } = checks;
  report.add(versionFinding());
  for (const finding of settingFindings(given)) report.add(finding);
  report.add(defaultsFinding(given));
  report.add(endpointFinding(settings));
  if (given.limits !== undefined) report.add(await checks.watch('Redis', checkLimits(given)));
  const credentials = await runCredentialChecks(checks);
  report.add(signingFinding(settings));
  const network = await runNetworkChecks(checks);
  await runServerChecks(checks, [credentials, network]);
}

/** @returns the finding on the default profile's credentials. */
async function runCredentialChecks({
  settings,
  client,
  observations,
  report,
  signal,
  watch,
}: Checks): Promise<Finding> {
  const findings: Finding[] = [];
  for (const profile of settings.profiles.length > 0 ? settings.profiles : ['']) {
    const road = client.proxy.profileTransport(profile);
    const now = (): number => systemClock.now();
    const checked = checkCredentials({ profile, settings, road, observations, now, signal });
    const { finding, credentials } = await watch(`credentials of ${profileText(profile)}`, checked);
    findings.push(report.add(finding));
    const region = settings.homeRegion;
    const { env } = settings;
    if (credentials) {
      const identity = checkIdentity({ profile, credentials, region, env, road, signal });
      report.add(await watch('STS to name the identity', identity));
    } else
      report.add(
        finding.verdict === 'failed' ? skippedFor('identity', finding) : skipped('identity', NO_CREDENTIALS),
      );
  }
  return findings[0] ?? skipped('credentials', 'none');
}

/** @returns the first failure, or the last finding. */
async function runNetworkChecks({ settings, report, signal }: Checks): Promise<Finding> {
  const limitMs = settings.connectTimeout * 1_000;
  const { finding: proxy, choice } = proxyFinding(settings);
  report.add(proxy);
  if (!choice) {
    for (const check of ['DNS', 'connection', 'TLS']) report.add(skippedFor(check, proxy));
    return proxy;
  }
  const dns = report.add(
    await checkDns({ endpoint: connectUrl(settings.endpoint, settings.connectTo), choice, limitMs }),
  );
  signal.throwIfAborted();
  if (!isUsable(dns)) {
    for (const check of ['connection', 'TLS']) report.add(skippedFor(check, dns));
    return dns;
  }
  let trust: Awaited<ReturnType<typeof loadTrust>>;
  try {
    trust = await loadTrust(settings);
  } catch (error) {
    report.add(skipped('connection', 'needs TLS'));
    return report.add(
      failed(
        'TLS',
        `the CA file cannot be read: ${causeText(error)}`,
        'Correct the path in ca_bundle of the profile, or name another file with --ca-bundle.',
      ),
    );
  }
  const { finding: connection, socket } = await checkConnection({
    settings,
    choice,
    ca: trust.ca,
    limitMs,
  });
  report.add(connection);
  signal.throwIfAborted();
  if (!socket) {
    report.add(skippedFor('TLS', connection));
    return connection;
  }
  try {
    const tls = report.add(await checkTls({ endpoint: settings.endpoint, socket, trust, limitMs }));
    return tls.verdict === 'skipped' ? connection : tls;
  } finally {
    socket.destroy();
    signal.throwIfAborted();
  }
}

/** The kind of `--auth auto`, and the credential that it needs. */
async function reportDerivedKind({ settings, client, observations, report, signal }: Checks): Promise<void> {
  report.add(derivedFinding(observations));
  if (!observations.derived) return;
  const profile = settings.defaultProfile;
  const road = client.proxy.profileTransport(profile);
  const now = (): number => systemClock.now();
  report.add((await checkCredentials({ profile, settings, road, observations, now, signal })).finding);
}

async function runServerChecks(checks: Checks, prerequisites: readonly Finding[]): Promise<void> {
  const { settings, client, observations, report } = checks;
  const failure = prerequisites.find(({ verdict }) => verdict === 'failed');
  if (failure) {
    for (const check of ['clock', 'initialize', 'tools/list', 'connection reuse', 'session closed']) {
      report.add(skippedFor(check, failure));
    }
    return;
  }
  const { finding: opened, facts } = await checkInitialize({ client, observations });
  // Reported before initialize, because a wrong clock may be why the server refused it.
  report.add(clockFinding(observations));
  report.add(opened);
  if (settings.auth === 'auto') await reportDerivedKind(checks);
  if (!facts) {
    for (const check of ['tools/list', 'connection reuse', 'session closed'])
      report.add(skippedFor(check, opened));
    return;
  }
  const tools = report.add(await checkTools({ client, observations, settings }, facts));
  report.add(isUsable(tools) ? reuseFinding(observations, settings) : skippedFor('connection reuse', tools));
  report.add(parallelFinding(observations, settings));
  await client.close();
  report.add(sessionClosedFinding(observations));
}
