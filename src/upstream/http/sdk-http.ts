import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { Clock } from '../../core/time/clock.ts';
import { Connection } from './connection.ts';
import { ERROR_BODY } from './incoming.ts';
import type { Connector } from './undici.ts';

/**
 * STS, SSO and sign-in answer in well under a second; a hanging call must not block requests for
 * ever.
 */
const SDK_CALL_MS = 20_000;

interface SdkRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface SdkResponse {
  readonly response: {
    readonly statusCode: number;
    readonly reason: string | undefined;
    readonly headers: Record<string, string>;
    readonly body: Readable;
  };
}

export interface SdkHttpHandler {
  readonly metadata: { readonly handlerProtocol: string };
  handle(request: SdkRequest, options?: { readonly abortSignal?: unknown }): Promise<SdkResponse>;
  destroy(): void;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
}

function pathOf({ path, query = {} }: SdkRequest): string {
  const pairs = Object.entries(query).flatMap(([key, value]) => {
    const values: readonly (string | null)[] = value === null || typeof value === 'string' ? [value] : value;
    return values.map((item) =>
      item === null ? encodeURIComponent(key) : `${encodeURIComponent(key)}=${encodeURIComponent(item)}`,
    );
  });
  return pairs.length > 0 ? `${path}?${pairs.join('&')}` : path;
}

async function bytesOf(body: unknown): Promise<Buffer | undefined> {
  if (body === undefined || body === null || body === '') return undefined;
  if (typeof body === 'string') return Buffer.from(body);
  // Shares the memory: Buffer.from(body) makes the SDK's own byte arrays warn on stderr.
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (body instanceof Readable) return buffer(body);
  throw new TypeError('an AWS SDK call with a body of an unknown kind');
}

/**
 * The AWS SDK's HTTP handler over the proxy's own connections. The SDK knows neither HTTPS_PROXY
 * nor AWS_CA_BUNDLE, so that a login behind a company's network would fail where the endpoint
 * works.
 */
export function createSdkHttpHandler(connect: Connector, clock: Clock): SdkHttpHandler {
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request, options = {}) {
      const port = request.port ? `:${request.port}` : '';
      const connection = new Connection({
        origin: `${request.protocol}//${request.hostname}${port}`,
        connect,
        keepAliveTimeoutMs: SDK_CALL_MS,
        onOpen: () => undefined,
        onClose: () => undefined,
      });
      const signal = options.abortSignal instanceof AbortSignal ? options.abortSignal : undefined;
      const cut = (): void => connection.destroy(new Error('aborted'));
      const timer = clock.schedule(SDK_CALL_MS, () =>
        connection.destroy(new Error(`no answer from ${request.hostname} in ${SDK_CALL_MS / 1000} s`)),
      );
      if (signal?.aborted) cut();
      signal?.addEventListener('abort', cut, { once: true });
      try {
        const body = await bytesOf(request.body);
        const answer = await connection.send(
          {
            method: request.method,
            path: pathOf(request),
            headers: { ...request.headers },
            ...(body ? { body } : {}),
          },
          () => undefined,
        );
        // Credentials are as short as errors.
        const bytes = await answer.readAll(ERROR_BODY);
        const headers = Object.fromEntries(
          Object.entries(answer.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
        );
        return {
          response: { statusCode: answer.status, reason: undefined, headers, body: Readable.from([bytes]) },
        };
      } finally {
        timer.cancel();
        signal?.removeEventListener('abort', cut);
        connection.destroy();
      }
    },
    destroy: () => undefined,
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
  };
}
