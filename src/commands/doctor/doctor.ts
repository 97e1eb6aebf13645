import { COMMANDS } from '../../command-table.ts';
import { readFlags } from '../../config/option.ts';
import { secretsOfUrl } from '../../config/secrets.ts';
import { causeText } from '../../core/errors/errors.ts';
import { Redactor } from '../../core/errors/redact.ts';
import { Events } from '../../core/pipeline/events.ts';
import { systemClock } from '../../core/time/clock.ts';
import type { Settings } from '../../settings.ts';
import { reachedAt } from '../../upstream/http/connect.ts';
import type { CommandContext } from '../command.ts';
import { CommandClient } from '../command-client.ts';
import { heededVariables } from '../environment.ts';
import { credentialFinding, signingFinding } from './credentials.ts';
import { type Finding, failed, needs, skipped, stands } from './finding.ts';
import { identityFinding } from './identity.ts';
import { connectionFinding, dnsFinding, proxyFinding } from './network.ts';
import { Record } from './record.ts';
import { Report, wantsColours } from './report.ts';
import {
  clockFinding,
  closedFinding,
  initializeFinding,
  parallelFinding,
  reuseFinding,
  toolsFinding,
} from './server.ts';
import { defaultsFinding, endpointFinding, settingFindings, versionFinding } from './settings.ts';
import { tlsFinding, trustOf } from './tls.ts';

/** A person waits for this: longer than that says as much as for ever. */
const MAX_CONNECT_S = 10;
const MAX_REQUEST_S = 30;

const atMostSeconds = (seconds: number, cap: number): number =>
  seconds === 0 ? cap : Math.min(seconds, cap);

/**
 * The same road and the same server, asked now: nothing from an earlier run, and no more sessions
 * than one.
 */
const forCheckUp = (settings: Settings): Settings => ({
  ...settings,
  connectTimeout: atMostSeconds(settings.connectTimeout, MAX_CONNECT_S),
  timeout: atMostSeconds(settings.timeout, MAX_REQUEST_S),
  lazy: false,
  minSessions: 0,
  maxSessions: 1,
});

/**
 * Looks at everything that a call needs, in the order in which it needs it, and says what stands in
 * the way.
 */
export async function run({ args, settings: given, stdout, signal }: CommandContext): Promise<number> {
  const settings = forCheckUp(given);
  const { json } = readFlags(COMMANDS.doctor.options, args.options).values;
  const redactor = new Redactor();
  for (const secret of secretsGiven(settings)) redactor.learn(secret);
  const report = new Report({
    output: stdout,
    json,
    colours: !json && wantsColours(stdout, settings.env),
    clean: (text) => redactor.clean(text),
  });
  const events = new Events();
  const record = new Record(events, redactor, () => systemClock.now());
  const client = new CommandClient({ settings, signal, events });
  try {
    await checkUp({ given, settings, client, record, report, signal });
    return report.conclude();
  } catch (error) {
    if (signal.aborted) return 1;
    throw error;
  } finally {
    await client.close();
  }
}

const NO_KEYS = 'there are no keys to ask STS with';

/**
 * Shown nowhere by intent; and by this nowhere by accident, where a server or a proxy sends them
 * back.
 */
const secretsGiven = ({ headers, proxy = '', env }: Settings): string[] => [
  ...Object.values(headers),
  ...[proxy, ...heededVariables(env).map(([, value]) => value)].flatMap((url) =>
    secretsOfUrl(url, '').map(({ start, end }) => url.slice(start, end)),
  ),
];

interface CheckUp {
  /** As somebody made them: what the page tells. */
  readonly given: Settings;
  /** What the check-up goes by. */
  readonly settings: Settings;
  readonly client: CommandClient;
  readonly record: Record;
  readonly report: Report;
  readonly signal: AbortSignal;
}

async function checkUp(checkUp: CheckUp): Promise<void> {
  const { given, settings, report } = checkUp;
  report.add(versionFinding());
  for (const finding of settingFindings(given)) report.add(finding);
  report.add(defaultsFinding(given));
  report.add(endpointFinding(settings));
  const credentials = await checkCredentials(checkUp);
  report.add(signingFinding(settings));
  const way = await checkWay(checkUp);
  await checkServer(checkUp, [credentials, way]);
}

/** @returns the finding that the default profile's requests rest on. */
async function checkCredentials({ settings, client, record, report, signal }: CheckUp): Promise<Finding> {
  const findings: Finding[] = [];
  for (const profile of settings.profiles.length > 0 ? settings.profiles : ['']) {
    const road = client.proxy.roadOf(profile);
    const now = (): number => systemClock.now();
    const { finding, keys } = await credentialFinding({ profile, settings, road, record, now, signal });
    findings.push(report.add(finding));
    const region = settings.scope?.region ?? '';
    const { env } = settings;
    if (keys) report.add(await identityFinding({ profile, keys, region, env, road, signal }));
    else report.add(finding.verdict === 'failed' ? needs('identity', finding) : skipped('identity', NO_KEYS));
  }
  return findings[0] ?? skipped('credentials', 'none');
}

/** @returns the first finding that stands in the way, or the last one. */
async function checkWay({ settings, report, signal }: CheckUp): Promise<Finding> {
  const limitMs = settings.connectTimeout * 1_000;
  const { finding: proxy, choice } = proxyFinding(settings);
  report.add(proxy);
  if (!choice) {
    for (const check of ['DNS', 'connection', 'TLS']) report.add(needs(check, proxy));
    return proxy;
  }
  const dns = report.add(
    await dnsFinding({ endpoint: reachedAt(settings.endpoint, settings.connectTo), choice, limitMs }),
  );
  signal.throwIfAborted();
  if (!stands(dns)) {
    for (const check of ['connection', 'TLS']) report.add(needs(check, dns));
    return dns;
  }
  let trust: Awaited<ReturnType<typeof trustOf>>;
  try {
    trust = await trustOf(settings);
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
  const { finding: connection, socket } = await connectionFinding({
    settings,
    choice,
    ca: trust.ca,
    limitMs,
  });
  report.add(connection);
  signal.throwIfAborted();
  if (!socket) {
    report.add(needs('TLS', connection));
    return connection;
  }
  try {
    const tls = report.add(await tlsFinding({ endpoint: settings.endpoint, socket, trust, limitMs }));
    return tls.verdict === 'skipped' ? connection : tls;
  } finally {
    socket.destroy();
    signal.throwIfAborted();
  }
}

async function checkServer(
  { settings, client, record, report }: CheckUp,
  rests: readonly Finding[],
): Promise<void> {
  const blocked = rests.find(({ verdict }) => verdict === 'failed');
  if (blocked) {
    for (const check of ['clock', 'initialize', 'tools/list', 'connection reuse', 'session closed']) {
      report.add(needs(check, blocked));
    }
    return;
  }
  const { finding: opened, facts } = await initializeFinding({ client, record });
  // Told by the first answer; shown before it, because a clock that is off may be why it was a
  // refusal.
  report.add(clockFinding(record));
  report.add(opened);
  if (!facts) {
    for (const check of ['tools/list', 'connection reuse', 'session closed'])
      report.add(needs(check, opened));
    return;
  }
  const tools = report.add(await toolsFinding({ client, record, settings }, facts));
  report.add(stands(tools) ? reuseFinding(record, settings) : needs('connection reuse', tools));
  report.add(parallelFinding(record, settings));
  await client.close();
  report.add(closedFinding(record));
}
