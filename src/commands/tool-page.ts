import { isObject, type JsonObject } from '../core/jsonrpc/message.ts';
import { firstLine, plainText } from '../core/system/plain-text.ts';
import { propertiesOf, resolveSchema, type SchemaProperty, typesOf } from './schema.ts';
import { shellWord } from './shell-word.ts';
import { hintsOf } from './tool-table.ts';

/** Deeper arguments are rare, and schemas may contain themselves. */
const MAX_DEPTH = 4;
const INDENT = '  ';

/** Describes one tool: what it does, its arguments, its hints and an example call. */
export function toolPage(tool: JsonObject, columns: number | undefined): string {
  const { name, title, description, inputSchema, annotations, execution } = tool;
  const properties = propertiesOf(inputSchema, inputSchema);
  const hints = hintsOf(isObject(annotations) ? annotations : {});
  const support = isObject(execution) ? execution.taskSupport : undefined;
  const facts = [
    ...hints,
    ...(support === 'required' || support === 'optional' ? [`runs as a task: ${support}`] : []),
  ];
  const heading =
    typeof title === 'string' && title !== name ? `${String(name)} - ${firstLine(title)}` : String(name);
  const sections = [
    heading,
    typeof description === 'string' ? wrapped(plainText(description).trim(), columns) : '',
    `Arguments:\n${properties.length === 0 ? `${INDENT}none` : argumentLines(properties, inputSchema, columns, 1).join('\n')}`,
    `Hints: ${facts.length > 0 ? facts.join(', ') : 'none'}`,
    `Example:\n${INDENT}${exampleCall(String(name), properties, inputSchema)}`,
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function argumentLines(
  properties: readonly SchemaProperty[],
  root: unknown,
  columns: number | undefined,
  depth: number,
): string[] {
  return properties.flatMap(({ name, schema, required }) => {
    const indent = INDENT.repeat(depth);
    const facts = [typeText(schema, root), ...(required ? ['required'] : []), ...limitsOf(schema)];
    const { description } = schema;
    const text = typeof description === 'string' ? plainText(description).trim() : '';
    const inner = depth < MAX_DEPTH ? innerProperties(schema, root) : [];
    return [
      `${indent}${firstLine(name)}  (${facts.join(', ')})`,
      ...(text === '' ? [] : [wrapped(text, columns, `${indent}${INDENT}${INDENT}`)]),
      ...argumentLines(inner, root, columns, depth + 1),
    ];
  });
}

/** The properties of an object, or of the objects in an array. */
function innerProperties(schema: JsonObject, root: unknown): SchemaProperty[] {
  const own = propertiesOf(schema, root);
  return own.length > 0 ? own : propertiesOf(resolveSchema(schema.items, root), root);
}

function typeText(schema: JsonObject, root: unknown): string {
  const types = typesOf(schema, root);
  const named = types.map((type) => {
    const items = type === 'array' ? typesOf(resolveSchema(schema.items, root), root) : [];
    return items.length === 0 ? type : `array of ${items.join(' or ')}`;
  });
  return named.length === 0 ? 'any' : named.join(' or ');
}

const jsonList = (values: readonly unknown[]): string =>
  values.map((value) => JSON.stringify(value)).join(', ');

/** The bounds that a schema states, as text: `default 10`, `one of "a", "b"`. */
function limitsOf(schema: JsonObject): string[] {
  const { enum: values, const: constant, default: preset, minimum, maximum, pattern, format } = schema;
  const { minLength, maxLength, minItems, maxItems } = schema;
  const range = (least: unknown, most: unknown, unit: string): string[] => {
    if (least === undefined && most === undefined) return [];
    if (least === undefined) return [`at most ${String(most)}${unit}`];
    return [
      most === undefined ? `at least ${String(least)}${unit}` : `${String(least)} to ${String(most)}${unit}`,
    ];
  };
  return [
    ...(Array.isArray(values) ? [`one of ${jsonList(values)}`] : []),
    ...(constant === undefined ? [] : [`always ${JSON.stringify(constant)}`]),
    ...range(minimum, maximum, ''),
    ...range(minLength, maxLength, ' characters'),
    ...range(minItems, maxItems, ' entries'),
    ...(typeof format === 'string' ? [`format ${format}`] : []),
    ...(typeof pattern === 'string' ? [`pattern ${pattern}`] : []),
    ...(preset === undefined ? [] : [`default ${JSON.stringify(preset)}`]),
  ].map((limit) => firstLine(limit));
}

/** A call with an example value for each required argument, ready for the user's shell. */
function exampleCall(name: string, properties: readonly SchemaProperty[], root: unknown): string {
  const pairs = properties
    .filter(({ required }) => required)
    .map(({ name: key, schema }) => shellWord(firstLine(`${key}=${exampleValue(schema, root)}`)));
  return ['mcp-sigv4-proxy call', shellWord(firstLine(name)), ...pairs].join(' ');
}

function exampleValue(schema: JsonObject, root: unknown): string {
  const { examples, default: preset, const: constant, enum: values, minimum } = schema;
  const [given] = [
    constant,
    preset,
    ...(Array.isArray(examples) ? examples : []),
    ...(Array.isArray(values) ? values : []),
  ].filter((value) => value !== undefined);
  if (given !== undefined) return typeof given === 'string' ? given : JSON.stringify(given);
  const [type] = typesOf(schema, root);
  if (type === 'integer' || type === 'number') return String(typeof minimum === 'number' ? minimum : 1);
  if (type === 'boolean') return 'true';
  if (type === 'array') return '[]';
  return type === 'object' ? '{}' : '...';
}

/** Text in lines of at most so many columns; undefined for a pipe, where lines stay as they are. */
export function wrapped(text: string, columns: number | undefined, indent = ''): string {
  const room = columns === undefined ? Number.POSITIVE_INFINITY : Math.max(20, columns - indent.length);
  return text
    .split('\n')
    .flatMap((line) => {
      const lines = [''];
      for (const word of line.trimEnd().split(/(?<=\S)\s+/)) {
        const last = lines.length - 1;
        const joined = lines[last] === '' ? word : `${lines[last]} ${word}`;
        if (joined.length <= room || lines[last] === '') lines[last] = joined;
        else lines.push(word);
      }
      return lines;
    })
    .map((line) => (line === '' ? '' : `${indent}${line}`))
    .join('\n');
}
