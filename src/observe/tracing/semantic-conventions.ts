import { idText, paramsOf, type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import type { SpanOutcome, SpanPart } from '../../core/pipeline/span.ts';
import type { AttributeValue, FinishedSpan } from './finished-span.ts';

/** Characters of a name or id in an attribute: its sender may choose any length. */
const MAX_ATTRIBUTE = 256;

export interface SpanDescription {
  readonly name: string;
  readonly kind: FinishedSpan['kind'];
  readonly attributes: Record<string, AttributeValue>;
}

const bounded = (text: string): string =>
  text.length > MAX_ATTRIBUTE ? `${text.slice(0, MAX_ATTRIBUTE)}...` : text;

/** The attributes of MCP's semantic conventions that a request states itself. */
function requestAttributes(request: Request): {
  target: string | undefined;
  attributes: SpanDescription['attributes'];
} {
  const { method } = request;
  const { name, uri } = paramsOf(request);
  const attributes: Record<string, AttributeValue> = {
    'mcp.method.name': bounded(method),
    'jsonrpc.request.id': bounded(typeof request.id === 'string' ? request.id : idText(request)),
  };
  const version = statedVersion(request);
  if (version !== undefined) attributes['mcp.protocol.version'] = bounded(version);
  if (typeof uri === 'string') attributes['mcp.resource.uri'] = bounded(uri);
  if (typeof name !== 'string') return { target: undefined, attributes };
  if (method === 'tools/call') {
    attributes['gen_ai.tool.name'] = bounded(name);
    attributes['gen_ai.operation.name'] = 'execute_tool';
  } else if (method === 'prompts/get') attributes['gen_ai.prompt.name'] = bounded(name);
  else return { target: undefined, attributes };
  return { target: bounded(name), attributes };
}

const nameOf = (method: string, target: string | undefined): string =>
  target === undefined ? bounded(method) : `${method} ${target}`;

/** The client that a request came from. */
export interface RequestSource {
  readonly transport: 'stdio' | 'http';
  readonly address?: string | undefined;
  /** A hash of the client's session id. */
  readonly session?: string | undefined;
  /** The name of the client's token or user. */
  readonly user?: string | undefined;
}

/** The span of a client's request, in which the proxy is the server. */
export function describeRequest(request: Request, source: RequestSource): SpanDescription {
  const { target, attributes } = requestAttributes(request);
  if (source.transport === 'stdio') attributes['network.transport'] = 'pipe';
  else {
    attributes['network.transport'] = 'tcp';
    attributes['network.protocol.name'] = 'http';
    if (source.address !== undefined) attributes['client.address'] = source.address;
    if (source.session !== undefined) attributes['mcp.session.id'] = source.session;
    if (source.user !== undefined) attributes['enduser.id'] = source.user;
  }
  return { name: nameOf(request.method, target), kind: 'server', attributes };
}

interface Server {
  readonly url: string;
  readonly address: string;
  readonly port: number;
}

/**
 * The span of a part of a call.
 * @param resends - HTTP requests that the call has sent already.
 */
export function describePart(part: SpanPart, server: Server, resends: number): SpanDescription {
  const place = { 'server.address': server.address, 'server.port': server.port };
  switch (part.type) {
    case 'call': {
      const { target, attributes } = requestAttributes(part.request);
      Object.assign(attributes, place, { 'network.transport': 'tcp', 'network.protocol.name': 'http' });
      if (part.profile !== '') attributes['aws.profile'] = part.profile;
      return { name: nameOf(part.request.method, target), kind: 'client', attributes };
    }
    case 'http':
      return {
        name: part.method,
        kind: 'client',
        attributes: {
          'http.request.method': part.method,
          'url.full': server.url,
          ...place,
          ...(resends > 0 ? { 'http.request.resend_count': resends } : {}),
        },
      };
    case 'session':
      return {
        name: 'session.create',
        kind: 'internal',
        attributes: { 'session.open.reason': part.reason, ...profileOf(part.profile) },
      };
    case 'session-close':
      return {
        name: 'session.close',
        kind: 'internal',
        attributes: {
          'session.close.reason': part.reason,
          'mcp.session.id': part.session,
          ...profileOf(part.profile),
        },
      };
    case 'borrow':
      return { name: 'pool.borrow', kind: 'internal', attributes: profileOf(part.profile) };
    case 'credentials':
      return { name: 'credentials.resolve', kind: 'internal', attributes: profileOf(part.profile) };
  }
}

const profileOf = (profile: string): Record<string, AttributeValue> =>
  profile === '' ? {} : { 'aws.profile': profile };

/** The value of `error.type`; undefined where the work succeeded. */
export function errorTypeOf({ errorType, code, status }: SpanOutcome): string | undefined {
  if (errorType !== undefined) return errorType;
  if (code !== undefined) return String(code);
  return status !== undefined && status >= 400 ? String(status) : undefined;
}
