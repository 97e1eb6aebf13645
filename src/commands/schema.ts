import { isObject, type JsonObject } from '../core/jsonrpc/message.ts';

/** Schemas refer to themselves; a longer chain of references is not followed. */
const MAX_REFERENCES = 8;

export interface SchemaProperty {
  readonly name: string;
  readonly schema: JsonObject;
  readonly required: boolean;
}

/** The schema behind local references: `{"$ref":"#/$defs/Filter"}`. */
export function resolveSchema(schema: unknown, root: unknown): JsonObject {
  let current = schema;
  for (let count = 0; count < MAX_REFERENCES && isObject(current); count++) {
    const { $ref: reference, ...rest } = current;
    if (typeof reference !== 'string' || !reference.startsWith('#')) return current;
    let target = root;
    for (const part of reference.split('/').slice(1)) {
      const key = decodedOf(part).replaceAll('~1', '/').replaceAll('~0', '~');
      target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
    }
    current = { ...(isObject(target) ? target : {}), ...rest };
  }
  return isObject(current) ? current : {};
}

function decodedOf(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const ALTERNATIVES = ['anyOf', 'oneOf', 'allOf'] as const;

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The JSON type of a value: `integer` where a number has no fraction. */
export function jsonTypeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** The JSON types that a schema allows; empty where it allows any. */
export function typesOf(schema: unknown, root: unknown, depth = 0): string[] {
  const { type, enum: values, const: constant, ...rest } = resolveSchema(schema, root);
  if (typeof type === 'string') return [type];
  if (Array.isArray(type)) return type.filter((each) => typeof each === 'string');
  if (Array.isArray(values)) return [...new Set(values.map(jsonTypeOf))];
  if (constant !== undefined) return [jsonTypeOf(constant)];
  if (depth === MAX_REFERENCES) return [];
  const inner = ALTERNATIVES.flatMap((key) =>
    listOf(rest[key]).map((each) => typesOf(each, root, depth + 1)),
  );
  if (inner.length > 0) return [...new Set(inner.flat())];
  return isObject(rest.properties) ? ['object'] : [];
}

/** The properties of an object schema, in the server's order. */
export function propertiesOf(schema: unknown, root: unknown): SchemaProperty[] {
  const resolved = resolveSchema(schema, root);
  const parts = [resolved, ...listOf(resolved.allOf).map((each) => resolveSchema(each, root))];
  const required = new Set(parts.flatMap((part) => listOf(part.required)));
  return parts.flatMap(({ properties }) =>
    Object.entries(isObject(properties) ? properties : {}).map(([name, each]) => ({
      name,
      schema: resolveSchema(each, root),
      required: required.has(name),
    })),
  );
}
