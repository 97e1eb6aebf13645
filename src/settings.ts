import { profilesIn } from './auth/credentials/profile-list.ts';
import { missingProfiles, readProfileFacts } from './auth/credentials/shared-files.ts';
import { awsOptions, rolelessProblems } from './auth/options.ts';
import { regionProblem } from './auth/region-name.ts';
import type { SigningScope } from './auth/sigv4.ts';
import { variableProblems } from './auth/variable-problems.ts';
import { frontOptions, frontProblems, type ListenerSettings, listenerOf } from './client/http/options.ts';
import { DRAIN_OF_LISTENER_S, DRAIN_OF_STDIO_S, relayOptions } from './client/options.ts';
import { type Arguments, type CommandShapes, readArguments } from './config/argv.ts';
import { type EnvFile, NO_ENV_FILE, readEnvFile } from './config/env-file.ts';
import {
  flagOf,
  type OptionTable,
  type OptionValues,
  rawOf,
  readOption,
  text,
  variableOf,
} from './config/option.ts';
import { placeholderIn, unexpanded } from './config/placeholders.ts';
import { urlWithoutSecrets, withoutSecrets } from './config/secrets.ts';
import { isRead } from './config/variables.ts';
import { DEFAULT_ENDPOINT, readEndpoint, scopeOfHost, sessionLifetimeAt } from './endpoint/endpoint.ts';
import { backpressureOptions } from './layers/backpressure.ts';
import { breakerOptions } from './layers/breaker.ts';
import { clientNameOptions } from './layers/client-name.ts';
import { lazyOptions } from './layers/lazy/lazy.ts';
import { metadataOptions } from './layers/metadata.ts';
import { pagesOptions } from './layers/pages.ts';
import { profileOptions } from './layers/profile.ts';
import { rateLimitOptions } from './layers/rate-limit.ts';
import { retryOptions, retryProblems } from './layers/retry/retry.ts';
import { toolCacheOptions } from './layers/tool-cache/tool-cache.ts';
import { toolFilterOptions } from './layers/tool-filter.ts';
import { whoamiOptions } from './layers/whoami.ts';
import { observeOptions } from './observe/options.ts';
import { poolOptions, poolProblems } from './pool/options.ts';
import { bundleProblem, caBundleOf } from './upstream/http/trust.ts';
import {
  connectToProblems,
  readHeaders,
  sessionHeaderProblems,
  upstreamOptions,
} from './upstream/options.ts';

/** Every option of the proxy, in the order in which help and tables show them. */
export const OPTIONS = {
  service: awsOptions.service,
  region: awsOptions.region,
  profile: awsOptions.profile,
  profileTools: profileOptions.profileTools,
  roleArn: awsOptions.roleArn,
  roleSessionName: awsOptions.roleSessionName,
  externalId: awsOptions.externalId,
  metadata: metadataOptions.metadata,
  header: upstreamOptions.header,
  skipAuth: awsOptions.skipAuth,
  auth: awsOptions.auth,
  whoamiTool: whoamiOptions.whoamiTool,
  caBundle: upstreamOptions.caBundle,
  proxy: upstreamOptions.proxy,
  userAgent: upstreamOptions.userAgent,
  disableTelemetry: clientNameOptions.disableTelemetry,
  maxConnections: upstreamOptions.maxConnections,
  maxKeepaliveConnections: upstreamOptions.maxKeepaliveConnections,
  keepaliveTimeout: upstreamOptions.keepaliveTimeout,
  connectionLifetime: upstreamOptions.connectionLifetime,
  connectTo: upstreamOptions.connectTo,
  connectTimeout: upstreamOptions.connectTimeout,
  timeout: relayOptions.timeout,
  initializeTimeout: relayOptions.initializeTimeout,
  toolTimeout: relayOptions.toolTimeout,
  readTimeout: upstreamOptions.readTimeout,
  progressHeartbeat: relayOptions.progressHeartbeat,
  maxLine: relayOptions.maxLine,
  ...toolFilterOptions,
  ...pagesOptions,
  ...toolCacheOptions,
  maxConcurrent: backpressureOptions.maxConcurrent,
  queueSize: backpressureOptions.queueSize,
  queueTimeout: backpressureOptions.queueTimeout,
  overloadErrorCode: backpressureOptions.overloadErrorCode,
  rateLimit: rateLimitOptions.rateLimit,
  rateBurst: rateLimitOptions.rateBurst,
  retries: retryOptions.retries,
  retryMode: retryOptions.retryMode,
  retryBaseDelay: retryOptions.retryBaseDelay,
  retryMaxDelay: retryOptions.retryMaxDelay,
  breakerThreshold: breakerOptions.breakerThreshold,
  breakerReset: breakerOptions.breakerReset,
  ...poolOptions,
  drainTimeout: relayOptions.drainTimeout,
  lazy: lazyOptions.lazy,
  ...frontOptions,
  logLevel: observeOptions.logLevel,
  logFile: observeOptions.logFile,
  logFormat: observeOptions.logFormat,
  envFile: text({
    group: 'Seeing it',
    placeholder: 'path',
    fallback: undefined,
    help: 'file of environment variables to read; the real environment wins, and no file is read unless named here',
  }),
} as const satisfies OptionTable;

