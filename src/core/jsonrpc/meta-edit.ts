import { insertMember, membersOf, removeMember, skipValue, spliceText, valueStartOf } from './json-spans.ts';
import { hasMember, isObject, type JsonObject, parsedOnDemand, type Request } from './message.ts';

/** Fields of `params._meta`. */
export type MetaFields = Readonly<Record<string, string>>;

const NO_FIELDS: MetaFields = {};

/** Not spread: two spreads in one literal cost ten times as much. `assign` cannot set __proto__. */
const joined = (one: MetaFields, other: MetaFields): MetaFields =>
  hasMember(one, '__proto__') ? { ...one, ...other } : Object.assign({}, one, other);

/** Text that JSON writes as it is. */
const PLAIN = /^[\w-]*$/;

/** The JSON text of the keys that are added, by key: few keys are. */
const keyTexts = new Map<string, string>();
const MAX_KEY_TEXTS = 64;

function keyText(key: string): string {
  let text = keyTexts.get(key);
  if (text === undefined) {
    text = `${JSON.stringify(key)}:`;
    if (keyTexts.size < MAX_KEY_TEXTS) keyTexts.set(key, text);
  }
  return text;
}

let lastFields = NO_FIELDS;
let lastText = '{}';

/** The JSON text of both. That of the first is kept: nearly all calls of a profile add the same. */
function textOf(missing: MetaFields, replacing: MetaFields): string {
  if (missing !== lastFields) {
    lastFields = missing;
    lastText = JSON.stringify(missing);
  }
  if (replacing === NO_FIELDS) return lastText;
  let text = lastText.slice(0, -1);
  for (const key in replacing) {
    if (hasMember(missing, key)) return JSON.stringify(joined(missing, replacing));
    const value = replacing[key] ?? '';
    text += text === '{' ? '' : ',';
    text += keyText(key) + (PLAIN.test(value) ? `"${value}"` : JSON.stringify(value));
  }
  return `${text}}`;
}

function isEmpty(fields: MetaFields): boolean {
  for (const _ in fields) return false;
  return true;
}

const PARAMS_KEY = '"params"';

/**
 * Where the value of `params` starts. A search finds the key in most messages: a match is a whole
 * string, because a quote inside of one is escaped, and it is a key of the message itself if only
 * the brace of the message precedes it.
 */
function paramsStartOf(text: string): number | undefined {
  const key = text.indexOf(PARAMS_KEY);
  const value = key + PARAMS_KEY.length + 1;
  const isKey = key > 0 && text.charCodeAt(value - 1) === COLON && text.charCodeAt(value) === OPEN_BRACE;
  if (isKey && text.lastIndexOf('{', key) === text.indexOf('{')) return value;
  return valueStartOf(text, 'params');
}

const COLON = 0x3a;
const OPEN_BRACE = 0x7b;

/**
 * Adds missing keys to `params._meta`, and creates both where needed; the client's keys win. It
 * reads no further than the edit and parses nothing again, because a client's request repeats no
 * deciding key.
 * @param replacing - keys that replace the client's.
 */
export function withMeta(request: Request, missing: MetaFields, replacing: MetaFields = NO_FIELDS): Request {
  const { text, json } = request;
  const { params } = json;
  const additions =
    replacing === NO_FIELDS ? missing : isEmpty(missing) ? replacing : joined(missing, replacing);
  const edited = (newText: string, newParams: JsonObject): Request =>
    parsedOnDemand({ ...request, text: newText, json: { ...json, params: newParams } });
  const start = paramsStartOf(text);
  if (start === undefined) {
    // After the last member, so that the line still starts the way its client writes it.
    const last = membersOf(text).at(-1);
    const at = last?.valueSpan.end ?? 1;
    const member = `${last ? ',' : ''}"params":${JSON.stringify({ _meta: additions })}`;
    return edited(spliceText(text, { start: at, end: at }, member), { _meta: additions });
  }
  if (!isObject(params)) return request;
  const { _meta: present } = params;
  const metaStart = hasMember(params, '_meta') ? valueStartOf(text, '_meta', start) : undefined;
  if (metaStart === undefined) {
    const meta = textOf(missing, replacing);
    // First, as in the text; and a key added behind a spread costs V8 a hidden class for every
    // object.
    return edited(insertMember(text, start, '_meta', meta), { _meta: additions, ...params });
  }
  if (!isObject(present)) {
    const span = { start: metaStart, end: skipValue(text, metaStart) };
    return edited(spliceText(text, span, JSON.stringify(additions)), { ...params, _meta: additions });
  }
  let newText = text;
  for (const [key, value] of Object.entries(additions)) {
    const isPresent = hasMember(present, key);
    if (isPresent && !hasMember(replacing, key)) continue;
    // All of that name: the last of several would win.
    if (isPresent) newText = removeMember(newText, key, metaStart);
    newText = insertMember(newText, metaStart, key, JSON.stringify(value));
  }
  const meta = { ...missing, ...present, ...replacing };
  return newText === text ? request : edited(newText, { ...params, _meta: meta });
}
