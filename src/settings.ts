import { bearerOptions, bearerProblems } from './auth/bearer/options.ts';
import { profilesIn } from './auth/credentials/profile-list.ts';
import { missingProfiles } from './auth/credentials/shared-files.ts';
import { maySignWithAws, setsAuthorization, signsWithAws } from './auth/kinds.ts';
import { oauthOptions, oauthProblems } from './auth/oauth/options.ts';
import { awsOptions, regionSetProblems, rolelessProblems } from './auth/options.ts';
import type { SigningScope } from './auth/signing.ts';
import { variableProblems } from './auth/variable-problems.ts';
import {
  type ListenerSettings,
  listenerOf,
  listenerOptions,
  listenerProblems,
  listeningSources,
} from './client/http/options.ts';
import { identityMapProblems } from './client/http/users/options.ts';
import { DRAIN_OF_LISTENER_S, DRAIN_OF_STDIO_S, relayOptions } from './client/options.ts';
import { type Arguments, type CommandShapes, readArguments } from './config/argv.ts';
import { loadEnvFile } from './config/env-file.ts';
import { givenTextsOf, type OptionTable, type OptionValues, variableOf } from './config/option.ts';
import { placeholderIn, placeholderProblem } from './config/placeholders.ts';
import { displayValue, readValues } from './config/read-values.ts';
import { urlWithoutSecrets } from './config/secrets.ts';
import { SHORTHANDS } from './config/shorthands.ts';
import { isCheckedVariable, isReadVariable } from './config/variables.ts';
import {
  chooseEndpoint,
  ENDPOINT_VARIABLE,
  fileOptions,
  loadConfigFile,
  NO_CONFIG_FILE,
} from './config-file.ts';
import { readEndpoint, sessionLifetimeAt } from './endpoint/endpoint.ts';
import { findScope } from './endpoint/signing-scope.ts';
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
import { toolFilterOptions } from './layers/tool-filter/rules.ts';
import { whoamiOptions } from './layers/whoami.ts';
import { limitsOptions, limitsProblems } from './limits/options.ts';
import { cloudWatchOptions, cloudWatchProblems } from './observe/cloudwatch/options.ts';
import { accessLogProblems, observeOptions } from './observe/options.ts';
import { statusOptions, statusProblems } from './observe/status/options.ts';
import { poolOptions, poolProblems } from './pool/options.ts';
import { bundleProblem, caBundleOf } from './upstream/http/trust.ts';
import {
  connectToProblems,
  readHeaders,
  sessionHeaderProblems,
  upstreamOptions,
} from './upstream/options.ts';
import { workersOptions, workersProblems } from './workers/options.ts';

/** All options of the proxy, in the order of help and tables. */
export const OPTIONS = {
  service: awsOptions.service,
  region: awsOptions.region,
  regionSet: awsOptions.regionSet,
  profile: awsOptions.profile,
  profileTools: profileOptions.profileTools,
  roleArn: awsOptions.roleArn,
  roleSessionName: awsOptions.roleSessionName,
  externalId: awsOptions.externalId,
  metadata: metadataOptions.metadata,
  header: upstreamOptions.header,
  skipAuth: awsOptions.skipAuth,
  auth: awsOptions.auth,
  ...oauthOptions,
  ...bearerOptions,
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
  transport: upstreamOptions.transport,
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
  ...limitsOptions,
  retries: retryOptions.retries,
  retryMode: retryOptions.retryMode,
  retryBaseDelay: retryOptions.retryBaseDelay,
  retryMaxDelay: retryOptions.retryMaxDelay,
  breakerThreshold: breakerOptions.breakerThreshold,
  breakerReset: breakerOptions.breakerReset,
  ...poolOptions,
  drainTimeout: relayOptions.drainTimeout,
  lazy: lazyOptions.lazy,
  ...listenerOptions,
  ...workersOptions,
  ...statusOptions,
  logLevel: observeOptions.logLevel,
  logFile: observeOptions.logFile,
  logFormat: observeOptions.logFormat,
  accessLog: observeOptions.accessLog,
  accessLogArguments: observeOptions.accessLogArguments,
  ...cloudWatchOptions,
  ...fileOptions,
} as const satisfies OptionTable;

export { ENDPOINT_VARIABLE };

export type Values = OptionValues<typeof OPTIONS>;

/**
 * The settings of one process: the checked values of all options, and what follows from several of
 * them. Times are in seconds, lengths in bytes.
 */
