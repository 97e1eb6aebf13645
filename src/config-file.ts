import { closeSync, constants, existsSync, readFileSync } from 'node:fs';
import type { Arguments } from './config/argv.ts';
import { type ConfiguredValues, readConfig } from './config/config-values.ts';
import { type OptionTable, text, variableOf } from './config/option.ts';
import { pathOn } from './core/system/platform-path.ts';
import { openTrusted } from './core/system/trusted-file.ts';
import { DEFAULT_ENDPOINT } from './endpoint/endpoint.ts';

/** The start of an endpoint's name in the configuration file: @work. */
const AT = '@';

const nameIn = (endpoint: string | undefined): string | undefined =>
  endpoint?.startsWith(AT) ? endpoint.slice(AT.length) : undefined;

export const ENDPOINT_VARIABLE = 'MCP_PROXY_ENDPOINT';

/** The files of settings. */
export const fileOptions = {
  config: text({
    group: 'Observability',
    placeholder: 'path',
    fallback: undefined,
    defaultText: 'config.json in the configuration folder of the user',
    help: 'JSON file with comments that has options and named endpoints, used as @name. Flags and variables win over it. No file of the current folder is read unless named here',
  }),
  envFile: text({
    group: 'Observability',
    placeholder: 'path',
    fallback: undefined,
    help: 'file of environment variables to read; the real environment wins, and no file is read unless named here',
  }),
} as const satisfies OptionTable;

/** The user's configuration file, undefined without a home. Never one of the current folder. */
export function configPath(
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  const { isAbsolute, join } = pathOn(platform);
  const home = [env.HOME, env.USERPROFILE].find((path) => path && isAbsolute(path));
  if (home === undefined) return undefined;
  const windows = env.APPDATA && isAbsolute(env.APPDATA) ? env.APPDATA : join(home, 'AppData', 'Roaming');
  const xdg =
    env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : join(home, '.config');
  return join(platform === 'win32' ? windows : xdg, 'mcp-sigv4-proxy', 'config.json');
}

export interface ConfigFile extends ConfiguredValues {
  readonly path: string;
  readonly problems: readonly string[];
}

/** The outcome without a file. */
export const NO_CONFIG_FILE: ConfigFile = { path: '', texts: {}, endpoint: undefined, problems: [] };

/**
 * Reads the configuration file, if there is one. The file that --config or its variable names must
 * exist. Never throws.
 */
export async function loadConfigFile(
  { options, endpoint: argument }: Pick<Arguments, 'options' | 'endpoint'>,
  env: NodeJS.ProcessEnv,
  table: OptionTable,
): Promise<ConfigFile> {
  const named = options.config?.at(-1) ?? (env[variableOf('config')] || undefined);
  const path = named ?? configPath(env) ?? '';
  const name = nameIn(argument ?? env[ENDPOINT_VARIABLE]);
  const nothing = { ...NO_CONFIG_FILE, path };
  if (named === undefined && !existsSync(path)) {
    if (name === undefined) return nothing;
    return { ...nothing, problems: [`${AT}${name} needs the file ${path}, which does not exist`] };
  }
  try {
    const fd = openTrusted(path, constants.O_RDONLY);
    const source = readFileSync(fd, 'utf8').replace(/^\uFEFF/, '');
    closeSync(fd);
    const { parse, printParseErrorCode } = await import('jsonc-parser');
    const errors: { error: number; offset: number; length: number }[] = [];
    const document: unknown = parse(source, errors, { allowTrailingComma: true });
    const [first] = errors;
    if (first) {
      const line = source.slice(0, first.offset).split('\n').length;
      return {
        ...nothing,
        problems: [`${path} is no valid JSON: ${printParseErrorCode(first.error)} in line ${line}`],
      };
    }
    const config = readConfig(document, table, name);
    return { ...config, path, problems: config.problems.map((problem) => `${path}: ${problem}`) };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return { ...nothing, problems: [`the configuration file ${path} cannot be read: ${cause}`] };
  }
}

/** The endpoint that the settings choose, and its origin for messages. */
export interface ChosenEndpoint {
  readonly text: string;
  /** Undefined for the default. */
  readonly from: string | undefined;
  /** The start of an error about it. */
  readonly label: string;
}

/**
 * An argument wins over the variable, and that over the configuration file. An argument or variable
 * such as @work stands for an endpoint of the file. Pure.
 */
export function chooseEndpoint(
  argument: string | undefined,
  env: NodeJS.ProcessEnv,
  config: Pick<ConfigFile, 'path' | 'endpoint'>,
): ChosenEndpoint {
  const given = argument ?? (env[ENDPOINT_VARIABLE] || undefined);
  const isInFile = config.endpoint !== undefined && (given === undefined || nameIn(given) !== undefined);
  const origin = argument === undefined ? ENDPOINT_VARIABLE : 'the argument';
  const configured = config.endpoint ?? DEFAULT_ENDPOINT;
  const fromFile = isInFile ? `the endpoint in ${config.path}` : undefined;
  return {
    text: given === undefined || nameIn(given) !== undefined ? configured : given,
    from: given === undefined ? fromFile : origin,
    label: fromFile ?? (argument === undefined ? ENDPOINT_VARIABLE : 'the endpoint'),
  };
}