export const ENDPOINT_VARIABLE = 'MCP_PROXY_ENDPOINT';

export type Values = OptionValues<typeof OPTIONS>;

/**
 * The settings of one process: every value checked, everything that follows from several of them
 * worked out. The values are those of the options of the same names, in their units: times in
 * seconds, lengths in bytes.
 */
export interface Settings extends Values {
  readonly endpoint: URL;
  /** Undefined: never sign. */
  readonly scope: SigningScope | undefined;
  /** Those that were named, each once; none where the default chain signs. */
  readonly profiles: readonly string[];
  /** The first of them; "" is the default chain. */
  readonly defaultProfile: string;
  /** Where the scope's two halves come from, for a person. */
  readonly scopeFrom: Readonly<Record<keyof SigningScope, string>>;
  /**
   * The flag or variable that was used, per option and for `endpoint`; absent where the default
   * stands.
   */
  readonly from: Readonly<Record<string, string>>;
  /** Variables whose value is that of the file of --env-file. */
  readonly fromFile: ReadonlySet<string>;
  readonly headers: Readonly<Record<string, string>>;
  readonly keepConnections: number;
  /** Seconds, for a client on stdio. */
  readonly drainTimeout: number;
  /** Undefined: stdio alone is served. */
  readonly listener: (ListenerSettings & { readonly drainTimeout: number }) | undefined;
  /** False: stdin and stdout are left alone. */
  readonly servesStdio: boolean;
  /** As given. Parts of the AWS SDK read the process's own all the same. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * The settings, or a sentence for each thing that is wrong, with the option or variable, what it
 * takes and what was given.
 */
export type SettingsOutcome = { readonly settings: Settings } | { readonly problems: readonly string[] };

/**
 * What was given, for a complaint: not whole where it is long, and without what a URL may hold that
 * is secret.
 */
function shown(value: string): string {
  const text = urlWithoutSecrets(value);
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

/**
 * Reads flags and environment into settings, or into everything that is wrong with them at once.
 * Never throws. Reads the AWS files where a profile's name or region is needed, and nothing else
 * but the files that are named.
 * @param env - gains what --env-file names and it does not have.
 */
export async function readSettings(argv: Arguments, env: NodeJS.ProcessEnv): Promise<SettingsOutcome> {
  const problems = [...argv.problems];
  const { taken: fromFile, all: inFile } = loadEnvFile(argv, env, problems);
  const { values, from } = readValues(argv, env, problems);

  // An empty variable is an unset one; an empty argument is a mistake that must not send requests
  // somewhere else.
  const endpointText = argv.endpoint ?? (env[ENDPOINT_VARIABLE] || DEFAULT_ENDPOINT);
  const hole = placeholderIn(endpointText);
  const endpoint = hole === undefined ? readEndpoint(endpointText) : { problem: unexpanded(hole) };
  if (argv.endpoint !== undefined) from.endpoint = 'the argument';
  else if (env[ENDPOINT_VARIABLE]) from.endpoint = ENDPOINT_VARIABLE;
  if ('problem' in endpoint) {
    const name = argv.endpoint === undefined ? ENDPOINT_VARIABLE : 'the endpoint';
    // First of all, because nothing else matters while the requests would go somewhere wrong.
    const { problem, meant } = endpoint;
    const hint = meant === undefined ? '' : `; did you mean ${urlWithoutSecrets(meant)} ?`;
    problems.unshift(`${name} ${problem}${hole === undefined ? `, not ${shown(endpointText)}${hint}` : ''}`);
  }

  problems.push(
    ...variableProblems(
      env,
      (name) => isRead(name) && !OPTION_VARIABLES.has(name),
      values.region !== undefined,
    ),
  );
  const profiles = [
    ...new Set(await profilesIn(rawOf('profile', OPTIONS.profile, argv.options, env), values.profile, env)),
  ];
  const defaultProfile = profiles[0] ?? '';
  // A single one is told of in the answer to the first request, where its user sees it, and may
  // come into being until then. One of several would be offered to the model, and found missing in
  // mid-conversation.
  if (profiles.length > 1) {
    const missing = await missingProfiles(profiles, env);
    if (missing) problems.push(`${from.profile} ${missing}`);
  }
  if (!argv.options.roleArn && !env[variableOf('roleArn')]) problems.push(...rolelessProblems(from));

  const { headers, problems: headerProblems } = readHeaders(values.header, { ...inFile, ...env });
  for (const problem of headerProblems) problems.push(`${from.header} ${problem}`);
  if (headers.authorization !== undefined && values.auth !== 'none') {
    problems.push(
      `${from.header} must not set authorization: requests are signed (--auth none sends them unsigned)`,
    );
  }

  const platformLifetime = 'url' in endpoint ? sessionLifetimeAt(endpoint.url) : undefined;
  problems.push(...poolProblems(values, from, platformLifetime));
  problems.push(...frontProblems(values, { from, profiles: profiles.length, forStdio: FOR_STDIO }));

  const bundle = caBundleOf({ caBundle: undefined, profileCaBundle: undefined, env });
  const named = argv.options.caBundle ?? env[variableOf('caBundle')];
  if (!named && bundle && bundle.from !== 'NODE_EXTRA_CA_CERTS') {
    const problem = bundleProblem(bundle.path);
    if (problem) problems.push(`${bundle.from} ${problem}`);
  }

  problems.push(...retryProblems(values, from));
  if ('url' in endpoint) {
    problems.push(...connectToProblems(values.connectTo, endpoint.url, from.connectTo ?? ''));
    problems.push(...sessionHeaderProblems(headers, endpoint.url, values.service, from.header ?? ''));
  }

  const signing =
    'url' in endpoint && values.auth !== 'none'
      ? await signingScope(endpoint.url, values, from, defaultProfile, env, problems)
      : undefined;

  if (problems.length > 0 || !('url' in endpoint)) return { problems };
  const keep =
    values.maxKeepaliveConnections ??
    (from.maxConnections === undefined ? KEPT_BY_DEFAULT : values.maxConnections);
  const listener = listenerOf(values);
  return {
    settings: {
      ...values,
      endpoint: endpoint.url,
      scope: signing?.scope,
      scopeFrom: signing?.from ?? { service: '', region: '' },
      profiles,
      defaultProfile,
      from,
      fromFile,
      headers,
      keepConnections: Math.min(keep, values.maxConnections),
      drainTimeout: values.drainTimeout ?? DRAIN_OF_STDIO_S,
      listener: listener && { ...listener, drainTimeout: values.drainTimeout ?? DRAIN_OF_LISTENER_S },
      servesStdio: !listener || values.stdio,
      env,
    },
  };
}

/** HTTP clients keep their sessions themselves, and are answered by the server alone. */
const FOR_STDIO = [...Object.keys(poolOptions), 'lazy'];

/**
 * As documented by the system whose behaviour this ports; who asks for more connections wants them
 * reused.
 */
const KEPT_BY_DEFAULT = 1;

const OPTION_VARIABLES = new Set(
  Object.values(OPTIONS as OptionTable).flatMap((option) => [
    ...(option.env ?? []),
    ...(option.kind === 'list' ? (option.singleEnv ?? []) : []),
  ]),
);

/**
 * Only what the proxy reads: PATH, NODE_OPTIONS or LD_PRELOAD of a file would decide what a
 * credential_process runs, and what the process loads.
 */
const isForProxy = (name: string): boolean =>
  name.startsWith('MCP_PROXY_') || OPTION_VARIABLES.has(name) || isRead(name);

function loadEnvFile(argv: Arguments, env: NodeJS.ProcessEnv, problems: string[]): EnvFile {
  const flag = argv.options.envFile?.at(-1);
  const path = flag ?? env[variableOf('envFile')];
  // A placeholder in its name is the complaint of the option.
  if (!path || placeholderIn(path) !== undefined) return NO_ENV_FILE;
  const read = readEnvFile(path, env, isForProxy);
  if (!('problem' in read)) return read;
  const name = flag === undefined ? variableOf('envFile') : flagOf('envFile');
  problems.push(`${name} must be a readable file: ${read.problem}`);
  return NO_ENV_FILE;
}

function readValues(
  argv: Arguments,
  env: NodeJS.ProcessEnv,
  problems: string[],
): { values: Values; from: Record<string, string> } {
  const values: Record<string, unknown> = {};
  const from: Record<string, string> = {};
  for (const [key, option] of Object.entries(OPTIONS as OptionTable)) {
    values[key] = option.fallback;
    const raw = rawOf(key, option, argv.options, env);
    if (!raw) continue;
    const { texts, name, how } = raw;
    const checked = readOption(option, texts, how);
    if ('problem' in checked) {
      const last = texts.at(-1) ?? '';
      const given =
        option.kind === 'list' ? '' : `, not ${shown(withoutSecrets(last, option.secrets?.(last) ?? []))}`;
      const isShown = checked.problem.startsWith('must be') && !checked.problem.includes(', not ');
      problems.push(`${name} ${checked.problem}${isShown ? given : ''}`);
      continue;
    }
    values[key] = checked.value;
    from[key] = name;
  }
  // Each value came from the option of its own key, by its fallback or by the check of its kind.
  return { values: values as Values, from };
}

interface Signing {
  readonly scope: SigningScope;
  readonly from: Settings['scopeFrom'];
}

/**
 * --region, host, AWS_REGION, AWS_DEFAULT_REGION, profile: the first that knows. The profile's file
 * is read only if asked.
 */
async function signingScope(
  endpoint: URL,
  values: Values,
  from: Readonly<Record<string, string>>,
  profile: string,
  env: NodeJS.ProcessEnv,
  problems: string[],
): Promise<Signing | undefined> {
  const told = scopeOfHost(endpoint.hostname);
  const host = 'the host';
  const service = values.service ?? told.service;
  const known: readonly (readonly [region: string | undefined, from: string])[] = [
    [values.region, from.region ?? ''],
    [told.region, host],
    [env.AWS_REGION, 'AWS_REGION'],
    [env.AWS_DEFAULT_REGION, 'AWS_DEFAULT_REGION'],
  ];
  const [region, regionFrom] = known.find(([each]) => each) ?? [
    (await readProfileFacts(profile || undefined, env)).region,
    'the profile',
  ];
  const problem = regionFrom === 'the profile' ? regionProblem(region) : undefined;
  if (problem !== undefined)
    problems.push(`region of profile ${JSON.stringify(profile || env.AWS_PROFILE || 'default')} ${problem}`);
  if (service && region) {
    return { scope: { service, region }, from: { service: from.service ?? host, region: regionFrom } };
  }
  const missing = [...(service ? [] : ['--service <name>']), ...(region ? [] : ['--region <region>'])];
  problems.push(
    `${missing.join(' and ')} must be given: the host ${endpoint.hostname} does not tell what to sign for (--auth none sends requests unsigned)`,
  );
  return undefined;
}

/**
 * Reads a command line, without the program's own name, against the options of this project. Values
 * are for `readSettings` to judge. Never throws: what is wrong stands in `problems`.
 */
export const parseArguments = (argv: readonly string[], commands: CommandShapes = {}): Arguments =>
  readArguments(argv, OPTIONS, commands);
