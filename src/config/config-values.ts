import { flagOf, type Option, type OptionTable } from './option.ts';
import { didYouMean } from './spelling.ts';

/** The settings of a configuration file for all endpoints, or for one with a name. */
export interface ConfiguredValues {
  /** Texts per option key, as flags give them. */
  readonly texts: Readonly<Record<string, readonly string[]>>;
  readonly endpoint: string | undefined;
}

export type ConfigOutcome = ConfiguredValues & { readonly problems: readonly string[] };

/** Read before the configuration file, or meaningless in it. */
const NOT_IN_FILE: readonly string[] = ['config', 'envFile'];

/** The name of an option in the file: that of its flag. */
export const configNameOf = (key: string): string => flagOf(key).slice(2);

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads the parsed configuration file. The settings of the named endpoint win over others. Pure.
 * @param name - the name after @; undefined where the command line names no endpoint of the file.
 */
export function readConfig(document: unknown, table: OptionTable, name: string | undefined): ConfigOutcome {
  if (!isObject(document)) return { ...NOTHING, problems: ['must contain a JSON object'] };
  const { endpoints = {}, $schema: _schema, ...general } = document;
  if (!isObject(endpoints)) return { ...NOTHING, problems: ['endpoints must be an object'] };
  const sections = Object.entries(endpoints).map(
    ([each, value]) => [each, section(value, table, `endpoints.${each}.`)] as const,
  );
  const common = section(general, table, '');
  const problems = [...common.problems, ...sections.flatMap(([, { problems: found }]) => found)];
  if (name === undefined) return { ...common, problems };
  const named = sections.find(([each]) => each === name)?.[1];
  if (!named) {
    const names = Object.keys(endpoints);
    const choice = names.length === 0 ? 'there are none' : `there are: ${names.join(', ')}`;
    return {
      ...common,
      problems: [...problems, `has no endpoint ${JSON.stringify(name)}; ${choice}${didYouMean(name, names)}`],
    };
  }
  if (named.endpoint === undefined) problems.push(`endpoints.${name} has no endpoint`);
  return { texts: { ...common.texts, ...named.texts }, endpoint: named.endpoint, problems };
}

const NOTHING: ConfiguredValues = { texts: {}, endpoint: undefined };

function section(value: unknown, table: OptionTable, prefix: string): ConfigOutcome {
  if (!isObject(value)) return { ...NOTHING, problems: [`${prefix.slice(0, -1)} must be an object`] };
  const keys = new Map(
    Object.keys(table)
      .filter((key) => !NOT_IN_FILE.includes(key))
      .map((key) => [configNameOf(key), key]),
  );
  const { endpoint, ...options } = value;
  const problems: string[] = [];
  if (endpoint !== undefined && typeof endpoint !== 'string') problems.push(`${prefix}endpoint must be text`);
  const texts: Record<string, readonly string[]> = {};
  for (const [name, given] of Object.entries(options)) {
    const key = keys.get(name);
    const option = key === undefined ? undefined : table[key];
    const read = option && textsOf(option, given);
    if (key === undefined)
      problems.push(`${prefix}${name} is not an option${didYouMean(name, [...keys.keys()])}`);
    else if (read === undefined) problems.push(`${prefix}${name} must be ${option ? typeText(option) : ''}`);
    else texts[key] = read;
  }
  return { texts, endpoint: typeof endpoint === 'string' ? endpoint : undefined, problems };
}

/** The JSON type of an option's value, as a phrase for an error. */
function typeText({ kind }: Option): string {
  if (kind === 'switch') return 'true or false';
  if (kind === 'list') return 'text, or a list of texts';
  return kind === 'number' ? 'a number, or text such as "30s"' : 'text';
}

/** The texts of a value, of which the option checks the content; undefined for a wrong type. */
function textsOf({ kind }: Option, value: unknown): readonly string[] | undefined {
  if (typeof value === 'string' && value !== '' && kind !== 'switch') return [value];
  if (kind === 'switch' && typeof value === 'boolean') return [String(value)];
  if (kind === 'number' && typeof value === 'number') return [String(value)];
  const isList = kind === 'list' && Array.isArray(value) && value.length > 0;
  return isList && value.every((entry) => typeof entry === 'string' && entry !== '')
    ? (value as string[])
    : undefined;
}

/** The JSON Schema of the file. */
export function configSchema(table: OptionTable): unknown {
  const options = Object.fromEntries(
    Object.entries(table)
      .filter(([key]) => !NOT_IN_FILE.includes(key))
      .map(([key, option]) => [configNameOf(key), { description: option.help, ...schemaOf(option) }]),
  );
  const endpoint = { description: 'URL, or the ARN of an AgentCore runtime or gateway', type: 'string' };
  const named = {
    type: 'object',
    properties: { endpoint, ...options },
    required: ['endpoint'],
    additionalProperties: false,
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration file of mcp-sigv4-proxy',
    type: 'object',
    properties: {
      $schema: { type: 'string' },
      endpoint,
      ...options,
      endpoints: {
        description: 'endpoints with names, used as @name, and the options of each',
        type: 'object',
        additionalProperties: named,
      },
    },
    additionalProperties: false,
  };
}

function schemaOf(option: Option): object {
  switch (option.kind) {
    case 'switch':
      return { type: 'boolean' };
    case 'number':
      return { type: [option.integer ? 'integer' : 'number', 'string'] };
    case 'list':
      return { type: ['string', 'array'], items: { type: 'string' } };
    case 'text':
      return option.choices ? { enum: option.choices } : { type: 'string' };
  }
}
