import { ERROR_SOURCE } from '../core/errors/errors.ts';
import { isObject, type Response } from '../core/jsonrpc/message.ts';
import { STATELESS_REVISION } from './proxy-transport.ts';

const SERVER_INFO = 'io.modelcontextprotocol/serverInfo';

/**
 * The server's facts in its answer to `initialize` or `server/discover`; undefined where one is
 * missing or invalid.
 */
export interface ServerFacts {
  readonly name: string | undefined;
  readonly version: string | undefined;
  readonly protocolVersion: string | undefined;
  readonly offersTools: boolean;
}

/** Reads the answer to `initialize` or `server/discover`. */
export function serverFactsOf({ json }: Response): ServerFacts {
  const result = isObject(json.result) ? json.result : {};
  const { serverInfo = isObject(result._meta) ? result._meta[SERVER_INFO] : undefined } = result;
  const info = isObject(serverInfo) ? serverInfo : {};
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const stateless = Array.isArray(result.supportedVersions) ? STATELESS_REVISION : undefined;
  return {
    name: text(info.name),
    version: text(info.version),
    protocolVersion: text(result.protocolVersion) ?? stateless,
    offersTools: isObject(result.capabilities) && isObject(result.capabilities.tools),
  };
}

/**
 * The message of an error answer, for a person: the proxy's own text, or the server's with its
 * code.
 */
export function errorTextOf({ json }: Response): string {
  const error = isObject(json.error) ? json.error : {};
  const message = typeof error.message === 'string' ? error.message : 'no message';
  const isOurs = isObject(error.data) && error.data.source === ERROR_SOURCE;
  return isOurs ? message : `The server answered with error ${String(error.code)}: ${message}`;
}
