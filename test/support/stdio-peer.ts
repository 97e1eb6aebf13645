import type { ServerResponse } from 'node:http';
import { LineSplitter } from '../../src/client/stdio/lines.ts';
import {
  classify,
  idKey,
  isId,
  isObject,
  type Message,
  paramsOf,
  type Request,
  type Response,
  statedVersion,
} from '../../src/core/jsonrpc/message.ts';
import type { BinDriver } from './bin-driver.ts';
import { EventWriter, sendJson } from './mcp-answers.ts';
import { parseJson } from './scripted-server.ts';

const META = 'io.modelcontextprotocol/';

/** Where the revision gives an error a status of its own; a pipe carries the code alone. */
const STATUS_OF_ERROR: Readonly<Record<number, number>> = {
  [-32601]: 404,
  [-32602]: 400,
  [-32020]: 400,
  [-32021]: 400,
  [-32022]: 400,
};

/** One HTTP request that waits for its answer to come up the pipe. */
class Pending {
  readonly request: Request;
  readonly #response: ServerResponse;
  #events: EventWriter | undefined;

  constructor(request: Request, response: ServerResponse) {
    this.request = request;
    this.#response = response;
  }

  /** A message before the answer makes it a stream. */
  tell(text: string): void {
    this.#events ??= new EventWriter(this.#response);
    this.#events.send(text);
  }

  answer(text: string, status: number): void {
    this.#events?.send(text);
    if (this.#events) this.#events.end();
    else sendJson(this.#response, status, text);
  }

  get token(): unknown {
    const meta = paramsOf(this.request)._meta;
    return isObject(meta) ? meta.progressToken : undefined;
  }

  get listens(): boolean {
    return this.request.method === 'subscriptions/listen';
  }
}

const statusOf = (answer: Message, request: Request): number => {
  const error = answer.json.error;
  if (statedVersion(request) === undefined || !isObject(error)) return 200;
  return STATUS_OF_ERROR[Number(error.code)] ?? 200;
};

/** A process that speaks MCP on its stdio, and the HTTP exchanges that wait for its lines. */
export class StdioPeer {
  readonly #driver: BinDriver;
  readonly #pending = new Map<string, Pending>();
  #standalone: EventWriter | undefined;
  /** Messages that arrived without a listener. */
  #held: string[] = [];

  constructor(driver: BinDriver) {
    this.#driver = driver;
    const lines = new LineSplitter({
      line: (bytes) => this.#receive(bytes.toString()),
      tooLong: () => undefined,
    });
    driver.child.stdout.on('data', (chunk: Buffer | string) => lines.push(Buffer.from(chunk)));
    void driver.exited.finally(() => this.#abandon());
  }

  carries(request: Request): boolean {
    return this.#pending.has(idKey(request.id));
  }

  ask(request: Request, response: ServerResponse): void {
    const key = idKey(request.id);
    const pending = new Pending(request, response);
    this.#pending.set(key, pending);
    response.on('close', () => {
      if (this.#pending.get(key) !== pending) return;
      this.#pending.delete(key);
      if (statedVersion(request) !== undefined) this.#cancel(request);
    });
    this.#driver.send(request.text);
  }

  /**
   * The session revisions leave a call running whose client hung up; since 2026-07-28 that cancels
   * it.
   */
  #cancel(request: Request): void {
    const _meta = paramsOf(request)._meta;
    this.#driver.notify('notifications/cancelled', { _meta, requestId: request.id });
  }

  send(message: Message): void {
    this.#driver.send(message.text);
  }

  listen(response: ServerResponse): void {
    const events = new EventWriter(response);
    this.#standalone = events;
    response.on('close', () => {
      if (this.#standalone === events) this.#standalone = undefined;
    });
    for (const text of this.#held.splice(0)) events.send(text);
  }

  /** Leaves as a client does. */
  async close(): Promise<string> {
    this.#standalone?.end();
    this.#driver.closeStdin();
    await this.#driver.exit();
    await this.#driver.dispose();
    return this.#driver.stderr;
  }

  #receive(text: string): void {
    const message = classify(text, parseJson(text));
    if (typeof message === 'string') return;
    if (message.kind === 'response') this.#settle(message);
    else this.#relay(message);
  }

  #settle(answer: Response): void {
    const key = answer.id === undefined ? '' : idKey(answer.id);
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    pending?.answer(answer.text, statusOf(answer, pending.request));
  }

  /**
   * A pipe does not say which stream a message belongs to; ids, tokens and the order of things do.
   */
  #relay(message: Message): void {
    const { _meta, progressToken } = paramsOf(message);
    const subscription = isObject(_meta) ? _meta[`${META}subscriptionId`] : undefined;
    const calls = [...this.#pending.values()].filter(({ listens }) => !listens);
    const place =
      (isId(subscription) ? this.#pending.get(idKey(subscription)) : undefined) ??
      calls.find(({ token }) => token !== undefined && token === progressToken) ??
      calls.at(-1);
    if (place) place.tell(message.text);
    else if (this.#standalone) this.#standalone.send(message.text);
    else this.#held.push(message.text);
  }

  #abandon(): void {
    this.#standalone?.end();
    for (const pending of this.#pending.values()) {
      pending.answer('{"jsonrpc":"2.0","error":{"code":-32603,"message":"the process ended"}}', 502);
    }
    this.#pending.clear();
  }
}
