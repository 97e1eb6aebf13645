import { idText, paramsOf, type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import { targetOf } from '../../core/pipeline/call-record.ts';
import type { SpanOutcome, SpanPart } from '../../core/pipeline/span.ts';
import { type Attributes, type AttributeValue, SpanTemplate } from './finished-span.ts';

/** Characters of a name or id in an attribute: its sender may choose any length. */
const MAX_ATTRIBUTE = 256;

/** The maximum number of cached templates: a few for each tool that has its own metrics. */
const MAX_TEMPLATES = 4_000;

export interface SpanDescription {
  readonly template: SpanTemplate;
  /** The attributes of this span alone. */
  readonly attributes: Record<string, AttributeValue>;
}

const bounded = (text: string): string =>
  text.length > MAX_ATTRIBUTE ? `${text.slice(0, MAX_ATTRIBUTE)}...` : text;

/** The client that a request came from. */
export interface RequestSource {
  readonly transport: 'stdio' | 'http';
  readonly address?: string | undefined;
  /** A hash of the client's session id. */
  readonly session?: string | undefined;
  /** The name of the client's token or user. */
  readonly user?: string | undefined;
}

/** The server that calls go to. */
export interface SpanServer {
  readonly url: string;
  readonly address: string;
  readonly port: number;
}

/** Describes spans by MCP's semantic conventions, and caches their templates. */
export class SpanDescriptions {
  readonly #server: SpanServer;
  /** By the kind of span, its profile or transport, the method, and the name of tool or prompt. */
  readonly #requests = {
    server: new Map<string, Map<string, Map<string, SpanTemplate>>>(),
    client: new Map<string, Map<string, Map<string, SpanTemplate>>>(),
  };
  readonly #http = new Map<string, SpanTemplate>();
  #kept = 0;

  constructor(server: SpanServer) {
    this.#server = server;
  }

  /** The span of a client's request, in which the proxy is the server. */
  ofRequest(request: Request, { transport, address, session, user }: RequestSource): SpanDescription {
    const template = this.#requestTemplate('server', transport, request);
    const attributes = requestAttributes(request);
    if (address !== undefined) attributes['client.address'] = address;
    if (session !== undefined) attributes['mcp.session.id'] = session;
    if (user !== undefined) attributes['enduser.id'] = user;
    return { template, attributes };
  }

  /**
   * The span of a part of a call.
   * @param resends - HTTP requests that the call has sent already.
   */
  ofPart(part: SpanPart, resends: number): SpanDescription {
    switch (part.type) {
      case 'call': {
        const template = this.#requestTemplate('client', part.profile, part.request);
        return { template, attributes: requestAttributes(part.request) };
      }
      case 'http': {
        const attributes = resends > 0 ? { 'http.request.resend_count': resends } : {};
        return { template: this.#httpTemplate(part.method), attributes };
      }
      case 'session':
        return internal('session.create', part.profile, { 'session.open.reason': part.reason });
      case 'session-close':
        return internal('session.close', part.profile, {
          'session.close.reason': part.reason,
          'mcp.session.id': part.session,
        });
      case 'borrow':
        return internal('pool.borrow', part.profile);
      case 'credentials':
        return internal('credentials.resolve', part.profile);
    }
  }

  /** @param variant - the transport of the client, or the profile of the call to the server. */
  #requestTemplate(kind: 'server' | 'client', variant: string, request: Request): SpanTemplate {
    const { method } = request;
    const target = targetOf(request);
    const known = this.#requests[kind]
      .get(variant)
      ?.get(method)
      ?.get(target ?? '');
    if (known) return known;
    const template = this.#createRequestTemplate(kind, variant, method, target);
    if (this.#kept < MAX_TEMPLATES && isShort(method) && isShort(target ?? '')) {
      this.#kept++;
      const methods = foundOrAdded(this.#requests[kind], variant);
      foundOrAdded(methods, method).set(target ?? '', template);
    }
    return template;
  }

  #createRequestTemplate(
    kind: 'server' | 'client',
    variant: string,
    method: string,
    target: string | undefined,
  ): SpanTemplate {
    const attributes: Record<string, AttributeValue> = { 'mcp.method.name': bounded(method) };
    if (target !== undefined && method === 'tools/call') {
      attributes['gen_ai.tool.name'] = bounded(target);
      attributes['gen_ai.operation.name'] = 'execute_tool';
    } else if (target !== undefined) attributes['gen_ai.prompt.name'] = bounded(target);
    const isStdio = kind === 'server' && variant === 'stdio';
    attributes['network.transport'] = isStdio ? 'pipe' : 'tcp';
    if (!isStdio) attributes['network.protocol.name'] = 'http';
    if (kind === 'client') Object.assign(attributes, this.#place, profileOf(variant));
    const name = target === undefined ? bounded(method) : `${method} ${bounded(target)}`;
    return new SpanTemplate(name, kind, attributes);
  }

  #httpTemplate(method: string): SpanTemplate {
    const known = this.#http.get(method);
    if (known) return known;
    const attributes = { 'http.request.method': method, 'url.full': this.#server.url, ...this.#place };
    const template = new SpanTemplate(method, 'client', attributes);
    this.#http.set(method, template);
    return template;
  }

  get #place(): Attributes {
    const { address, port } = this.#server;
    return { 'server.address': address, 'server.port': port };
  }
}

const isShort = (text: string): boolean => text.length <= MAX_ATTRIBUTE;

function foundOrAdded<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const found = map.get(key);
  if (found) return found;
  const added = new Map<string, V>();
  map.set(key, added);
  return added;
}

/** The attributes that differ between requests of one tool. */
function requestAttributes(request: Request): Record<string, AttributeValue> {
  const { id } = request;
  const attributes: Record<string, AttributeValue> = {
    'jsonrpc.request.id':
      typeof id === 'string' ? bounded(id) : Number.isSafeInteger(id) ? String(id) : bounded(idText(request)),
  };
  const version = statedVersion(request);
  if (version !== undefined) attributes['mcp.protocol.version'] = bounded(version);
  const { uri } = paramsOf(request);
  if (typeof uri === 'string') attributes['mcp.resource.uri'] = bounded(uri);
  return attributes;
}

/** A span of the proxy's own work. */
const internal = (name: string, profile: string, own: Attributes = {}): SpanDescription => ({
  template: new SpanTemplate(name, 'internal', profileOf(profile)),
  attributes: { ...own },
});

const profileOf = (profile: string): Attributes => (profile === '' ? {} : { 'aws.profile': profile });

/** The value of `error.type`; undefined where the work succeeded. */
export function errorTypeOf({ errorType, code, status }: SpanOutcome): string | undefined {
  if (errorType !== undefined) return errorType;
  if (code !== undefined) return String(code);
  return status !== undefined && status >= 400 ? String(status) : undefined;
}