export interface Settings extends Values {
  /** The URL of the MCP server: https, or http on loopback. */
  readonly endpoint: URL;
  /** Undefined: never sign. */
  readonly scope: SigningScope | undefined;
  /** Why `--auth auto` could not sign; empty for all other kinds. */
  readonly scopeProblems: readonly string[];
  /** True if signatures are SigV4A. */
  readonly signsForRegionSet: boolean;
  /** The region of requests to STS and CloudWatch; undefined if none is known. */
  readonly homeRegion: string | undefined;
  /** The named profiles, each once; empty if the default chain signs. */
  readonly profiles: readonly string[];
  /** The first profile; "" is the default chain. */
  readonly defaultProfile: string;
  /** The sources of the scope's service and region, as text for the user. */
  readonly scopeFrom: Readonly<Record<keyof SigningScope, string>>;
  /**
   * The flag or variable that gave the value, per option and for `endpoint`; absent for defaults.
   */
  readonly from: Readonly<Record<string, string>>;
  /** Variables whose value comes from the file of --env-file. */
  readonly fromFile: ReadonlySet<string>;
  /** All variables of --env-file, for options that name a variable. */
  readonly fileVariables: Readonly<Record<string, string>>;
  /** The headers of --header, names in lower case, variables expanded. */
  readonly headers: Readonly<Record<string, string>>;
  /** How many idle connections of each profile are kept; at most `maxConnections`. */
  readonly keepConnections: number;
  /** Seconds, for a client on stdio. */
  readonly drainTimeout: number;
  /** Undefined if only stdio is served. */
  readonly listener: (ListenerSettings & { readonly drainTimeout: number }) | undefined;
  /** False if the proxy uses neither stdin nor stdout. */
  readonly servesStdio: boolean;
  /** The given environment. Parts of the AWS SDK read `process.env` regardless. */
  readonly env: NodeJS.ProcessEnv;
}

/** The settings, or all problems: each names the option or variable, its bounds and its value. */
export type SettingsOutcome = { readonly settings: Settings } | { readonly problems: readonly string[] };

/**
 * Reads flags, environment and the configuration file of the user into settings, or reports all
 * problems at once. Never throws. Reads no other files than those that options name, and the AWS
 * files if a profile's name or region is needed.
 * @param env - receives the variables of --env-file that it does not have yet.
 * @param sources - `configFile: false`: the configuration file of the user is not read.
 */
