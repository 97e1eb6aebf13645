import type { ServerResponse } from 'node:http';
import zlib from 'node:zlib';
import type { RecordedRequest } from './scripted-server.ts';

/** The environment of a process that has little memory. */
export const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=256' };

const MEGABYTE = 1_000_000;

/** Blocks are compressed once: an attack is small on the wire, and quick to make. */
const repeated = (block: string, times: number): Buffer => {
  const member = zlib.gzipSync(Buffer.from(block));
  return Buffer.concat(Array.from({ length: times }, () => member));
};

const answer = (id: unknown, value: string): string =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[],"x":${value}}}`;

type Attack = (request: RecordedRequest, response: ServerResponse) => void;

const JSON_TYPE = 'application/json';
const SSE_TYPE = 'text/event-stream';

const send = (
  response: ServerResponse,
  body: Buffer | string,
  { type = JSON_TYPE, encoding, status = 200 }: { type?: string; encoding?: string; status?: number } = {},
): void => {
  const headers = { 'content-type': type, ...(encoding ? { 'content-encoding': encoding } : {}) };
  response.on('error', () => undefined);
  response.writeHead(status, headers).end(body);
};

const spaces = ' '.repeat(MEGABYTE);
/** 3 bytes each on the way, 64 in the heap. */
const objects = (count: number): string => `[${'{},'.repeat(count)}0]`;
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const gzip = (text: string): Buffer => zlib.gzipSync(text, { level: 1 });

const gzippedSpaces = repeated(spaces, 300);
const gzippedLines = repeated('data:\n'.repeat(200_000), 200);
const gzippedData = Buffer.concat([zlib.gzipSync('data: '), repeated('x'.repeat(MEGABYTE), 300)]);
const deflated = zlib.deflateSync(Buffer.alloc(60 * MEGABYTE, ' '), { level: 1 });
const brotli = zlib.brotliCompressSync(Buffer.alloc(60 * MEGABYTE, ' '), {
  params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 },
});
const tooLong = /is longer than the 10420224 bytes .*--max-line/;
const tooMany = /JSON objects and arrays .*--max-line/;

/** The server's answer to a call, and the error that its client receives. */
export const ANSWERS: readonly (readonly [what: string, attack: Attack, error: RegExp])[] = [
  ['JSON in gzip', (_q, r) => send(r, gzippedSpaces, { encoding: 'gzip' }), tooLong],
  ['JSON in deflate', (_q, r) => send(r, deflated, { encoding: 'deflate' }), tooLong],
  ['JSON in Brotli', (_q, r) => send(r, brotli, { encoding: 'br' }), tooLong],
  [
    'JSON of empty objects',
    ({ rpc }, r) => send(r, gzip(answer(rpc.id, objects(3_000_000))), { encoding: 'gzip' }),
    tooMany,
  ],
  [
    'JSON of nested arrays',
    ({ rpc }, r) => send(r, gzip(answer(rpc.id, nested(4_000_000))), { encoding: 'gzip' }),
    tooMany,
  ],
  ['an event of one line', (_q, r) => send(r, gzippedData, { encoding: 'gzip', type: SSE_TYPE }), tooLong],
  [
    'an event of empty data lines',
    (_q, r) => send(r, gzippedLines, { encoding: 'gzip', type: SSE_TYPE }),
    tooLong,
  ],
  [
    'an event of empty objects',
    ({ rpc }, r) =>
      send(r, gzip(`data: ${answer(rpc.id, objects(3_000_000))}\n\n`), { encoding: 'gzip', type: SSE_TYPE }),
    tooMany,
  ],
  [
    'JSON that is labelled as events',
    (_q, r) =>
      send(r, Buffer.concat([zlib.gzipSync('{'), gzippedSpaces]), { encoding: 'gzip', type: SSE_TYPE }),
    tooLong,
  ],
  [
    'an error body',
    (_q, r) => send(r, gzippedSpaces, { encoding: 'gzip', status: 403 }),
    /HTTP 403 with a body of more than 1048576 bytes/,
  ],
  [
    'headers',
    (_q, r) => {
      for (let n = 0; n < 10; n++) r.setHeader(`x-${n}`, 'h'.repeat(8_000));
      send(r, '{}');
    },
    /headers of more than 65536 bytes, which is the limit/,
  ],
];

/** A list of one tool whose description takes four bytes of heap for each character. */
export const heavyTool = (characters: number): string =>
  `[{"name":"heavy","description":"${'\u0436'.repeat(characters)}","inputSchema":{"type":"object"}}]`;

/** A list of one tool whose `_meta` is nested more deeply than any stack allows. */
export const nestedTool = (depth: number): string =>
  `[{"name":"deep","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true},"_meta":{"x":${nested(depth)}}}]`;

/** JSON that the client sends, small on the way and large in the heap. */
export const heavyArguments = objects;
export const gzipped = gzip;
