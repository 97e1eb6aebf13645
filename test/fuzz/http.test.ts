import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { frontFor } from '../client/http/http-rig.ts';
import { FUZZ_TIMEOUT, fuzz } from '../support/fuzz.ts';

/**
 * Reads requests strictly by RFC 9112, except that several blanks may precede the version. Reading ends
 * at bytes that two readers could split differently, and nothing after them counts as a request.
 * @returns the bodies of the POSTs that are to be carried, and whether all of the text was understood.
 */
function strictly(text: string): { bodies: string[]; all: boolean } {
  const bodies: string[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const [first = '', ...lines] = rest.slice(0, Math.max(end, 0)).split('\r\n');
    if (end < 0 || !/^(GET|POST|DELETE|OPTIONS|PUT) \/[!-~]* +HTTP\/1\.1$/.test(first))
      return { bodies, all: false };
    const fields = lines.map((line) => /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~]*?)[ \t]*$/.exec(line));
    if (fields.some((field) => field === null)) return { bodies, all: false };
    const valuesOf = (name: string): string[] =>
      fields.flatMap((field) => (field?.[1]?.toLowerCase() === name ? [field[2] ?? ''] : []));
    const body = bodyOf(rest.slice(end + 4), valuesOf('content-length'), valuesOf('transfer-encoding'));
    if (body === undefined) return { bodies, all: false };
    if (!isAdmitted(first, valuesOf)) return { bodies, all: true };
    if (first.startsWith('POST')) bodies.push(body.text);
    rest = body.rest;
  }
  return { bodies, all: true };
}

function bodyOf(
  text: string,
  lengths: readonly string[],
  encodings: readonly string[],
): { text: string; rest: string } | undefined {
  if (encodings.length === 0) {
    const [length = '0'] = lengths;
    if (lengths.length > 1 || !/^\d+$/.test(length) || text.length < Number(length)) return undefined;
    return { text: text.slice(0, Number(length)), rest: text.slice(Number(length)) };
  }
  if (lengths.length > 0 || encodings.length > 1 || encodings[0] !== 'chunked') return undefined;
  let body = '';
  let rest = text;
  for (;;) {
    const [head, size] = /^([0-9a-fA-F]{1,6})\r\n/.exec(rest) ?? [];
    if (head === undefined || size === undefined) return undefined;
    const length = Number.parseInt(size, 16);
    if (length === 0) {
      const [trailers] = /^0+\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~\t]*\r\n)*\r\n/.exec(rest) ?? [];
      return trailers === undefined ? undefined : { text: body, rest: rest.slice(trailers.length) };
    }
    const chunk = rest.slice(head.length, head.length + length);
    if (!rest.startsWith('\r\n', head.length + length)) return undefined;
    rest = rest.slice(head.length + length + 2);
    body += chunk;
  }
}

/** A GET of events, or a POST of JSON, at /mcp, from this machine, and not from a page of another site. */
function isAdmitted(first: string, valuesOf: (name: string) => string[]): boolean {
  const [host, ...hosts] = valuesOf('host');
  const [site] = valuesOf('sec-fetch-site');
  const [type] = valuesOf('content-type');
  return (
    /^(GET|POST) \/mcp +HTTP\/1\.1$/.test(first) &&
    hosts.length === 0 &&
    (host === 'localhost' || host === '127.0.0.1:80') &&
    valuesOf('origin').every((origin) => origin === 'http://localhost:1') &&
    (site === undefined || site === 'none' || valuesOf('origin').length > 0) &&
    (type === 'application/json' || first.startsWith('GET'))
  );
}

const CRLF = '\r\n';
const usually = (common: string, ...rare: string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(common) }, { weight: 1, arbitrary: fc.constantFrom(...rare) });