export async function readSettings(
  argv: Arguments,
  env: NodeJS.ProcessEnv,
  { configFile = true } = {},
): Promise<SettingsOutcome> {
  const problems = [...argv.problems];
  const envFile = loadEnvFile(argv.options.envFile?.at(-1), env, isForProxy);
  const { taken: fromFile, all: inFile } = envFile;
  const config = configFile ? await loadConfigFile(argv, env, OPTIONS) : NO_CONFIG_FILE;
  const { values, from, problems: valueProblems } = readValues(OPTIONS, argv.options, env, config);
  problems.push(...envFile.problems, ...config.problems, ...valueProblems);

  // An empty variable counts as not set. An empty argument is a mistake, and must not send requests
  // to the default endpoint.
  const { text: endpointText, from: endpointFrom, label } = chooseEndpoint(argv.endpoint, env, config);
  const placeholder = placeholderIn(endpointText);
  const endpoint =
    placeholder === undefined ? readEndpoint(endpointText) : { problem: placeholderProblem(placeholder) };
  if (endpointFrom !== undefined) from.endpoint = endpointFrom;
  if ('problem' in endpoint) {
    // Listed first: no other problem matters while the endpoint is wrong.
    const { problem, meant } = endpoint;
    const hint = meant === undefined ? '' : `; did you mean ${urlWithoutSecrets(meant)} ?`;
    problems.unshift(
      `${label} ${problem}${placeholder === undefined ? `, not ${displayValue(endpointText)}${hint}` : ''}`,
    );
  }

  problems.push(
    ...variableProblems(
      env,
      (name) => isCheckedVariable(name) && !OPTION_VARIABLES.has(name),
      values.region !== undefined,
    ),
  );
  const profiles = [
    ...new Set(
      await profilesIn(
        givenTextsOf('profile', OPTIONS.profile, argv.options, env, config),
        values.profile,
        env,
      ),
    ),
  ];
  const defaultProfile = profiles[0] ?? '';
  // The error of the first request reports a single missing profile, where the user sees it; the
  // profile may exist by then. One of several would be offered to the model before it fails.
  if (profiles.length > 1) {
    const missing = await missingProfiles(profiles, env);
    if (missing) problems.push(`${from.profile} ${missing}`);
  }
  const isGiven = (key: 'roleArn' | 'caBundle'): boolean =>
    Boolean(argv.options[key] ?? (env[variableOf(key)] || config.texts[key]));
  if (!isGiven('roleArn')) problems.push(...rolelessProblems(from));

  const { headers, problems: headerProblems } = readHeaders(values.header, { ...inFile, ...env });
  for (const problem of headerProblems) problems.push(`${from.header} ${problem}`);
  if (headers.authorization !== undefined && setsAuthorization(values.auth)) {
    const owner = signsWithAws(values.auth) ? 'requests are signed' : `--auth ${values.auth} sets it`;
    problems.push(`${from.header} must not set authorization: ${owner} (--auth none sends them unsigned)`);
  }

  problems.push(...regionSetProblems(values.auth, from));
  problems.push(...bearerProblems(values, from, { ...inFile, ...env }));

  const platformLifetime = 'url' in endpoint ? sessionLifetimeAt(endpoint.url) : undefined;
  problems.push(...poolProblems(values, from, platformLifetime));
  problems.push(...(await identityMapProblems(values.identityMap, from.identityMap)));
  const listening = listeningSources(values, from, argv.command);
  problems.push(
    ...listenerProblems(values, { from: listening, profiles: profiles.length, forStdio: STDIO_OPTIONS }),
  );

  const bundle = caBundleOf({ caBundle: undefined, profileCaBundle: undefined, env });
  if (!isGiven('caBundle') && bundle && bundle.from !== 'NODE_EXTRA_CA_CERTS') {
    const problem = bundleProblem(bundle.path);
    if (problem) problems.push(`${bundle.from} ${problem}`);
  }

  if (listening.workers !== undefined) problems.push(...workersProblems(values, from));

  problems.push(...oauthProblems(values, from));
  problems.push(...statusProblems(values, from));
  problems.push(...limitsProblems(values, from));
  problems.push(...retryProblems(values, from));
  problems.push(...accessLogProblems(values, from));
  problems.push(...cloudWatchProblems(values, from, values.auth));
  if ('url' in endpoint) {
    problems.push(...connectToProblems(values.connectTo, endpoint.url, from.connectTo ?? ''));
    problems.push(...sessionHeaderProblems(headers, endpoint.url, values.service, from.header ?? ''));
  }

  const { service, region } = values;
  const signing =
    'url' in endpoint && maySignWithAws(values.auth)
      ? await findScope(values, {
          endpoint: endpoint.url,
          service,
          region,
          from,
          profile: defaultProfile,
          env,
        })
      : undefined;
  // `auto` may need no signature.
  const scopeProblems = signing && 'problems' in signing ? signing.problems : [];
  const found = signing && 'scope' in signing ? signing : undefined;
  if (signsWithAws(values.auth)) problems.push(...scopeProblems);

  if (problems.length > 0 || !('url' in endpoint)) return { problems };
  const keep =
    values.maxKeepaliveConnections ??
    (from.maxConnections === undefined ? DEFAULT_KEEPALIVE_CONNECTIONS : values.maxConnections);
  const listener = listenerOf(values);
  return {
    settings: {
      ...values,
      endpoint: endpoint.url,
      scope: found?.scope,
      scopeProblems,
      signsForRegionSet: found?.isRegionSet === true,
      homeRegion: found?.homeRegion,
      scopeFrom: found?.from ?? { service: '', region: '' },
      profiles,
      defaultProfile,
      from,
      fromFile,
      fileVariables: inFile,
      headers,
      keepConnections: Math.min(keep, values.maxConnections),
      drainTimeout: values.drainTimeout ?? DRAIN_OF_STDIO_S,
      listener: listener && { ...listener, drainTimeout: values.drainTimeout ?? DRAIN_OF_LISTENER_S },
      servesStdio: !listener || values.stdio,
      env,
    },
  };
}

/** Options without effect at the listener, whose clients keep their own sessions. */
const STDIO_OPTIONS = [...Object.keys(poolOptions), 'lazy'];

/** The default of mcp-proxy-for-aws. A given --max-connections keeps that many instead. */
const DEFAULT_KEEPALIVE_CONNECTIONS = 1;

const OPTION_VARIABLES = new Set(
  Object.values(OPTIONS as OptionTable).flatMap((option) => [
    ...(option.env ?? []),
    ...(option.kind === 'list' ? (option.singleEnv ?? []) : []),
  ]),
);

/**
 * The variables that --env-file may set. PATH, NODE_OPTIONS or LD_PRELOAD from a file would decide
 * what a credential_process runs and what the process loads.
 */
const isForProxy = (name: string): boolean =>
  name.startsWith('MCP_PROXY_') || OPTION_VARIABLES.has(name) || isReadVariable(name);

/**
 * Reads a command line (without the name of the program) with the options of this project.
 * `readSettings` checks the values. Never throws: `problems` of the result lists the mistakes.
 */
export const parseArguments = (argv: readonly string[], commands: CommandShapes = {}): Arguments =>
  readArguments(argv, OPTIONS, commands, SHORTHANDS);
