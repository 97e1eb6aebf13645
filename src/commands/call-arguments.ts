import { insertMember, memberAt, spliceText } from '../core/jsonrpc/json-spans.ts';
import { isObject } from '../core/jsonrpc/message.ts';
import { jsonTypeOf, propertiesOf, resolveSchema, typesOf } from './schema.ts';

/** An argument as the user wrote it: `name=value`. */
export interface Pair {
  readonly name: string;
  readonly text: string;
}

export type ArgumentsText = { readonly text: string } | { readonly problems: readonly string[] };

export const pairOf = (word: string): Pair => {
  const equals = word.indexOf('=');
  return { name: word.slice(0, equals), text: word.slice(equals + 1) };
};

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/**
 * The JSON text of one value, by the types of its schema. Numbers keep the user's spelling. A
 * problem does not quote the value, which may be a secret.
 * @param types - empty where the schema allows any type: JSON is taken as JSON, other text as text.
 */
export function typedValue(
  text: string,
  types: readonly string[],
): { readonly json: string } | { readonly problem: string } {
  const asText = { json: JSON.stringify(text) };
  if (types.includes('string') && types.every((type) => type === 'string' || type === 'null')) return asText;
  const found = parsed(text);
  if (types.length === 0) return found ? { json: text.trim() } : asText;
  const type = found && jsonTypeOf(found.value);
  const fits =
    type !== undefined && (types.includes(type) || (type === 'integer' && types.includes('number')));
  if (fits) return { json: text.trim() };
  return types.includes('string') ? asText : { problem: `must be ${types.map(typeText).join(' or ')}` };
}

const typeText = (type: string): string => {
  if (type === 'boolean') return 'true or false';
  if (type === 'object') return 'a JSON object';
  if (type === 'array') return 'a JSON array';
  return type === 'null' ? 'null' : `${type === 'integer' ? 'an' : 'a'} ${type}`;
};

/** The JSON text of one argument: several values, or one that is no array, form an array. */
function argumentJson(texts: readonly string[], schema: unknown, root: unknown) {
  const types = typesOf(schema, root);
  const [first = ''] = texts;
  const whole = typedValue(first, types);
  const isList = types.includes('array') && !types.includes('string');
  if (texts.length === 1 && (!isList || 'json' in whole)) return whole;
  if (!isList) return { problem: 'is given more than once, and its type is not array' };
  const itemTypes = typesOf(resolveSchema(schema, root).items, root);
  const items = texts.map((text) => typedValue(text, itemTypes));
  const wrong = items.find((item) => 'problem' in item);
  if (wrong) return wrong;
  return { json: `[${items.map((item) => ('json' in item ? item.json : '')).join(',')}]` };
}

/**
 * Adds `name=value` pairs to the text of an arguments object. A pair replaces the argument of its
 * name.
 * @param base - a JSON object.
 * @param inputSchema - the schema of the tool's arguments; undefined where the tool has none.
 */
export function withPairs(base: string, pairs: readonly Pair[], inputSchema: unknown): ArgumentsText {
  const properties = new Map(
    propertiesOf(inputSchema, inputSchema).map(({ name, schema }) => [name, schema]),
  );
  const texts = new Map<string, string[]>();
  for (const { name, text } of pairs) texts.set(name, [...(texts.get(name) ?? []), text]);
  const problems: string[] = [];
  let object = base;
  for (const [name, values] of texts) {
    const value = argumentJson(values, properties.get(name), inputSchema);
    if ('problem' in value) problems.push(`${name} ${value.problem}`);
    else object = withMember(object, name, value.json);
  }
  return problems.length > 0 ? { problems } : { text: object };
}

function withMember(object: string, name: string, json: string): string {
  const member = memberAt(object, [name]);
  return member ? spliceText(object, member.valueSpan, json) : insertMember(object, 0, name, json);
}

/** True where the text is a JSON object. */
export const isJsonObject = (text: string): boolean => {
  const found = parsed(text);
  return found !== undefined && isObject(found.value);
};