const body = fc.constantFrom('{}', '[]', '0', '"POST /mcp HTTP/1.1"', '\r\n\r\n', '');
const framed = body.chain((text) => {
  const hex = text.length.toString(16);
  const length = String(text.length);
  const chunk = text === '' ? '' : `${hex}${CRLF}${text}${CRLF}`;
  return fc.oneof(
    {
      weight: 6,
      arbitrary: usually(
        `Content-Length: ${length}${CRLF}${CRLF}${text}`,
        `Content-Length: ${length}${CRLF}Content-Length: ${length}${CRLF}${CRLF}${text}`,
        `Content-Length: ${length}${CRLF}Content-Length: 0${CRLF}${CRLF}${text}`,
        `Content-Length: +${length}${CRLF}${CRLF}${text}`,
        `Content-Length : ${length}${CRLF}${CRLF}${text}`,
        `Content-Length: ${length}, ${length}${CRLF}${CRLF}${text}`,
        `Content-Length: 0x${hex}${CRLF}${CRLF}${text}`,
        `Content-Length: ${text.length + 1}${CRLF}${CRLF}${text}`,
        `Content_Length: ${length}${CRLF}Content-Length: ${length}${CRLF}${CRLF}${text}`,
      ),
    },
    {
      weight: 3,
      arbitrary: usually(
        `Transfer-Encoding: chunked${CRLF}${CRLF}${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding: chunked${CRLF}Content-Length: ${length}${CRLF}${CRLF}${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding: chunked, identity${CRLF}${CRLF}${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding: xchunked${CRLF}${CRLF}${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding:\vchunked${CRLF}${CRLF}${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding: chunked${CRLF}Transfer-Encoding: chunked${CRLF}${CRLF}${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding: chunked${CRLF}${CRLF}${chunk}0${CRLF}X: y${CRLF}${CRLF}`,
        `Transfer-Encoding: chunked${CRLF}${CRLF}-${chunk}0${CRLF}${CRLF}`,
        `Transfer-Encoding: chunked${CRLF}${CRLF}${chunk}0;x=\n${CRLF}${CRLF}`,
      ),
    },
  );
});
const request = fc
  .tuple(
    usually(
      'POST /mcp HTTP/1.1',
      'GET /mcp HTTP/1.1',
      'PUT /mcp HTTP/1.1',
      'POST /mcp  HTTP/1.1',
      'POST /mcp HTTP/1.2',
      'post /mcp HTTP/1.1',
      'POST /other HTTP/1.1',
      'POST\t/mcp HTTP/1.1',
      'POST /mcp',
    ),
    usually(
      'Host: localhost',
      'Host: evil.example',
      'Host: localhost\r\nHost: localhost',
      'host:127.0.0.1:80',
      'X: y',
    ),
    usually(
      'Content-Type: application/json',
      'Content-Type: text/plain',
      'content-type:application/json',
      'X: y',
    ),
    usually(
      'X: y',
      'Sec-Fetch-Site: cross-site',
      'Sec-Fetch-Site: none',
      'Origin: https://evil.example',
      'Origin: http://localhost:1',
      'X: y\r\n folded',
      'X: y\nHost: evil.example',
      'X: y\rZ: w',
      'X\0: y',
      ': y',
      'no colon',
    ),
    framed,
  )
  .map(([line, host, type, other, rest]) => [line, host, type, other, rest].join(CRLF));
const requests = fc.array(request, { minLength: 1, maxLength: 3 });

it(
  'raw bytes are passed on only as requests that a strict reader accepts, with the body that it reads',
  async () => {
    const carried: string[] = [];
    let total = 0;
    const { front, clock } = await frontFor(
      {
        post: async (text, exchange) => {
          carried.push(text);
          total++;
          exchange.begin({ status: 202, headers: { 'content-length': '0' } });
          exchange.end();
        },
        forward: async (_method, exchange) => {
          exchange.begin({ status: 405, headers: { 'content-length': '0' } });
          exchange.end();
        },
      },
      { maxClients: 64 },
    );
    const port = Number(new URL(front.url).port);
    /** Sends it all, and waits until the front has closed the connection. */
    const talk = (text: string, cut: number): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', noDelay: true });
        let answers = '';
        socket.setEncoding('latin1').on('data', (more: string) => {
          answers += more;
        });
        socket
          .on('error', () => undefined)
          .on('close', () => {
            clearInterval(passing);
            resolve(answers);
          });
        // Where the front waits before it closes, time passes.
        const passing = setInterval(() => void clock.advance(2_000), 20);
        const bytes = Buffer.from(text, 'latin1');
        socket.write(bytes.subarray(0, cut), () => socket.end(bytes.subarray(cut)));
      });
    await fuzz(
      fc.asyncProperty(requests, fc.nat(600), async (all, cut) => {
        carried.length = 0;
        const text = all.join('');
        const answers = await talk(text, Math.min(cut, text.length));
        const { bodies } = strictly(text);
        // Clients that close their side early may lose an answer, never gain one.
        expect(carried).toEqual(bodies.slice(0, carried.length));
        expect(answers === '' || /^HTTP\/1\.1 [2-5]\d\d /.test(answers)).toBe(true);
      }),
      250,
    );
    expect(total).toBeGreaterThan(50);
  },
  FUZZ_TIMEOUT,
);
