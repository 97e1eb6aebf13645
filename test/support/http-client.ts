import * as http from 'node:http';
import { afterThisTest } from './cleanup.ts';
import type { Rpc } from './mcp-answers.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** The body parsed; an empty object where it is no JSON object. */
  readonly json: Rpc;
}

export interface HttpQuestion {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object as JSON, text and bytes exactly as given. */
  readonly body?: object | string | Buffer;
}

/** The headers that every MCP client sends with a POST. */
export const MCP_HEADERS = {
  accept: 'application/json, text/event-stream',
  'content-type': 'application/json',
} as const;

/**
 * The head of an answer, while its body still comes: raw, so that a test decides when it is read.
 */
export async function open(
  url: string,
  { method = 'POST', headers = {}, body }: HttpQuestion = {},
  agent?: http.Agent,
): Promise<{ response: http.IncomingMessage; request: http.ClientRequest }> {
  const bytes =
    body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const given = method === 'POST' ? { ...MCP_HEADERS, ...headers } : headers;
  const request = http.request(url, { method, headers: given, agent: agent ?? false });
  request.on('error', () => undefined);
  afterThisTest(() => void request.destroy());
  const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject);
  });
  request.end(bytes);
  return { response: await answered, request };
}

/** One request on a connection of its own, and the whole answer. */
export async function send(
  url: string,
  question: HttpQuestion = {},
  agent?: http.Agent,
): Promise<HttpAnswer> {
  const { response } = await open(url, question, agent);
  const text = await textOf(response);
  return { status: response.statusCode ?? 0, headers: response.headers, text, json: objectOf(text) };
}

/** The body to its end; fails where it is cut. */
export async function textOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function objectOf(text: string): Rpc {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Rpc) : {};
  } catch {
    return {};
  }
}

/** The messages of an event stream's text. */
export const eventsOf = (text: string): Rpc[] =>
  text.split('\n\n').flatMap((event) => {
    const data = event
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).trim())
      .join('\n');
    return data === '' ? [] : [objectOf(data)];
  });
