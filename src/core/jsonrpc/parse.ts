import { isUtf8 } from 'node:buffer';
import { ProxyError } from '../errors/errors.ts';
import { heapShare } from '../system/heap-share.ts';
import { hasMoreContainersInText } from './containers.ts';
import { findAmbiguousKey } from './deciding-keys.ts';
import { elementsOf, insertMember, memberAt, membersOf, removeMember, spliceText } from './json-spans.ts';
import {
  classify,
  hasMember,
  type Id,
  isId,
  isObject,
  isOneLine,
  type JsonObject,
  type Message,
  parsedOnDemand,
  valueTextAt,
} from './message.ts';

/**
 * The content of a client's line: one message, or the members of a batch, each valid or invalid.
 */
export type Line =
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'batch'; readonly elements: readonly (Message | InvalidMessage)[] }
  | InvalidMessage;

export interface InvalidMessage {
  readonly kind: 'invalid';
  /** Set where an error answer can carry the id; `text` is the client's spelling. */
  readonly id: { readonly value: Id; readonly text: string } | undefined;
  readonly error: ProxyError;
}

const invalid = (id: InvalidMessage['id'], what: string): InvalidMessage => ({
  kind: 'invalid',
  id,
  error: new ProxyError('invalid-request', `Invalid request: ${what}.`, { sent: 'no' }),
});

/** The id for an error about this text. The id of a response names no call of the client. */
function answerableId(text: string, json: unknown): InvalidMessage['id'] {
  if (!isObject(json) || !isId(json.id)) return undefined;
  if (!hasMember(json, 'method') && (hasMember(json, 'result') || hasMember(json, 'error'))) return undefined;
  return { value: json.id, text: valueTextAt(text, ['id']) ?? '' };
}

function readElement(text: string, json: unknown): Message | InvalidMessage {
  const message = classify(text, json);
  if (typeof message === 'string') return invalid(answerableId(text, json), message);
  if (message.json.jsonrpc !== '2.0') return invalid(answerableId(text, json), 'jsonrpc must be "2.0"');
  const doubtful = findAmbiguousKey(text, message.json.method);
  if (doubtful === undefined) return message.kind === 'request' ? parsedOnDemand(message) : message;
  // With two ids, the right one cannot be known.
  const id = doubtful.key === 'id' ? undefined : answerableId(text, json);
  return invalid(id, doubtful.why);
}

/**
 * Members of one batch. Without a bound, the eight million that fit into 16 MB would take minutes
 * and gigabytes.
 */
const MAX_MEMBERS = 1_000;

/** In one line of the client: an empty object of three bytes takes 64 of heap. */
const MAX_LINE_CONTAINERS = Math.floor(heapShare(256 * 1024 * 1024) / 256);

/** Reads one line of the client. Never throws. */
export function readLine(text: string): Line {
  let json: unknown;
  if (hasMoreContainersInText(text, MAX_LINE_CONTAINERS)) {
    return invalid(
      undefined,
      `a message of more than ${MAX_LINE_CONTAINERS} JSON objects and arrays, which is the limit`,
    );
  }
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { kind: 'invalid', id: undefined, error: parseError(withoutQuote(error)) };
  }
  if (Array.isArray(json)) {
    if (json.length === 0) return invalid(undefined, 'an empty batch');
    if (json.length > MAX_MEMBERS) {
      return invalid(undefined, `a batch of ${json.length} messages; more than ${MAX_MEMBERS} are not taken`);
    }
    const texts = elementsOf(text);
    return { kind: 'batch', elements: json.map((element, at) => readElement(texts[at] ?? '', element)) };
  }
  const element = readElement(text, json);
  return element.kind === 'invalid' ? element : { kind: 'message', message: element };
}

/**
 * The message of a JSON.parse error without the quoted text, which must not be logged, and without
 * the line and column that Node 22 adds.
 */
