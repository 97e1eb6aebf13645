import type { ServerResponse } from 'node:http';
import type { Id } from '../../src/core/jsonrpc/message.ts';
import { type Relayed, type RelayedOptions, startRelayed } from './relayed.ts';
import type { RecordedRequest } from './scripted-server.ts';

/** The first revision without sessions. */
export const REVISION = '2026-07-28';

/** The `_meta` that every message of that revision has. */
export const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': REVISION,
  'io.modelcontextprotocol/clientInfo': { name: 'client', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** A message that claims it; a notification where no id is given. */
export const claiming = (
  method: string,
  params: Readonly<Record<string, unknown>> = {},
  id?: Id,
): Record<string, unknown> => ({
  jsonrpc: '2.0',
  ...(id === undefined ? {} : { id }),
  method,
  params: { ...params, _meta: ENVELOPE },
});

export const derivedHeaders = (headers: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('mcp-')));

export type Script = (request: RecordedRequest, response: ServerResponse) => void | Promise<void>;

/**
 * The spawned bin in front of a server of both eras: the script answers what has derived headers, a
 * session server the rest.
 */
export const startDual = (script: Script, options: RelayedOptions = {}): Promise<Relayed> =>
  startRelayed({
    ...options,
    before: (next) => (request, response) =>
      request.headers['mcp-method'] === undefined ? next(request, response) : script(request, response),
  });
