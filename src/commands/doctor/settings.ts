import { flagOf, type Option, type OptionTable, variableOf } from '../../config/option.ts';
import { secretsOfUrl, withoutSecrets } from '../../config/secrets.ts';
import { isMisspellingOf } from '../../config/spelling.ts';
import { ENDPOINT_VARIABLE, OPTIONS, type Settings } from '../../settings.ts';
import { VERSION } from '../../version.ts';
import { relevantVariables } from '../environment.ts';
import { type Finding, ok, warning } from './finding.ts';

export const versionFinding = (): Finding =>
  ok('version', `mcp-sigv4-proxy ${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`);

/** The settings that differ from their defaults, and the variables in use, with their origin. */
export function settingFindings(settings: Settings): Finding[] {
  const { from, env } = settings;
  const options = Object.entries(OPTIONS as OptionTable).flatMap(([key, option]) => {
    const name = from[key];
    if (name === undefined) return [];
    const value: unknown = settings[key as keyof typeof OPTIONS];
    const text = `${optionText(key, option, value)}, ${originText(name, settings)}`;
    const { needs } = option;
    if (needs === undefined || from[needs] !== undefined) return [ok('setting', text)];
    return [warning('setting', text, `It has no effect without ${flagOf(needs)}.`)];
  });
  const variables = relevantVariables(env).map(([name, value]) => {
    const shown = withoutSecrets(value, secretsOfUrl(value, ''));
    return ok('variable', `${name}=${shown}${settings.fromFile.has(name) ? `, ${FROM_FILE}` : ''}`);
  });
  return [...options, ...variables, ...unknownVariables(env)];
}

/** The defaults in use: readers of the report may have a version with other defaults. */
export function defaultsFinding(settings: Settings): Finding {
  const defaults = Object.entries(OPTIONS as OptionTable).flatMap(([key, option]) => {
    const value: unknown = settings[key as keyof typeof OPTIONS];
    const isSet = settings.from[key] !== undefined;
    const { group, needs } = option;
    const isEffective = needs === undefined || settings.from[needs] !== undefined;
    if (!isEffective || (group === 'Listener' && settings.listener === undefined)) return [];
    // An option that is off, or whose default depends on the server, has no value to show.
    const shown = typeof value === 'number' || typeof value === 'string';
    return isSet || !shown ? [] : [optionText(key, option, value)];
  });
  return ok('defaults', defaults.join(', '));
}

/** Unknown variables with the proxy's prefix. Their values are not shown: they may be secret. */
function unknownVariables(env: NodeJS.ProcessEnv): Finding[] {
  const known = [ENDPOINT_VARIABLE, ...Object.keys(OPTIONS).map(variableOf)];
  const given = Object.keys(env).filter((name) => name.startsWith('MCP_PROXY_') && env[name]);
  return given
    .filter((name) => !known.includes(name))
    .map((name) => {
      const similar = known.filter((each) => isMisspellingOf(each, name));
      const guess = similar.length > 0 ? ` Did you mean ${similar.join(' or ')}?` : '';
      return warning('variable', `${name} is not a variable of the proxy`, `It has no effect.${guess}`);
    });
}

function optionText(key: string, option: Option, value: unknown): string {
  const flag = flagOf(key);
  if (option.kind === 'switch') return value === true ? flag : `${flag}=false`;
  const entries: readonly unknown[] = Array.isArray(value) ? value : [value];
  const shown = entries.map((entry) => {
    const text = String(entry);
    return withoutSecrets(text, option.secrets?.(text) ?? []);
  });
  const between = option.kind === 'list' && option.separator === 'entries' ? ` ${flag} ` : ' ';
  return `${flag} ${shown.join(between)}`;
}

const FROM_FILE = 'from the file of --env-file';

const originText = (name: string, { fromFile }: Settings): string => {
  if (name.startsWith('--')) return 'from the command line';
  if (/ (?:of|in) /.test(name)) return `from ${name}`;
  return fromFile.has(name) ? `from ${name} in the file of --env-file` : `from ${name}`;
};

/** The endpoint, and which setting chose it. Its URL was validated before. */
export function endpointFinding(settings: Settings): Finding {
  const { endpoint, from } = settings;
  const url = withoutSecrets(endpoint.href, secretsOfUrl(endpoint.href, ''));
  const origin =
    from.endpoint === undefined
      ? 'the default'
      : from.endpoint === 'the argument'
        ? 'from the command line'
        : originText(from.endpoint, settings);
  return ok('endpoint', `${url}, ${origin}`);
}
