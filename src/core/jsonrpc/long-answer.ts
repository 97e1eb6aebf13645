import { isAscii, isUtf8 } from 'node:buffer';
import { hasMoreContainersInText } from './containers.ts';
import { isOneLine, type JsonObject, type Response } from './message.ts';
import { CUT, outlineOf } from './outline.ts';
import { keepBytes, readMessagesAndFaults } from './parse.ts';

/** Shorter answers are read whole as fast. */
const LONG_ANSWER_BYTES = 256 * 1024;

const outlines = new WeakMap<Response, JsonObject>();

/**
 * The JSON of an answer, whose long strings may be cut: for decisions by other members.
 */
export const outlineJsonOf = (answer: Response): JsonObject => outlines.get(answer) ?? answer.json;

/**
 * Reads an answer by its outline, so that its text and what is parsed of it take no memory unless
 * they are needed: 64 MB of bytes would be with 128 MB of them.
 * @param bytes - in UTF-8.
 * @param mostContainers - objects and arrays that are read.
 * @returns undefined where it has to be read whole: it is short, has no long string, or has faults.
 */
export function readLongAnswer(bytes: Buffer, mostContainers: number): Response | undefined {
  if (bytes.length < LONG_ANSWER_BYTES || !isUtf8(bytes) || !isOneLine(bytes)) return undefined;
  const outline = outlineOf(bytes);
  if (outline === undefined || hasMoreContainersInText(outline, mostContainers)) return undefined;
  const answer = soundAnswer(outline);
  if (!answer || (typeof answer.id === 'string' && answer.id.includes(CUT))) return undefined;
  const long = readOnDemand(answer, bytes);
  outlines.set(long, answer.json);
  keepBytes(long, bytes);
  return long;
}

/** The response that a text consists of, where it needs no repair. */
function soundAnswer(text: string): Response | undefined {
  try {
    const [found, ...more] = readMessagesAndFaults(text);
    const isSound = found?.kind === 'response' && found.text === text && more.length === 0;
    return isSound ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Not a class: an edited copy takes both members by a spread. */
function readOnDemand({ kind, id, outcome }: Response, bytes: Buffer): Response {
  let text: string | undefined;
  let json: JsonObject | undefined;
  return {
    kind,
    id,
    outcome,
    get text(): string {
      text ??= bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
      return text;
    },
    get json(): JsonObject {
      json ??= JSON.parse(this.text) as JsonObject;
      return json;
    },
  };
}
