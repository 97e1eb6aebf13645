import { isObject, type JsonObject } from '../../core/jsonrpc/message.ts';
import type { BodySink, HttpFacts } from '../../core/pipeline/call.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';

/** Bytes of an answer that are kept to find an error in it; error answers are far shorter. */
const MAX_SAMPLE_BYTES = 64 * 1024;
/** Bytes before the end in which a long tool result states `isError`: servers write it last. */
const MAX_TAIL_BYTES = 256;

/**
 * Attempts to read an answer that comes in many pieces: each costs as much as the sample is long.
 */
const MAX_READS = 8;

const ERROR_KEY = Buffer.from('"error"');
const TOOL_ERROR_KEY = Buffer.from('"isError"');
/** Quotes inside of JSON strings are escaped, so that only a key matches. */
const TOOL_ERROR = /"isError"\s*:\s*true/;

/**
 * Wraps the sink of an answer that passes through unread, so that the record counts its bytes and
 * finds an error in it.
 */
export function sampleAnswer(
  record: CallRecord,
  { status, headers }: HttpFacts,
  sink: BodySink | undefined,
): BodySink | undefined {
  if (!sink) return undefined;
  if (status >= 400) record.failed('http-status', undefined);
  const type = headers['content-type'];
  const isStream = typeof type === 'string' && type.toLowerCase().startsWith('text/event-stream');
  const sample: Buffer[] = [];
  let sampled = 0;
  let reads = 0;
  let suspect = false;
  let edge: Buffer = Buffer.alloc(0);
  const judge = (chunk: Buffer): void => {
    record.responseBytes += chunk.length;
    if (sampled + chunk.length <= MAX_SAMPLE_BYTES) {
      sample.push(chunk);
      sampled += chunk.length;
      // The key itself may be cut.
      suspect ||= hasKey(chunk) || hasKey(Buffer.concat([edge, chunk.subarray(0, TOOL_ERROR_KEY.length)]));
      edge = chunk.subarray(-TOOL_ERROR_KEY.length);
      if (suspect && reads++ < MAX_READS) judgeText(record, sample, isStream);
    } else if (record.method === 'tools/call') {
      const tail = chunk.subarray(-MAX_TAIL_BYTES);
      if (tail.includes(TOOL_ERROR_KEY) && TOOL_ERROR.test(tail.toString('latin1')))
        record.outcome = 'tool_error';
    }
  };
  const { onSlow } = sink;
  return {
    write: (chunk) => {
      judge(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      return sink.write(chunk);
    },
    ...(onSlow ? { onSlow: (listener) => onSlow.call(sink, listener) } : {}),
  };
}

const hasKey = (bytes: Buffer): boolean => bytes.includes(ERROR_KEY) || bytes.includes(TOOL_ERROR_KEY);

/** The answer may come in pieces: each end of one is tried, and only a whole message counts. */
function judgeText(record: CallRecord, sample: readonly Buffer[], isStream: boolean): void {
  const text = Buffer.concat(sample).toString('utf8');
  for (const part of isStream ? dataOf(text) : [text]) {
    const json = parsed(part);
    if (json && 'id' in json && ('error' in json || 'result' in json)) {
      record.judge(json, 'error' in json ? 'error' : 'result');
    }
  }
}

/** The data of each event, without those that neither contain an error nor the answer. */
function dataOf(stream: string): string[] {
  return stream
    .split('\n')
    .filter((line) => line.startsWith('data:') && (line.includes('"error"') || line.includes('"isError"')))
    .map((line) => line.slice(5));
}

function parsed(text: string): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}