const withoutQuote = (error: unknown): string =>
  (error instanceof Error ? error.message : '')
    .replace(/(^|, )(\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, '')
    .replace(/ \(line \d+ column \d+\)$/, '')
    .trim();

export const parseError = (why: string): ProxyError =>
  new ProxyError('parse-error', `Parse error: the line is not JSON${why ? ` (${why})` : ''}.`, {
    sent: 'no',
  });

/** Encoding 8 MB again takes 9 ms; below this, remembering the bytes costs as much. */
const WORTH_KEEPING_BYTES = 64 * 1024;

/** Keyed by identity, so that an edited copy has no entry. */
const originalBytes = new WeakMap<Message, Buffer>();

/** The bytes that a long message arrived in, where known and on one line. */
export const bytesOf = (message: Message): Buffer | undefined => originalBytes.get(message);

/** @param bytes - of a message on one line, which was read and not edited. */
export const keepBytes = (message: Message, bytes: Buffer): void => {
  originalBytes.set(message, bytes);
};

/** JSON from the server that is not a valid message. */
export interface Unusable {
  readonly kind: 'unusable';
  /** As the server wrote it. */
  readonly text: string;
  /** The id that it names; undefined where it names none. */
  readonly id: Id | undefined;
  /** The fault, as a noun phrase of an error message. */
  readonly what: string;
  /** True where it has a result or an error, so that no other answer will come. */
  readonly isAnswer: boolean;
  /** Present where it was not read: the error for who waits for it. */
  readonly error?: ProxyError;
}

/**
 * Requests and notifications of which only the beginning was read, with the bytes that they have at
 * least.
 */
const truncatedMessages = new WeakMap<Message, number>();

/**
 * The bytes that a message has at least of which only the beginning was read; undefined where all
 * of it was read.
 */
export const truncatedSizeOf = (message: Message): number | undefined => truncatedMessages.get(message);

/**
 * Finds out what a message is that is too long to be read.
 * @param head - the beginning of its text.
 * @returns a request or notification with its id and method only, which must not be passed on; else
 * what may be an answer.
 */
export function readHead(head: string, bytes: number, error: ProxyError): Message | Unusable {
  const { id, method } = scalarsIn(head);
  if (typeof method !== 'string') {
    return {
      kind: 'unusable',
      text: '',
      id: isId(id) ? id : undefined,
      what: 'a message that is too long',
      isAnswer: true,
      error,
    };
  }
  const json = { jsonrpc: '2.0', ...(isId(id) ? { id } : {}), method };
  const text = JSON.stringify(json);
  const message: Message = isId(id)
    ? { kind: 'request', text, json, id, method }
    : { kind: 'notification', text, json, method };
  truncatedMessages.set(message, bytes);
  return message;
}

/** The members of an object whose text breaks off, as far as their values are scalars. */
function scalarsIn(head: string): JsonObject {
  const found: Record<string, unknown> = {};
  try {
    for (const { key, valueSpan } of membersOf(head)) {
      // Truncated text has no reliable end.
      if (valueSpan.end >= head.length) break;
      if (!/^[[{]/.test(head.slice(valueSpan.start, valueSpan.start + 1)))
        found[key] = JSON.parse(head.slice(valueSpan.start, valueSpan.end));
    }
  } catch {
    // It is no JSON: what was found before counts.
  }
  return found;
}

/**
 * Reads what came from the server: one message, or several where an array came (legal in revision
 * 2025-03-26).
 * @param bytes - what it was decoded from; invalid UTF-8 is not kept.
 * @throws SyntaxError where the text is not JSON; what is JSON but no message is left out.
 */
export const readMessages = (text: string, bytes?: Buffer): Message[] =>
  readMessagesAndFaults(text, bytes).filter((found) => found.kind !== 'unusable');

/** As `readUpstream`, with what is no message in its place. */
export function readMessagesAndFaults(text: string, bytes?: Buffer): (Message | Unusable)[] {
  const json: unknown = JSON.parse(text);
  if (!Array.isArray(json)) {
    const found = readMessageOrFault(text, json);
    const isWhole = found.kind !== 'unusable' && found.text === text;
    if (isWhole && bytes && bytes.length >= WORTH_KEEPING_BYTES && isOneLine(bytes) && isUtf8(bytes))
      keepBytes(found, bytes);
    return [found];
  }
  const texts = elementsOf(text);
  return json.map((value: unknown, at) => readMessageOrFault(texts[at] ?? '', value));
}

function readMessageOrFault(text: string, json: unknown): Message | Unusable {
  const message = classify(text, json);
  const fault = typeof message === 'string' ? 'JSON that is no JSON-RPC message' : faultOf(message);
  if (typeof message !== 'string' && fault === undefined) return repairMessage(message);
  const object = isObject(json) ? json : {};
  return {
    kind: 'unusable',
    text,
    id: isId(object.id) ? object.id : undefined,
    what: fault ?? '',
    isAnswer: !hasMember(object, 'method') && (hasMember(object, 'result') || hasMember(object, 'error')),
  };
}

/** Why strict clients would drop this message; undefined where they accept it. Pure. */
function faultOf(message: Message): string | undefined {
  const { json } = message;
  if (message.kind !== 'response') {
    const { params } = json;
    const fits =
      (params === undefined || typeof params === 'object') &&
      (message.kind !== 'request' || isValidId(message.id));
    return fits ? undefined : `a ${message.kind} that is no JSON-RPC message`;
  }
  if (message.outcome === 'error')
    return isErrorObject(json.error) ? undefined : 'an error that is not a JSON-RPC error object';
  return undefined;
}

const isValidId = (id: Id): boolean => typeof id === 'string' || Number.isInteger(id);

/** Some gateways return `{"error": "Unauthorized"}`, which clients reject as JSON-RPC. */
export const isErrorObject = (value: unknown): boolean =>
  isObject(value) && Number.isInteger(value.code) && typeof value.message === 'string';

/**
 * Repairs envelopes that strict clients drop: `"result": null` beside `error` (AWS), `"error":
 * null` beside `result`, `"result": null` alone, which MCP writes `{}`, `"params": null`, and a
 * missing `jsonrpc`.
 */
function repairMessage(message: Message): Message {
  let text = message.text;
  if (message.kind === 'response') {
    const surplus = message.outcome === 'error' ? 'result' : 'error';
    if (hasMember(message.json, surplus)) text = removeMember(text, surplus);
    const nothing = message.json.result === null ? memberAt(text, ['result']) : undefined;
    if (nothing) text = spliceText(text, nothing.valueSpan, '{}');
  } else if (message.json.params === null) text = removeMember(text, 'params');
  if (message.json.jsonrpc !== '2.0') {
    const wrong = memberAt(text, ['jsonrpc']);
    text = wrong ? spliceText(text, wrong.valueSpan, '"2.0"') : insertMember(text, 0, 'jsonrpc', '"2.0"');
  }
  return text === message.text ? message : { ...message, text, json: JSON.parse(text) };
}
